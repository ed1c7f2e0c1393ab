"""A server's life with real processes: start, new versions, labels, broken versions, the end."""

import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.export.serving_protos import message_class


def copy_version(source: Path, base: Path, version: int | str) -> None:
    """Publishes a version as exporters should: written beside, then renamed."""
    base.mkdir(exist_ok=True)
    hidden = base / f".tmp-{version}"
    shutil.copytree(source, hidden)
    hidden.rename(base / str(version))


def config_text(base: Path, labels: dict[str, int], extra: str = "") -> str:
    listed = " ".join(f'version_labels {{ key: "{k}" value: {v} }}' for k, v in labels.items())
    return (
        f'model_config_list {{ config {{ name: "m" base_path: "{base}" '
        f'model_platform: "tensorflow" model_version_policy {{ all {{}} }} {listed} }} {extra} }}'
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lifecycle")


@pytest.fixture(scope="module")
def server(start_server: Any, model_folder: Path, home: Path) -> Any:
    """Serves `m` (all versions, labels) and `latest` (the newest version only), re-reading all.

    From its command line on, as it is documented: the other modules start theirs warm.
    """
    plus_two, plus_three = model_folder / "half_plus_two/1", model_folder / "half_plus_two/2"
    copy_version(plus_two, home / "m", 1)
    copy_version(plus_three, home / "m", 2)
    copy_version(plus_two, home / "latest", 1)
    latest = (
        f'config {{ name: "latest" base_path: "{home / "latest"}" model_platform: "tensorflow" }}'
    )
    (home / "models.config").write_text(config_text(home / "m", {"stable": 1}, latest))
    return start_server(
        f"--model_config_file={home / 'models.config'}",
        "--model_config_file_poll_wait_seconds=1",
        "--file_system_poll_wait_seconds=1",
        "--load_retry_interval_micros=100000",
        starter=subprocess,
    )


def answer(server: Any, address: str) -> float:
    found = server.predict(address, {"instances": [2.0]})
    assert found.status == 200, found.body
    return found.json["predictions"][0]


def test_a_new_version_takes_over_without_a_failure(
    server: Any, home: Path, model_folder: Path, http_tools: Any
) -> None:
    assert answer(server, "latest") == 3.0
    answers, stop = [], threading.Event()

    def client() -> None:
        while not stop.is_set():
            answers.append(answer(server, "latest"))

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    copy_version(model_folder / "half_plus_two/2", home / "latest", "0002")  # leading zeros count
    http_tools.wait_until(lambda: server.states("latest").get("1") == "END")
    stop.set()
    for thread in threads:
        thread.join()
    assert server.states("latest") == {"2": "AVAILABLE", "1": "END"}
    assert set(answers) == {3.0, 4.0}
    assert answer(server, "latest") == 4.0
    gone = server.ask("POST", "/v1/models/latest/versions/1:predict", {"instances": [1.0]})
    assert (gone.status, gone.error) == (404, "Servable not found for request: Specific(latest, 1)")
    assert answers == sorted(answers), "an old version answered after the new one on no client"


def test_a_broken_version_leaves_the_old_one(
    server: Any, home: Path, model_folder: Path, http_tools: Any
) -> None:
    base = home / "latest"
    broken = base / "3"
    shutil.copytree(model_folder / "half_plus_two/1", base / ".tmp-3")
    graph = base / ".tmp-3/saved_model.pb"
    whole = graph.read_bytes()
    graph.write_bytes(whole[: len(whole) // 2])
    (base / ".tmp-3").rename(broken)
    http_tools.wait_until(lambda: server.states("latest").get("3") == "END")
    assert server.states("latest")["2"] == "AVAILABLE"
    assert answer(server, "latest") == 4.0
    status = server.ask("GET", "/v1/models/latest/versions/3")
    assert status.status == 200
    error = status.json["model_version_status"][0]["status"]
    assert error["error_code"] != "OK"
    assert error["error_message"]
    # the copy is completed later: noticed, loaded, served
    (broken / "saved_model.pb").write_bytes(whole)
    http_tools.wait_until(lambda: server.states("latest").get("3") == "AVAILABLE")
    assert answer(server, "latest") == 3.0


@pytest.mark.parametrize("damage", ["empty folder", "no variables", "bytes", "no such shard"])
def test_kinds_of_damage(
    server: Any, home: Path, model_folder: Path, http_tools: Any, damage: str
) -> None:
    before = answer(server, "latest")
    number = max(int(p.name) for p in (home / "latest").iterdir() if p.name.isdigit()) + 1
    hidden = home / "latest" / ".tmp-damaged"
    shutil.copytree(model_folder / "half_plus_two/2", hidden)
    if damage == "empty folder":
        shutil.rmtree(hidden)
        hidden.mkdir()
    elif damage == "no variables":
        shutil.rmtree(hidden / "variables")
    elif damage == "bytes":
        (hidden / "saved_model.pb").write_bytes(b"\x00garbage" * 100)
    else:
        (hidden / "variables/variables.data-00000-of-00001").write_bytes(b"")
    hidden.rename(home / "latest" / str(number))
    http_tools.wait_until(lambda: server.states("latest").get(str(number)) == "END")
    assert answer(server, "latest") == before
    shutil.rmtree(home / "latest" / str(number))  # rolled back by removing it


def test_a_file_is_no_version(server: Any, home: Path) -> None:
    (home / "latest/99").write_text("a file with a number for a name")
    (home / "latest/.tmp-77").mkdir()
    time.sleep(1.2)
    assert "99" not in server.states("latest")
    assert "77" not in server.states("latest")


def test_labels_move_with_the_config_file(server: Any, home: Path, http_tools: Any) -> None:
    def by_label(label: str) -> Any:
        return server.ask("POST", f"/v1/models/m/labels/{label}:predict", {"instances": [2.0]})

    latest = (home / "models.config").read_text().split("} config", 1)[1]
    extra = "config" + latest.rsplit("}", 1)[0]
    assert by_label("stable").json == {"predictions": [3.0]}
    assert by_label("canary").status == 400

    (home / "models.config").write_text(config_text(home / "m", {"stable": 1, "canary": 2}, extra))
    http_tools.wait_until(lambda: by_label("canary").status == 200)
    assert by_label("canary").json == {"predictions": [4.0]}
    assert by_label("stable").json == {"predictions": [3.0]}

    # promote
    (home / "models.config").write_text(config_text(home / "m", {"stable": 2}, extra))
    http_tools.wait_until(lambda: by_label("stable").json == {"predictions": [4.0]})
    assert by_label("canary").error == "Unrecognized servable version label: canary"

    # a label for a version that is not there is refused; what was, stays
    (home / "models.config").write_text(config_text(home / "m", {"stable": 7}, extra))
    http_tools.wait_until(lambda: "assign label to 7 of model m" in server.log)
    assert by_label("stable").json == {"predictions": [4.0]}

    # so is a file that cannot be read
    (home / "models.config").write_text("model_config_list {")
    http_tools.wait_until(lambda: "model_config_file" in server.log.split("label to 7", 1)[1])
    assert by_label("stable").json == {"predictions": [4.0]}
    (home / "models.config").write_text(config_text(home / "m", {"stable": 2}, extra))


def test_models_come_and_go_with_the_config_file(
    server: Any, home: Path, model_folder: Path, http_tools: Any
) -> None:
    text = (home / "models.config").read_text()
    more = (
        f'config {{ name: "echo" base_path: "{model_folder}/echo" model_platform: "tensorflow" }}'
    )
    (home / "models.config").write_text(text.rsplit("}", 1)[0] + more + "}")
    status = "/v1/models/echo"
    available = "/v1/models/echo/metadata"  # the status answers 200 in every state
    http_tools.wait_until(lambda: server.ask("GET", available).status == 200)
    found = server.predict("echo", {"instances": ["here"]})
    assert found.json == {"predictions": ["here"]}
    (home / "models.config").write_text(text)
    http_tools.wait_until(lambda: server.ask("GET", status).status == 404)
    assert server.predict("echo", {"instances": ["here"]}).status == 404


def test_the_last_version_stays_when_all_folders_go(
    server: Any, home: Path, http_tools: Any
) -> None:
    before = answer(server, "latest")
    for path in (home / "latest").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    http_tools.wait_until(lambda: "No versions of servable latest found" in server.log)
    assert answer(server, "latest") == before


def test_sigterm_ends_with_status_zero(server: Any, http_tools: Any) -> None:
    assert server.stop(signal.SIGTERM) == 0
    with pytest.raises(OSError):
        http_tools.ask(server.url, "GET", "/v1/models/m")
    assert "Traceback" not in server.log


def test_a_model_that_cannot_load_ends_the_process(
    start_server: Any, tmp_path: Path, model_folder: Path
) -> None:
    (tmp_path / "broken/1").mkdir(parents=True)
    (tmp_path / "broken/1/saved_model.pb").write_bytes(b"nonsense")
    (tmp_path / "empty").mkdir()
    version = model_folder / "echo/1"
    options = {"wait": False}
    waiting = {
        "broken version 1: ": start_server(
            "--model_name=broken", f"--model_base_path={tmp_path / 'broken'}", **options
        ),
        "empty: no version found under": start_server(
            "--model_name=empty", f"--model_base_path={tmp_path / 'empty'}", **options
        ),
        "is a version itself; give its parent folder": start_server(
            f"--model_base_path={version}", **options
        ),
        "nowhere: there is no folder": start_server(
            "--model_name=nowhere", f"--model_base_path={tmp_path / 'nowhere'}", **options
        ),
        "is remote; copy or mount it": start_server("--model_base_path=s3://a/b", **options),
    }
    for message, server in waiting.items():
        assert server.process.wait(90) == 1
        assert message in server.log
        assert "Traceback" not in server.log
        assert server.process.stdout.read() == ""
        server.process.stdout.close()


def with_warmup(version: Path) -> None:
    """Gives a version of half_plus_two one warm-up record."""
    proto = tf.make_tensor_proto(np.float32([1.0])).SerializeToString()
    request = message_class("PredictRequest")(inputs={"x": proto})
    record = message_class("PredictionLog")(predict_log={"request": request})
    file = version / "assets.extra/tf_serving_warmup_requests"
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(record.SerializeToString())


@pytest.mark.slow
def test_kill_in_the_middle_of_a_load(
    start_server: Any, tmp_path: Path, model_folder: Path, http_tools: Any
) -> None:
    """Killed while a version loads (its warm-up is endless here): the next start serves it."""
    base = tmp_path / "m"
    copy_version(model_folder / "half_plus_two/1", base, 1)
    shutil.copytree(model_folder / "half_plus_two/2", tmp_path / "warm")
    with_warmup(tmp_path / "warm")
    flags = ["--model_name=m", f"--model_base_path={base}"]
    server = start_server(*flags, "--num_request_iterations_for_warmup=100000000")
    copy_version(tmp_path / "warm", base, 2)
    http_tools.wait_until(lambda: server.states("m").get("2") == "LOADING")
    for _ in range(20):  # the old version answers meanwhile
        assert answer(server, "m") == 3.0
    assert server.states("m") == {"1": "AVAILABLE", "2": "LOADING"}
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    server = start_server(*flags)
    assert answer(server, "m") == 4.0
    assert server.states("m") == {"2": "AVAILABLE"}
    assert sorted(path.name for path in base.iterdir()) == ["1", "2"]
