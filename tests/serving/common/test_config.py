"""Configuration files in protobuf's text format: what is read, and what is refused, and where."""

from pathlib import Path

import pytest

from serving.common import config
from serving.common.config import ConfigError, VersionPolicy


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "file.config"
    path.write_text(text)
    return str(path)


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
        ("model_config_list: 3", "1:20: 'model_config_list: 3': Expected"),
        (
            f"model_config_list {{ config {{ {ENTRY} oops: 1 }} }}",
            r'1:\d+: .*ModelConfig" has no field named "oops"',
        ),
        (
            f"model_config_list {{ config {{ {ENTRY} name: 'b' }} }}",
            'should not have multiple "name" fields',
        ),
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
            '"all" is specified along with field "latest"',
        ),
        (
            f"model_config_list {{ config {{ {ENTRY} model_version_policy {{ specific {{}} }} }}"
            " }",
            "'versions' is empty",
        ),
        (
            f"model_config_list {{ config {{ {ENTRY} version_labels {{ key: 'x' value: y }} }} }}",
            "Couldn't parse integer: y",
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
    with pytest.raises(ConfigError, match=r'1:29: .*Expected "true" or "false"'):
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
    with pytest.raises(ConfigError, match="must increase and end in max_batch_size, 128; received"):
        config.read_batching_config(write(tmp_path, wrong))


def test_batching_config_that_splits_large_requests(tmp_path: Path) -> None:
    """The pair that TensorFlow Serving takes, and the one that it refuses."""
    text = "max_batch_size { value: 128 } max_execution_batch_size { value: 16 } "
    split = "enable_large_batch_splitting { value: true } "
    found = config.read_batching_config(
        write(tmp_path, text + split + "allowed_batch_sizes: 8 allowed_batch_sizes: 16")
    )
    assert (found.max_batch_size, found.execution_rows) == (128, 16)
    assert found.allowed_batch_sizes == (8, 16)
    for wrong, message in (
        (split + "allowed_batch_sizes: [8, 128]", "end in max_execution_batch_size, 16"),
        ("allowed_batch_sizes: [8, 128]", "needs enable_large_batch_splitting"),
    ):
        with pytest.raises(ConfigError, match=message):
            config.read_batching_config(write(tmp_path, text + wrong))
    larger = (text + split).replace("value: 128", "value: 8")
    with pytest.raises(ConfigError, match="between 1 and max_batch_size, 8; received 16"):
        config.read_batching_config(write(tmp_path, larger))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model_config_file: cannot read '.*nothing'"):
        config.read_model_config(str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size and num_batch_threads must be 1 or more"),
        ("num_batch_threads { value: 0 }", "max_batch_size and num_batch_threads must be 1 or mo"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros and max_enqueued_batches mu"),
        ("max_enqueued_batches { value: -1 }", "batch_timeout_micros and max_enqueued_batches mu"),
    ],
)
def test_sizes_and_times_below_their_least_are_refused(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=f"^batching_parameters_file: {told}"):
        config.read_batching_config(write(tmp_path, text))
