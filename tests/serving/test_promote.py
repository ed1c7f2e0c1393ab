"""Labels in models.config: edits that keep the rest, the order servers need, the way back."""

import json
import multiprocessing
import shutil

import pytest

from serving import promote
from serving.client import Client, InvalidRequestError
from serving.common.config import read_model_config
from serving.common.models_config import ModelsConfig

TEXT = """\
# the models of the shop
model_config_list {
  config {
    name: "other"
    base_path: "/models/other"
    model_platform: "tensorflow"
    version_labels { key: "stable" value: 9 }
    model_version_policy { specific { versions: 9 } }
  }
  config {
    # the conversion rate
    name: "cvr"  # by this name
    base_path: "BASE"
    model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 2 } }
    version_labels {
      key: "old"
      value: 1
    }
    version_labels < key: 'canary', value: 2 >
    logging_config { log_collector_config { type: "x" } }
  }
}
"""


@pytest.fixture
def base(tmp_path):
    for number in (1, 2, 3, 4):
        (tmp_path / "cvr" / str(number)).mkdir(parents=True)
    return tmp_path / "cvr"


@pytest.fixture
def config(tmp_path, base):
    path = tmp_path / "models.config"
    path.write_text(TEXT.replace("BASE", str(base)))
    path.chmod(0o640)
    return ModelsConfig(path)


def labels(config):
    return dict(config.model("cvr").labels)


def pinned(config):
    return config.model("cvr").policy.versions


def test_label_changes_that_line_and_nothing_else(config, base):
    config.label("cvr", "canary", 3)
    before = TEXT.replace("BASE", str(base)).splitlines()
    after = config.path.read_text().splitlines()
    gone = [line for line in before if line not in after]
    come = [line.strip() for line in after if line not in before]
    assert [line.strip() for line in gone] == [
        "version_labels {", 'key: "old"', "value: 1", "}",
        "version_labels < key: 'canary', value: 2 >",
    ]  # fmt: skip
    assert come == [
        'version_labels { key: "canary" value: 3 }', 'version_labels { key: "old" value: 1 }',
    ]  # fmt: skip
    assert labels(config) == {"canary": 3, "old": 1}
    assert config.path.stat().st_mode & 0o777 == 0o640
    assert dict(config.model("other").labels) == {"stable": 9}


def test_file_reads_as_the_owners_message(config):
    pytest.importorskip("tensorflow_serving")
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    promote.set_label(config, "cvr", "stable", 4, at_once=True)
    message = text_format.Parse(
        config.path.read_text(), model_server_config_pb2.ModelServerConfig()
    )
    other, cvr = message.model_config_list.config
    assert dict(cvr.version_labels) == {"stable": 4, "canary": 2, "old": 1}
    assert list(cvr.model_version_policy.specific.versions) == [1, 2, 4]
    assert dict(other.version_labels) == {"stable": 9}


def test_set_pins_first_and_labels_second(config):
    assert promote.set_label(config, "cvr", "stable", 3) is False
    assert labels(config) == {"old": 1, "canary": 2}
    assert pinned(config) == (1, 2, 3)
    assert promote.set_label(config, "cvr", "stable", 3) is True
    assert labels(config) == {"old": 1, "canary": 2, "stable": 3}


def test_rollback_goes_back_step_by_step_and_stays_loaded(config):
    for version in (2, 3, 4):
        promote.set_label(config, "cvr", "stable", version, at_once=True)
    assert labels(config)["stable"] == 4
    assert pinned(config) == (1, 2, 3, 4)  # 3 to go back to at once
    assert config.protected_versions("cvr") == {1, 2, 3, 4}
    arguments = ["--config", str(config.path), "--model", "cvr", "--label", "stable"]
    assert promote.main(["rollback", *arguments]) == 0
    assert labels(config)["stable"] == 3
    assert pinned(config) == (1, 2, 3)
    assert promote.main(["rollback", *arguments]) == 0
    assert labels(config)["stable"] == 2
    assert promote.main(["rollback", *arguments]) == 2  # there was none before


def test_removed_label_is_gone_and_its_version_no_longer_pinned(config, capsys):
    promote.set_label(config, "cvr", "stable", 4, at_once=True)
    arguments = ["--config", str(config.path), "--model", "cvr", "--label", "canary"]
    assert promote.main(["remove", *arguments]) == 0
    assert labels(config) == {"old": 1, "stable": 4}
    assert pinned(config) == (1, 4)
    assert promote.main(["remove", *arguments]) == 2
    assert promote.main(["show", "--config", str(config.path)]) == 0
    shown = json.loads(capsys.readouterr().out)["cvr"]
    assert shown["labels"] == {"old": 1, "stable": 4}
    assert shown["policy"] == {"specific": [1, 4]}
    assert shown["versions"] == [1, 2, 3, 4]


def test_policy_all_is_left_alone(config):
    config.path.write_text(config.path.read_text().replace("latest { num_versions: 2 }", "all {}"))
    assert promote.set_label(config, "cvr", "stable", 3) is True
    assert config.model("cvr").policy.kind == "all"


def test_block_without_labels_or_policy_gets_them(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(
        'model_config_list { config { name: "cvr" base_path: "/m/cvr" '
        'model_platform: "tensorflow" } }'
    )
    promote.set_label(ModelsConfig(path), "cvr", "stable", 1, at_once=True)
    found = read_model_config(str(path))[0]
    assert found.labels == (("stable", 1),)
    assert found.policy.versions == (1,)


def test_blocks_in_brackets_are_left_to_their_owner(tmp_path):
    path = tmp_path / "models.config"
    block = '{ name: "cvr" base_path: "/m/cvr" model_platform: "tensorflow" }'
    path.write_text(f"model_config_list {{ config: [{block}, {block.replace('cvr', 'ctr')}] }}")
    before = path.read_text()
    with pytest.raises(ValueError, match=r"no `config .* in braces to edit"):
        promote.set_label(ModelsConfig(path), "cvr", "stable", 1, at_once=True)
    assert path.read_text() == before


def test_file_behind_a_link_is_replaced_and_not_the_link(config, tmp_path):
    link = tmp_path / "link.config"
    link.symlink_to(config.path)
    ModelsConfig(link).label("cvr", "stable", 3)
    assert link.is_symlink()
    assert labels(config)["stable"] == 3


def label_some(path, name):
    for version in (1, 2, 3, 4) * 5:
        ModelsConfig(path).label("cvr", name, version)


def test_promotions_at_the_same_time_lose_nothing(config):
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=label_some, args=(config.path, f"label{i}")) for i in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * 4
    assert labels(config) == {"old": 1, "canary": 2} | {f"label{i}": 4 for i in range(4)}
    assert len(config.history("cvr", "label0")) == 20
    assert [p.name for p in config.path.parent.iterdir() if p.name.startswith(".tmp")] == []


def test_init_writes_a_file_that_servers_read(base, tmp_path):
    path = tmp_path / "new.config"
    arguments = ["--config", str(path), "--model", "cvr", "--model-base", str(base)]
    assert promote.main(["init", *arguments]) == 0
    (model,) = read_model_config(str(path))
    assert (model.name, model.base_path) == ("cvr", str(base))
    assert (model.labels, model.policy.versions) == ((("stable", 4),), (4,))
    assert promote.main(["init", *arguments]) == 2  # it is there already
    assert promote.set_label(ModelsConfig(path), "cvr", "canary", 2, at_once=True) is True
    assert dict(read_model_config(str(path))[0].labels) == {"stable": 4, "canary": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [(["--version", "9"], r"holds \[1, 2, 3, 4\]"), (["--version", "x"], "received 'x'"),
     (["--version", "1", "--model-base", "/nowhere"], "holds no version"),
     (["--version", "1", "--model", "nobody"], "lists")],
)  # fmt: skip
def test_arguments_are_checked(config, change, message, caplog):
    arguments = ["--config", str(config.path), "--model", "cvr", "--label", "stable", *change]
    assert promote.main(["set", *arguments]) == 2
    assert __import__("re").search(message, caplog.text)
    assert labels(config) == {"old": 1, "canary": 2}


@pytest.fixture
def two_versions(tmp_path, tiny_base):
    """A models.config of a model with two versions, the first one stable."""
    base = tmp_path / "live" / "cvr"
    for number in ("1", "2"):
        shutil.copytree(tiny_base / "1", base / number)
    path = tmp_path / "live" / "models.config"
    path.write_text(
        f'model_config_list {{ config {{ name: "cvr" base_path: "{base}" '
        'model_platform: "tensorflow"\n  model_version_policy { specific { versions: 1 } }\n'
        '  version_labels { key: "stable" value: 1 } } }\n'
    )
    return path


def test_promotion_and_rollback_reach_a_running_server(two_versions, tiny, embedded, caplog):
    caplog.set_level("INFO")
    path = two_versions
    url = embedded(
        f"--model_config_file={path}", "--model_config_file_poll_wait_seconds=1",
        "--file_system_poll_wait_seconds=1",
    )  # fmt: skip
    at = ["--config", str(path), "--model", "cvr", "--label"]
    client = Client(url, "cvr", tiny.SCHEMA, label="canary")
    with pytest.raises(InvalidRequestError):
        client.predict(tiny.make_frame(1))
    # when a command ends, the server answers by the label
    assert promote.main(["set", *at, "canary", "--version", "latest", "--url", url]) == 0
    assert answering(url, tiny, "canary") == "2"
    assert promote.main(["set", *at, "stable", "--version", "2", "--url", url]) == 0
    assert answering(url, tiny, "stable") == "2"
    assert promote.main(["rollback", *at, "stable", "--url", url]) == 0
    assert answering(url, tiny, "stable") == "1"
    assert "canary of cvr: no version -> version 2" in caplog.text
    assert "stable of cvr: version 2 -> version 1" in caplog.text
    # a version that never loads moves no label
    (path.parent / "cvr" / "5").mkdir()
    never = [*at, "stable", "--version", "5", "--url", url, "--timeout", "2"]
    assert promote.main(["set", *never]) == 2
    assert dict(ModelsConfig(path).model("cvr").labels) == {"canary": 2, "stable": 1}


def answering(url, tiny, label):
    """The version that a server answers with by a label."""
    return Client(url, "cvr", tiny.SCHEMA, label=label).metadata()["model_spec"]["version"]


def test_a_server_that_asks_for_a_token_gets_it(two_versions, tiny, embedded, tmp_path, caplog):
    secret = tmp_path / "token"
    secret.write_text("a-long-secret\n")
    url = embedded(
        f"--model_config_file={two_versions}", "--model_config_file_poll_wait_seconds=1",
        "--file_system_poll_wait_seconds=1", f"--bearer_token_file={secret}",
    )  # fmt: skip
    at = ["--config", str(two_versions), "--model", "cvr", "--label", "stable", "--version", "2"]
    at += ["--url", url]
    assert promote.main(["set", *at, "--timeout", "1"]) == 2
    assert "A valid bearer token is required" in caplog.text
    assert dict(ModelsConfig(two_versions).model("cvr").labels) == {"stable": 1}
    assert promote.main(["set", *at, "--token-file", str(secret)]) == 0
    client = Client(url, "cvr", tiny.SCHEMA, label="stable", token="a-long-secret")
    assert client.metadata()["model_spec"]["version"] == "2"


def test_a_server_that_does_not_read_the_file_is_found_out(two_versions, embedded, caplog):
    """It has both versions loaded and never re-reads: the label stays unknown to it."""
    base = two_versions.parent / "cvr"
    other = two_versions.with_name("other.config")
    other.write_text(
        f'model_config_list {{ config {{ name: "cvr" base_path: "{base}" '
        'model_platform: "tensorflow" model_version_policy { all {} } } }'
    )
    url = embedded(f"--model_config_file={other}")
    at = ["--config", str(two_versions), "--model", "cvr", "--label", "canary", "--version", "2"]
    assert promote.main(["set", *at, "--url", url, "--timeout", "1"]) == 2
    assert "did not name version 2 within 1 s" in caplog.text
    assert "Unrecognized servable version label: canary" in caplog.text
    assert promote.main(["show", "--config", str(two_versions.with_name("none.config"))]) == 2
    assert "there is no file" in caplog.text


@pytest.mark.job
def test_gate_stops_a_promotion(two_versions, tiny, tiny_model, tmp_path, caplog):
    from idefn_tf.export import export_model
    from idefn_tf.models import ESMM

    caplog.set_level("INFO")
    path = two_versions
    spoiled = ESMM.from_config(tiny_model.get_config())
    spoiled.build()
    spoiled.set_weights(tiny_model.get_weights())
    logit = spoiled.towers["cvr"].logit
    logit.bias.assign(logit.bias - 3.0)
    export_model(spoiled, tiny.SCHEMA, path.parent / "cvr")
    rows = tmp_path / "rows.parquet"
    tiny.make_frame(300, seed=4).assign(window_open=[1, 0, 0] * 100).to_parquet(rows)
    at = ["--config", str(path), "--model", "cvr", "--label", "stable", "--version", "3"]
    assert promote.main(["set", *at, "--rows", str(rows)]) == 2
    assert "the distribution of cvr moved" in caplog.text
    assert "100 rows with an open attribution window are left out, 200 rows count" in caplog.text
    assert promote.main(["set", *at, "--rows", str(rows), "--force", "--at-once"]) == 0
    at[5] = "canary"  # there is nothing yet to compare the first version of a label with
    assert promote.main(["set", *at, "--rows", str(rows), "--at-once"]) == 0
    assert "gate: no version has the label canary yet" in caplog.text
    assert dict(ModelsConfig(path).model("cvr").labels) == {"stable": 3, "canary": 3}
