"""Configuration files in protobuf's text format: what is read, and what is refused, and where."""

from pathlib import Path

import pytest

from serving.server import config, text_proto
from serving.server.config import ConfigError, VersionPolicy


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "file.config"
    path.write_text(text)
    return str(path)


def test_text_format_in_all_its_spellings() -> None:
    found = text_proto.parse(
        """
        # a comment; then the spellings of one thing
        name: "a" 'b'   # adjacent strings are one
        number: -3, flag: true; kind: SOME_ENUM
        message { inner: "\\x41\\n\\303\\251" }
        message: < inner: "é" >
        list: [1, 2]
        list: 3
        messages: [{ a: 1 }, { a: 2 }]
        """
    )
    assert found["name"] == ["ab"]
    assert found["number"] == ["-3"]
    assert found["flag"] == ["true"]
    assert found["message"] == [{"inner": ["A\né"]}, {"inner": ["é"]}]
    assert found["list"] == ["1", "2", "3"]
    assert found["messages"] == [{"a": ["1"]}, {"a": ["2"]}]


def test_text_format_agrees_with_protobuf() -> None:
    """The same file through protobuf's own parser, where the protos are installed."""
    protos = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    from google.protobuf import json_format, text_format

    text = """
      model_config_list: { config: { name: 'cvr' base_path: "/m\\141" model_platform: "tensorflow"
        model_version_policy { specific { versions: [3, 0x10] versions: 7 } }
        version_labels { key: "stable" value: 3 } version_labels: <key: "canary", value: 7> } }
    """
    theirs = text_format.Parse(text, protos.ModelServerConfig())
    entry = json_format.MessageToDict(theirs)["modelConfigList"]["config"][0]
    ours = text_proto.parse(text)["model_config_list"][0]["config"][0]  # type: ignore[index, call-overload]
    assert isinstance(ours, dict)
    assert ours["name"] == [entry["name"]]
    assert ours["base_path"] == [entry["basePath"]]
    versions = ours["model_version_policy"][0]["specific"][0]["versions"]  # type: ignore[index, call-overload]
    assert [int(v, 0) for v in versions] == [
        int(v) for v in entry["modelVersionPolicy"]["specific"]["versions"]
    ]
    labels = {e["key"][0]: int(e["value"][0]) for e in ours["version_labels"]}  # type: ignore[index, call-overload]
    assert labels == {key: int(value) for key, value in entry["versionLabels"].items()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: \n }", "line 2: expected a value"),
        ('a {\n b: "x"', "line 2: expected '}'"),
        ("a: $", "line 1: unexpected '\\$'"),
        ("{}", "expected a field name"),
        ("a 3", "expected ':' or '{'"),
        ("m {" * 200, "more than 100 deep"),
    ],
)
def test_malformed_text_names_the_line(text: str, message: str) -> None:
    with pytest.raises(text_proto.TextProtoError, match=message):
        text_proto.parse(text)


def test_model_config(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        model_config_list {
          config { name: "a" base_path: "/models/a" model_platform: "tensorflow" }
          config {
            name: "b" base_path: "/models/b" model_type: TENSORFLOW
            model_version_policy { latest { num_versions: 2 } }
          }
          config {
            name: "c" base_path: "/models/c" model_platform: "tensorflow"
            model_version_policy { all {} }
            version_labels { key: "stable" value: 12 }
          }
        }
        """,
    )
    a, b, c = config.read_model_config(path)
    assert (a.name, a.base_path, a.policy, a.labels) == ("a", "/models/a", VersionPolicy(), ())
    assert b.policy == VersionPolicy("latest", 2)
    assert c.policy.kind == "all"
    assert c.labels == (("stable", 12),)
    assert VersionPolicy("latest", 2).choose([1, 10, 9]) == [10, 9]
    assert VersionPolicy("all").choose([1, 10, 9]) == [10, 9, 1]
    assert VersionPolicy("specific", versions=(9, 4)).choose([1, 10, 9]) == [9]


ENTRY = 'name: "a" base_path: "/m" model_platform: "tensorflow"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'model_config_list' is missing"),
        ("model_config_list: 3", "must be a message"),
        (f"model_config_list {{ config {{ {ENTRY} oops: 1 }} }}", r"config\[0\].* 'oops'"),
        (f"model_config_list {{ config {{ {ENTRY} name: 'b' }} }}", "'name' is given 2 times"),
        ('model_config_list { config { base_path: "/m" } }', "'name' is missing"),
        ('model_config_list { config { name: "a" base_path: "m" } }', "must be absolute"),
        ('model_config_list { config { name: "a" base_path: "/m" } }', "model_platform"),
        (
            f"model_config_list {{ config {{ {ENTRY} }} config {{ {ENTRY} }} }}",
            "Illegal to list model a multiple times",
        ),
        (
            f"model_config_list {{ config {{ {ENTRY} "
            "model_version_policy { latest {} all {} } } }",
            "only one of latest, all and specific",
        ),
        (
            f"model_config_list {{ config {{ {ENTRY} model_version_policy {{ specific {{}} }} }}"
            " }",
            "'versions' is empty",
        ),
        (
            f"model_config_list {{ config {{ {ENTRY} version_labels {{ key: 'x' value: y }} }} }}",
            "must be a whole number",
        ),
    ],
)
def test_wrong_model_config_names_the_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.read_model_config(write(tmp_path, text))


def test_monitoring_config(tmp_path: Path) -> None:
    on = 'prometheus_config { enable: true, path: "/metrics" }'
    assert config.read_monitoring_config(write(tmp_path, on)) == "/metrics"
    on = "prometheus_config { enable: true }"
    page = "/monitoring/prometheus/metrics"
    assert config.read_monitoring_config(write(tmp_path, on)) == page
    assert config.read_monitoring_config(write(tmp_path, "prometheus_config {}")) is None
    assert config.read_monitoring_config(write(tmp_path, "")) is None
    with pytest.raises(ConfigError, match="must be true or false"):
        config.read_monitoring_config(write(tmp_path, 'prometheus_config { enable: "yes" }'))


def test_batching_config(tmp_path: Path) -> None:
    found = config.read_batching_config(
        write(
            tmp_path,
            "max_batch_size { value: 128 } batch_timeout_micros { value: 500 }\n"
            "num_batch_threads { value: 4 } max_enqueued_batches { value: 7 }\n"
            "allowed_batch_sizes: 8 allowed_batch_sizes: 128 pad_variable_length_inputs: true",
        )
    )
    assert found.max_batch_size == 128
    assert found.batch_timeout_micros == 500
    assert found.num_batch_threads == 4
    assert found.max_enqueued_batches == 7
    assert found.allowed_batch_sizes == (8, 128)
    wrong = "max_batch_size { value: 128 } allowed_batch_sizes: [8, 64]"
    with pytest.raises(ConfigError, match="must increase and end in max_batch_size"):
        config.read_batching_config(write(tmp_path, wrong))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model_config_file: cannot read '.*nothing'"):
        config.read_model_config(str(tmp_path / "nothing"))
