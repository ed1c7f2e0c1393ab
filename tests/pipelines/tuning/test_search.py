"""A search as a user runs it: killed and taken up, failing trials, chief and workers, a winner."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml

from pipelines import tune as job
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.train import train
from pipelines.tune import tune as search

ROOT = Path(__file__).resolve().parents[3]
QUIET = Console(quiet=True)


def tune(*arguments, **options):
    """A search within this process, which is quicker where processes are not what is tested."""
    return search(*arguments, apart=False, **options)


@pytest.mark.job
def test_the_winner_is_a_config_and_a_run(searched, data, rows):
    found = rows(searched)
    assert [row["status"] for row in found] == ["completed"] * 2
    best = max(found, key=lambda row: float(row["goal"]))
    config = Config.load(searched / "best.yaml")
    assert config.tuning is None
    assert config.training.audit  # the search's own settings are not the winner's
    assert config.optimizer["learning_rate"] == float(best["optimizer.learning_rate"])
    assert config.backbone["units"] == json.loads(best["backbone.units"])
    assert (searched / "best" / "metrics.json").is_file()
    again = train(config, data.root, searched / "best", QUIET)  # what pipelines.train does
    assert again.config() == config


@pytest.mark.job
def test_the_goal_is_what_the_trials_own_history_says(searched, rows):
    for row, values in zip(
        rows(searched), sorted((searched / "trials").glob("trial_*")), strict=True
    ):
        with (values / "run" / "history.csv").open(newline="") as file:
            history = [float(r["val_all_funnel/cvr_auc"]) for r in csv.DictReader(file)]
        assert float(row["goal"]) == pytest.approx(max(history))


@pytest.mark.job
def test_trials_leave_no_models_behind_and_saw_no_test_rows(searched):
    for run in (searched / "trials").glob("trial_*/run"):
        assert [p.name for p in run.glob("checkpoints/*")] == ["state.json"]
        assert not (run / "metrics.json").exists()
        assert not (run / "audit.csv").exists()


@pytest.mark.job
def test_the_same_search_without_what_reports_alone_may_see(searched, data, folder, config, rows):
    copy = folder / "blind"
    shutil.copytree(data.root, copy)
    shutil.rmtree(copy / "reports")
    shutil.rmtree(copy / "test")
    with pytest.raises((ValueError, OSError)):  # the winner's report needs them; trials do not
        tune(config(), copy, folder / "blind_out", QUIET, trials=2)
    a, b = rows(searched), rows(folder / "blind_out")
    assert [r["goal"] for r in a] == [r["goal"] for r in b]


@pytest.mark.job
def test_asked_again_it_trains_nothing_anew(searched, data, config):
    before = {p: p.stat().st_mtime_ns for p in searched.glob("trials/*/run/history.csv")}
    tune(config(), data.root, searched, QUIET, trials=2)
    assert {p: p.stat().st_mtime_ns for p in searched.glob("trials/*/run/history.csv")} == before


@pytest.mark.job
def test_another_search_in_the_same_folder_is_refused(searched, data, config):
    with pytest.raises(ValueError, match="another tuner, seed"):
        tune(config(), data.root, searched, QUIET, trials=2, tuner="grid", seed=5)
    with pytest.raises(ValueError, match="another tuning"):
        tune(config({"backbone.units": {"values": [[8], [4]]}}), data.root, searched, QUIET)


@pytest.mark.job
def test_failed_trials_are_reported_and_skipped(data, folder, capsys, config, rows):
    space = {"features.shards": {"values": [1, ["GPU:77"]]}}  # no such device
    out = folder / "failing"
    tune(config(space), data.root, out, Console(), trials=4, tuner="grid")
    found = {row["features.shards"]: row for row in rows(out)}
    assert found["1"]["status"] == "completed"
    (failed,) = (row for shards, row in found.items() if "GPU:77" in shards)
    assert failed["status"] == "failed"
    assert "features.shards: ['GPU:77'] must be among the devices" in failed["reason"]
    said = capsys.readouterr().err
    assert "failed and is skipped" in said
    assert Config.load(out / "best.yaml").features["shards"] == 1


@pytest.mark.job
def test_if_every_trial_fails_the_search_says_why(data, folder, config):
    space = {"features.shards": {"values": [["GPU:77"], ["GPU:78"]]}}
    with pytest.raises(ValueError, match=r"no trial was completed; .*shards: .* must be among"):
        tune(config(space), data.root, folder / "hopeless", QUIET, trials=4, tuner="grid")


@pytest.mark.slow
def test_hyperband_goes_on_from_the_trial_it_promotes(data, folder, config, rows):
    out = folder / "hyperband"
    tune(
        config(tuning={"epochs": 3}), data.root, out, QUIET, trials=4, tuner="hyperband"
    )  # 3 trials of 1 epoch, then 1 of 3 epochs
    found = rows(out)
    assert [row["status"] for row in found] == ["completed"] * 4
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


def test_a_search_of_no_trial_is_refused(data, tmp_path, config):
    with pytest.raises(ValueError, match=r"^--trials: must be 1 or more, received 0$"):
        tune(config(), data.root, tmp_path / "none", QUIET, trials=0)


def test_a_config_without_a_space_is_one_clear_message(data, tmp_path, capsys, plain):
    path = tmp_path / "plain.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    arguments = ["--config", str(path), "--data", str(data.root), "--out", str(tmp_path / "o")]
    assert job.main(arguments) == 2
    assert "must hold `tuning`" in capsys.readouterr().err
