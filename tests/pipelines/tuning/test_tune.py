"""A search as a user runs it: killed and taken up, failing trials, chief and workers, a winner."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipelines import tune as job
from pipelines.config import Config
from pipelines.console import Console
from pipelines.datasets import simulated_funnel
from pipelines.datasets.funnel_world import Options
from pipelines.datasets.preparation import prepare
from pipelines.runs import Run
from pipelines.train import train
from pipelines.tune import tune
from pipelines.tuning import trials

ROOT = Path(__file__).resolve().parents[3]
QUIET = Console(quiet=True)
BASE = {
    "method": "all_negative",
    "backbone": {"name": "mlp", "units": [8]},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.003},
    "training": {"batch_size": 512, "epochs": 2, "patience": 4, "jit_compile": False},
}
SPACE = {
    "optimizer.learning_rate": {"low": 0.001, "high": 0.03, "log": True, "steps": 4},
    "backbone.units": {"values": [[8], [16, 8]]},
    "features.embedding_width": {"values": [4, 8]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tune")


@pytest.fixture(scope="module")
def data(folder):
    simulated_funnel.simulate(folder / "raw", Options(exposures=6000, preset="easy", seed=1))
    return prepare("simulated_funnel", folder / "raw", folder / "data")


def config(space=SPACE, **changes):
    tuning = {"space": space, **changes.pop("tuning", {})}
    return Config.parse({**BASE, **changes, "tuning": tuning})


def rows(out):
    with (out / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def searched(data, folder):
    tune(config(), data.root, folder / "random", QUIET, trials=3)
    return folder / "random"


def test_the_winner_is_a_config_and_a_run(searched, data):
    found = rows(searched)
    assert [row["status"] for row in found] == ["completed"] * 3
    best = max(found, key=lambda row: float(row["goal"]))
    config = Config.load(searched / "best.yaml")
    assert config.tuning is None
    assert config.training.audit  # the search's own settings are not the winner's
    assert config.optimizer["learning_rate"] == float(best["optimizer.learning_rate"])
    assert config.backbone["units"] == json.loads(best["backbone.units"])
    assert (searched / "best" / "metrics.json").is_file()
    again = train(config, data.root, searched / "best", QUIET)  # what pipelines.train does
    assert again.config() == config


def test_the_goal_is_what_the_trials_own_history_says(searched):
    for row, values in zip(
        rows(searched), sorted((searched / "trials").glob("trial_*")), strict=True
    ):
        with (values / "run" / "history.csv").open(newline="") as file:
            history = [float(r["val_all_funnel/cvr_auc"]) for r in csv.DictReader(file)]
        assert float(row["goal"]) == pytest.approx(max(history))


def test_trials_leave_no_models_behind_and_saw_no_test_rows(searched):
    for run in (searched / "trials").glob("trial_*/run"):
        assert [p.name for p in run.glob("checkpoints/*")] == ["state.json"]
        assert not (run / "metrics.json").exists()
        assert not (run / "audit.csv").exists()


def test_the_same_search_without_what_reports_alone_may_see(searched, data, folder):
    copy = folder / "blind"
    shutil.copytree(data.root, copy)
    shutil.rmtree(copy / "reports")
    shutil.rmtree(copy / "test")
    with pytest.raises((ValueError, OSError)):  # the winner's report needs them; trials do not
        tune(config(), copy, folder / "blind_out", QUIET, trials=3)
    a, b = rows(searched), rows(folder / "blind_out")
    assert [r["goal"] for r in a] == [r["goal"] for r in b]


def test_asked_again_it_trains_nothing_anew(searched, data):
    before = {p: p.stat().st_mtime_ns for p in searched.glob("trials/*/run/history.csv")}
    tune(config(), data.root, searched, QUIET, trials=3)
    assert {p: p.stat().st_mtime_ns for p in searched.glob("trials/*/run/history.csv")} == before


def test_another_search_in_the_same_folder_is_refused(searched, data):
    with pytest.raises(ValueError, match="another tuner, seed"):
        tune(config(), data.root, searched, QUIET, trials=3, tuner="grid", seed=5)
    with pytest.raises(ValueError, match="another tuning"):
        tune(config({"backbone.units": {"values": [[8], [4]]}}), data.root, searched, QUIET)


def test_failed_trials_are_reported_and_skipped(data, folder, capsys):
    space = {"model.alpha": {"values": [0.5, 1.5]}}  # it must lie between 0 and 1
    out = folder / "failing"
    tune(config(space), data.root, out, Console(), trials=4, tuner="grid")
    found = {row["model.alpha"]: row for row in rows(out)}
    assert found["0.5"]["status"] == "completed"
    assert found["1.5"]["status"] == "failed"
    assert "alpha: must lie between 0 and 1" in found["1.5"]["reason"]
    said = capsys.readouterr().err
    assert "failed and is skipped" in said
    assert Config.load(out / "best.yaml").model["alpha"] == 0.5


def test_if_every_trial_fails_the_search_says_why(data, folder):
    space = {"model.alpha": {"values": [1.5, 2.5]}}
    with pytest.raises(ValueError, match=r"no trial was completed; .*alpha: must lie"):
        tune(config(space), data.root, folder / "hopeless", QUIET, trials=4, tuner="grid")


@pytest.mark.slow
def test_hyperband_goes_on_from_the_trial_it_promotes(data, folder):
    out = folder / "hyperband"
    tune(
        config(tuning={"epochs": 3}), data.root, out, QUIET, trials=5, tuner="hyperband"
    )  # 3 trials of 1 epoch, then 1 of 3 epochs, ...
    found = rows(out)
    assert [row["status"] for row in found] == ["completed"] * 5
    states = [json.loads(p.read_text()) for p in sorted(out.glob("trials/trial_*/trial.json"))]
    promoted = [s for s in states if "tuner/trial_id" in s["hyperparameters"]["values"]]
    assert promoted
    for state in promoted:
        values = state["hyperparameters"]["values"]
        trials = out / "trials"
        short = (trials / f"trial_{values['tuner/trial_id']}/run/history.csv").read_text()
        long = (trials / f"trial_{state['trial_id']}/run/history.csv").read_text()
        assert long.startswith(short.strip())  # its first epochs are not trained again
        assert len(long.splitlines()) == 1 + values["tuner/epochs"]


# -- processes -----------------------------------------------------------------------------------


def command(path, data, out, *more):
    words = [sys.executable, "-m", "pipelines.tune", "--config", str(path), "--data", str(data)]
    return [*words, "--out", str(out), "--trials", "3", "--no-report", *more]


def start(words, **variables):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture(scope="module")
def config_file(folder):
    path = folder / "search.yaml"
    path.write_text(
        yaml.safe_dump({**BASE, "tuning": {"space": SPACE}}, sort_keys=False), encoding="utf-8"
    )
    return path


@pytest.mark.slow
def test_a_search_killed_twice_ends_as_one_left_alone(searched, data, folder, config_file):
    out = folder / "killed"
    words = command(config_file, data.root, out)
    for seen in (1, 2):  # once within the first trial, once within the second
        process = start(words)
        deadline = time.monotonic() + 240
        while len(list(out.glob("trials/trial_*/run/checkpoints/state.json"))) < seen:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (out / "best.yaml").exists()
    process = start(words)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    assert "(goes on)" in said
    a, b = rows(searched), rows(out)
    assert len(b) == 3
    for left_alone, killed in zip(a, b, strict=True):
        assert float(left_alone.pop("goal")) == pytest.approx(float(killed.pop("goal")), abs=1e-6)
        assert left_alone == killed
    assert (out / "best.yaml").read_bytes() == (searched / "best.yaml").read_bytes()


@pytest.mark.slow
def test_sigterm_stops_the_search_and_fails_no_trial(data, folder, config_file):
    out = folder / "stopped"
    process = start(command(config_file, data.root, out, "--set", "training.epochs=200"))
    deadline = time.monotonic() + 240
    while not list(out.glob("trials/trial_*/run/history.csv")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 143, said
    assert "the same command goes on" in said
    assert "failed" not in said
    states = [json.loads(p.read_text()) for p in out.glob("trials/trial_*/trial.json")]
    assert [state["status"] for state in states] == ["RUNNING"]


@pytest.mark.slow
def test_a_chief_and_two_workers_over_loopback(data, folder, config_file):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
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


@pytest.mark.slow
def test_a_trial_in_a_process_of_its_own(data, folder):
    out = folder / "apart"
    space = {"model.alpha": {"values": [0.5, 1.5]}}
    tune(config(space), data.root, out, QUIET, trials=2, tuner="grid", apart=True)
    found = {row["model.alpha"]: row for row in rows(out)}
    assert found["0.5"]["status"] == "completed"
    assert "alpha: must lie between 0 and 1" in found["1.5"]["reason"]


def _killed(pipe, *rest):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_ended_from_outside_is_one_failed_trial(data, folder, monkeypatch):
    monkeypatch.setattr(trials, "_child", _killed)
    with pytest.raises(RuntimeError, match="ended with status -9"):
        trials.train_trial_apart(config(), data, Run(folder / "gone"), None)


def test_a_config_without_a_space_is_one_clear_message(data, tmp_path, capsys):
    path = tmp_path / "plain.yaml"
    path.write_text(yaml.safe_dump(BASE), encoding="utf-8")
    arguments = ["--config", str(path), "--data", str(data.root), "--out", str(tmp_path / "o")]
    assert job.main(arguments) == 2
    assert "must hold `tuning`" in capsys.readouterr().err
