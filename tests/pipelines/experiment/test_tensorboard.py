"""Tracking as the command line switches it on, and a search's trials for the HParams tab."""

import argparse

import pytest

from pipelines import train
from pipelines.experiment.tensorboard import HParams, make_callbacks
from pipelines.preparation.prepared_folder import Prepared

pytest.importorskip("tensorboard")


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return found


def test_a_trial_is_written_with_its_values_and_its_goal(tmp_path):
    from tensorboard.plugins.hparams import plugin_data_pb2
    from tensorboard.util.tensor_util import make_ndarray

    values = {"model.kappa": 0.01, "backbone.units": [64, 32], "method": "idefn", "x": True}
    HParams(tmp_path)(values, {"goal": 0.71, "epoch": 3.0}, tmp_path / "trial_07" / "run")
    found = events(tmp_path / "trial_07")
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    noted = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert noted.hparams["model.kappa"].number_value == 0.01
    assert noted.hparams["backbone.units"].string_value == "[64, 32]"
    assert noted.hparams["x"].bool_value is True
    (goal,) = found.Tensors("goal")
    assert float(make_ndarray(goal.tensor_proto)) == pytest.approx(0.71)


def test_nothing_is_tracked_unless_asked_for(tmp_path):
    given = argparse.Namespace(tensorboard=False, profile=None)
    assert make_callbacks(given, Prepared(tmp_path)) == []


@pytest.mark.slow
def test_the_command_line_switches_it_on(tmp_path, capsys, simulated):
    data = simulated(tmp_path, 4000)
    words = ["--config", "pipelines/configs/simulated/idefn.yaml", "--data", str(data.root)]
    words += ["--set", "backbone.units=[8]", "--set", "model.transport.steps=20"]
    for setting in ("epochs=1", "batch_size=512", "jit_compile=false", "audit=false"):
        words += ["--set", f"training.{setting}"]
    wrong = [*words, "--out", str(tmp_path / "wrong"), "--profile", "ten"]
    assert train.main([*wrong, "--no-report"]) == 2
    assert "--profile: must be two steps such as 20,30" in capsys.readouterr().err
    out = tmp_path / "run"
    given = [*words, "--out", str(out), "--no-report", "--tensorboard", "--quiet"]
    assert train.main(given) == 0
    assert (out / "history.csv").is_file()
    tags = events(out / "tensorboard" / "validation").Tags()["tensors"]
    assert {"all_funnel/cvr_auc", "clicked/cvr_auc", "cvr/clicked", "cvr/unclicked"} <= set(tags)
    assert "oracle/cvr_auc" not in tags
