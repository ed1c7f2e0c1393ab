"""A search's processes: killed and taken up, stopped, shared, and each trial apart."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.common.free_ports import free_ports
from pipelines.cli.console import Console
from pipelines.experiment.tensorboard import HParams
from pipelines.tune import tune
from pipelines.tuning.subprocess_call import run_apart

ROOT = Path(__file__).resolve().parents[3]
QUIET = Console(quiet=True)


def command(path, data, out, *more, trials=3):
    words = [sys.executable, "-m", "pipelines.tune", "--config", str(path), "--data", str(data)]
    return [*words, "--out", str(out), "--trials", str(trials), "--no-report", *more]


@pytest.fixture
def start(warm_processes):
    """Starts a search that has TensorFlow imported already; its trials import it anew."""

    def start(words, **variables):
        return warm_processes.Popen(
            words,
            cwd=ROOT,
            env={**os.environ, **variables},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    return start


def start_group(words):
    """Starts a search and its trials as a group of processes, as a terminal does."""
    # tests begun in a shell's background ignore Ctrl-C, and what they start would inherit that
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            words,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_a_search_killed_twice_ends_as_one_left_alone(
    searched, data, folder, config_file, rows, trained_by, processes, start
):
    out = folder / "killed"
    words = command(config_file, data.root, out, trials=2)
    for seen in (1, 2):  # once within the first trial, once within the second
        process = start(words)
        deadline = time.monotonic() + 240
        while len(list(out.glob("trials/trial_*/run/checkpoints/state.json"))) < seen:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        training = processes.children(process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert training
        assert all(processes.gone(pid) for pid in training)  # none trains on
        assert not (out / "best.yaml").exists()
    process = start(words)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    assert "(goes on)" in said
    a, b = rows(searched), rows(out)
    assert len(b) == 2
    for left_alone, killed in zip(a, b, strict=True):
        assert float(left_alone.pop("goal")) == pytest.approx(float(killed.pop("goal")), abs=1e-6)
        assert left_alone == killed
    assert (out / "best.yaml").read_bytes() == (searched / "best.yaml").read_bytes()
    assert len({process.pid, *trained_by(out)}) == 3  # each trial apart, which is the default


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        (signal.SIGTERM, 143, "the same command goes on"),  # to the search alone
        (signal.SIGINT, 130, "interrupted"),  # as a terminal sends Ctrl-C: to trial and search
    ],
)
def test_a_signal_stops_the_search_and_fails_no_trial(
    data, folder, config_file, processes, start, number, status, word
):
    out = folder / f"stopped_{status}"
    begin = start_group if number == signal.SIGINT else start
    process = begin(command(config_file, data.root, out, "--set", "training.epochs=200"))
    deadline = time.monotonic() + 240
    while not list(out.glob("trials/trial_*/run/history.csv")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    training = processes.children(process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == status, said
    assert word in said
    assert "failed" not in said
    assert "Traceback" not in said
    assert all(processes.gone(pid) for pid in training)
    states = [json.loads(p.read_text()) for p in out.glob("trials/trial_*/trial.json")]
    assert [state["status"] for state in states] == ["RUNNING"]


@pytest.mark.slow
def test_a_chief_and_two_workers_over_loopback(data, folder, config_file, rows, start):
    (port,) = free_ports(1)
    out = folder / "cluster"
    shared = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    words = command(config_file, data.root, out)
    names = ("chief", "worker-a", "worker-b")
    processes = {n: start(words, KERASTUNER_TUNER_ID=n, **shared) for n in names}
    said = {n: p.communicate(timeout=400)[1] for n, p in processes.items()}
    assert {n: p.returncode for n, p in processes.items()} == dict.fromkeys(names, 0), said
    assert [row["status"] for row in rows(out)] == ["completed"] * 3
    assert (out / "best" / "metrics.json").is_file()
    done = "".join(said[n] for n in names[1:])
    for number in (1, 2, 3):
        assert done.count(f"trial {number} of 3: all_funnel/cvr_auc") == 1
    assert "trains the winner" in said["chief"]


@pytest.fixture(scope="module")
def apart(data, folder, config, processes):
    """A search of four trials, each apart: the first is killed, the last cannot be built."""
    out, held = folder / "apart", []
    space = {
        "model.alpha": {"values": [0.5, 0.6, 0.7, 0.8]},
        "features.shards": {
            "values": [["GPU:77"]],
            "when": {"model.alpha": [0.8]},
        },  # none such
    }
    search = SimpleNamespace(pid=os.getpid())

    def kill_one():
        while not list(out.glob("trials/trial_*/run/config.yaml")):
            time.sleep(0.05)
        for pid in processes.children(search):
            if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)

    def tell(values, results, run):
        status = Path("/proc/self/status").read_text()
        held.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024)

    killer = threading.Thread(target=kill_one)
    killer.start()
    compiled = config(
        space, training={**config().training.model_dump(), "jit_compile": True, "epochs": 1}
    )
    with pytest.MonkeyPatch.context() as patch:  # what is compiled is most of what would be left
        patch.setenv("IDEFN_TF_JIT", "1")
        tune(compiled, data.root, out, QUIET, trials=4, tuner="grid", listener=tell)
    killer.join()
    return SimpleNamespace(out=out, held=held)


@pytest.mark.slow
@pytest.mark.xla
def test_memory_does_not_grow_over_trials(apart, trained_by):
    assert len(apart.held) == 2
    assert apart.held[-1] - apart.held[0] < 20  # MiB; in one process each leaves many times as much
    assert len({os.getpid(), *trained_by(apart.out)}) == 3
    files = apart.out.glob("trials/*/run/trial.json")
    peaks = [json.loads(p.read_text())["peak_mib"] for p in files]
    assert max(peaks) < 1.2 * min(peaks)


@pytest.mark.slow
@pytest.mark.xla
def test_a_trial_that_fails_or_is_killed_in_its_process_is_skipped(apart, rows):
    killed, *done, failed = rows(apart.out)
    assert killed["status"] == failed["status"] == "failed"
    assert "its process was ended, with status -9; see" in killed["reason"]
    assert Path(killed["reason"].split("see ")[1]).name == "log.txt"
    assert "features.shards: ['GPU:77'] must be among the devices" in failed["reason"]
    assert [row["status"] for row in done] == ["completed"] * 2


@pytest.mark.job
def test_a_trial_is_noted_for_tensorboard_by_another_process(tmp_path):
    """As --tensorboard does it, so that TensorFlow's writer claims no device of the trials."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_apart(HParams(tmp_path), {"model.kappa": 0.01}, {"goal": 0.5}, tmp_path / "trial_7" / "run")
    found = EventAccumulator(str(tmp_path / "trial_7"), {"tensors": 0}).Reload()
    assert found.Tensors("goal")
    assert found.SummaryMetadata("_hparams_/session_start_info")
