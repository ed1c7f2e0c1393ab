"""A log by the hour: every arrival once, scores before learning, and kill -9 in between."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from idefn_tf.data import open_dataset
from idefn_tf.export.run_files import CALIBRATION
from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.datasets.registry import prepare
from pipelines.datasets.simulated_funnel import simulated_funnel
from pipelines.datasets.simulated_funnel.funnel_world import Options
from pipelines.experiment.config import Config
from pipelines.experiment.run_folder import Run
from pipelines.report import report
from pipelines.stream import RESULT, main, stream
from pipelines.streaming.arrivals import Rule, arrivals
from pipelines.streaming.hours import Hours
from pipelines.streaming.stream_log import StreamLog

pytestmark = pytest.mark.job
ROOT = Path(__file__).parents[2]
QUIET = Console(quiet=True)
CONFIG = {
    "method": "all_negative",
    "backbone": {"name": "mlp", "units": [8], "dropout": 0.1},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.01, "l2_rows": 0.01},
    "feedback": {"name": "dfm"},
    "training": {"batch_size": 64, "epochs": 1, "jit_compile": False, "audit": False},
}
SCHEMA = Schema.load("schemas/simulated_funnel_delay.yaml")
HOURS = 4
OPTIONS = ("--pretrain-days", "8", "--controls")


@pytest.fixture(scope="module")
def delayed(tmp_path_factory):
    """A prepared log of ten days whose conversions take half a day."""
    folder = tmp_path_factory.mktemp("delayed")
    options = Options(
        exposures=6000, preset="easy", seed=1, delay="exponential", delay_days=0.5, users=1500
    )
    simulated_funnel.simulate(folder / "raw", options)
    return prepare("simulated_funnel", folder / "raw", folder / "data", schema=SCHEMA)


def command(starter, folder, data, *further):
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    arguments = ["--config", folder / "config.yaml", "--data", data.root, "--out", folder / "run"]
    return starter.Popen(
        [sys.executable, "-m", "pipelines.stream", *map(str, (*arguments, *further))],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(starter, folder, data, *further):
    process = command(starter, folder, data, *further)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def wait_for(process, path):
    end = time.monotonic() + 240
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture(scope="module")
def streamed(delayed, tmp_path_factory, warm_processes):
    """The folder of a stream that nothing stopped, with controls."""
    folder = tmp_path_factory.mktemp("streamed")
    said = finish(warm_processes, folder, delayed, *OPTIONS, "--hours", HOURS)
    assert "goes on" not in said
    return folder / "run"


def same_states(one, other, hour):
    """Compares the states at an hour's end bit by bit; returns how many arrays they hold."""
    count = 0
    for name in ("method", "oracle"):
        a, b = (Hours(run / "hours").restored(name, hour) for run in (one, other))
        for path, left, right in zip(a.names, a.values, b.values, strict=True):
            if not path.endswith(("counts", "sums")):  # of metrics, which begin anew
                np.testing.assert_array_equal(left, right, err_msg=f"{name} {path}")
                count += 1
    grown = [Hours(run / "hours").growth(SCHEMA, hour) for run in (one, other)]
    assert grown[0].learned == grown[1].learned
    assert grown[0].waiting == grown[1].waiting
    return count


def told(out):
    return json.loads((out / RESULT).read_text())


def test_every_arrival_is_trained_on_once(streamed, delayed):
    """The counts of all hours are those of the log between the stream's two ends."""
    log, found = StreamLog.of(delayed), told(streamed)
    start = log.begins() + 8 * 24 * log.hour
    assert pd.Timestamp(found["begins"]).value // 10**6 == start
    for name, rule in (("method", Rule((0, 1, 2), window=7.0)), ("oracle", Rule((0,)))):
        every = arrivals(log.times, rule)
        some = every.part(every.before(start), every.before(start + HOURS * log.hour))
        summed = {
            kind: sum(hour["trained"][name][kind] for hour in found["hours"])
            for kind in ("first", "late", "revisit")
        }
        assert summed == some.count()
    assert summed["late"] == summed["revisit"] == 0 < summed["first"]


def test_an_hour_is_scored_before_it_is_learned(streamed):
    """All begin with the pretrained model; it stays, the others learn."""
    first, last = (
        pq.read_table(streamed / f"hours/{hour:06d}/scores.parquet").to_pandas()
        for hour in (0, HOURS - 1)
    )
    for score in ("ctr", "cvr", "ctcvr"):
        for name in ("method", "oracle"):
            assert (first[f"{name}/{score}"] == first[f"pretrained/{score}"]).all()
            assert (last[f"{name}/{score}"] != last[f"pretrained/{score}"]).all()
    assert (last["method/cvr"] != last["oracle/cvr"]).all()
    metrics = told(streamed)["hours"][0]["metrics"]
    assert metrics["method"] == metrics["oracle"] == metrics["pretrained"]


def test_metrics_are_those_of_final_labels(streamed, delayed):
    log, found = StreamLog.of(delayed), told(streamed)
    hour = found["hours"][1]
    shown = log.times.shown
    rows = (shown >= hour["begins"]) & (shown < hour["begins"] + log.hour)
    counted = hour["metrics"]["method"]["clicked"]
    assert hour["exposures"] == rows.sum()
    assert counted["rows"] == log.times.click[rows].sum()
    assert counted["conversions"] == log.times.final[rows].sum()
    of = {name: found["mean"][name]["clicked"] for name in ("oracle", "pretrained")}
    for metric, sign in (("auc", 1), ("pr_auc", 1), ("log_loss", -1)):
        gains = sign * (of["oracle"][metric] - of["pretrained"][metric]) > 0
        assert found["ri"]["mean"]["oracle"]["clicked"][metric] == (1.0 if gains else None)
    # conversions may take a week: of every hour of the ninth day silent clicks are undecided
    some = (shown >= found["hours"][0]["begins"]) & (shown < hour["begins"] + 3 * log.hour)
    silent = int((log.times.click & ~log.times.final)[some].sum())
    assert found["undecided_clicks"] == silent > 0
    assert (
        found["label"]
        == f"known at the log's end, when {silent} clicks of these hours could convert"
    )


def test_new_ids_enter_and_hours_save_what_they_changed(streamed):
    grown = [hour["vocabularies"]["user_id"] for hour in told(streamed)["hours"]]
    assert sum(hour["new"] for hour in grown) > 0
    saved = [hour["saved"] for hour in told(streamed)["hours"]]
    assert [one["base"] for one in saved] == [-1, -1, 2, 2]  # the third would pass half of a whole
    for hour, one in enumerate(saved):
        files = {path.name for path in (streamed / f"hours/{hour:06d}").iterdir()}
        kept = {"method.delta.npz", "oracle.delta.npz", "grown.json"}
        if one["base"] == hour:
            kept = {"method.npz", "oracle.npz", "growth.json"}
        assert files == {"hour.json", "scores.parquet", *kept}
    assert saved[1]["since_base"] == saved[0]["bytes"] + saved[1]["bytes"]
    assert 3 * saved[1]["since_base"] > saved[2]["bytes"] > 2 * saved[1]["since_base"]
    assert (streamed / "hours/pretrained/method.npz").is_file()
    assert "curves-clicked" in (streamed / "stream.html").read_text()


def test_the_runs_report_has_the_streams_section(streamed, tmp_path):
    page = report(streamed, QUIET, out=tmp_path / "report.html").read_text()
    value = told(streamed)["ri"]["pooled"]["method"]["all_funnel"]["log_loss"]
    key = "ri/pooled/method/all_funnel/log_loss"
    assert f'data-value="{value!r}" data-key="{key}"' in page
    assert page.count('id="stream-clicked-') >= 4


def test_the_saved_model_scores_the_next_hour_as_the_stream_does(
    streamed, delayed, tmp_path, warm_processes
):
    """And a stream that ended is taken up: its last hours are those of one that never stopped."""
    out = tmp_path / "run"
    finish(warm_processes, tmp_path, delayed, *OPTIONS, "--hours", HOURS - 1)
    assert len(told(out)["hours"]) == HOURS - 1
    model = Run.open(out).load_model()
    finish(warm_processes, tmp_path, delayed, *OPTIONS, "--hours", HOURS)
    assert told(out) == told(streamed)
    assert same_states(out, streamed, HOURS - 1) > 50
    scores = pq.read_table(out / f"hours/{HOURS - 1:06d}/scores.parquet").to_pandas()
    log = StreamLog.of(delayed)
    tables = pd.concat([delayed.table(part).to_pandas() for part in delayed.parts])
    table = tables.sort_values("exposure_time", kind="stable").iloc[scores["row"]]
    assert (table["exposure_time"].to_numpy() == log.times.shown[scores["row"]]).all()
    rows = open_dataset(delayed.schema, table, batch_size=512, labels=False)
    np.testing.assert_allclose(model.predict(rows, verbose=0)["cvr"], scores["method/cvr"], 1e-5)


def test_killed_at_any_hour_it_ends_as_if_left_alone(streamed, delayed, tmp_path, warm_processes):
    """Killed in hour 0, right after pretraining, and again in hour 2.

    A calibrator of before is gone as soon as an hour is whole.
    """
    calibrator = tmp_path / "run" / CALIBRATION
    for place in ("pretrained", "000001"):
        process = command(warm_processes, tmp_path, delayed, *OPTIONS, "--hours", HOURS)
        wait_for(process, tmp_path / "run/hours" / place)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (tmp_path / "run" / RESULT).exists()
        assert not calibrator.exists()
        if place == "pretrained":
            calibrator.write_text("{}")
    said = finish(warm_processes, tmp_path, delayed, *OPTIONS, "--hours", HOURS)
    assert "goes on with hour" in said
    assert told(tmp_path / "run") == told(streamed)
    assert same_states(tmp_path / "run", streamed, HOURS - 1) > 50
    assert not list((tmp_path / "run").rglob(".tmp-*"))


def test_sigterm_ends_after_the_hour(streamed, delayed, tmp_path, warm_processes):
    process = command(warm_processes, tmp_path, delayed, *OPTIONS)
    wait_for(process, tmp_path / "run/hours/000000")
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 143, said
    hours = told(tmp_path / "run")["hours"]
    assert 1 <= len(hours) < 40
    assert hours[:HOURS] == told(streamed)["hours"][: len(hours)]


def test_what_does_not_fit_is_refused(streamed, delayed, tmp_path, capsys):
    config = Config.parse(CONFIG)
    with pytest.raises(ValueError, match=r"--out: .* holds a stream with another controls"):
        stream(config, delayed, streamed, QUIET, pretrain_days=8)
    with pytest.raises(ValueError, match=r"--pretrain-days: must leave hours .* has 240 of them"):
        stream(config, delayed, tmp_path / "a", QUIET, pretrain_days=10)
    positives = {**CONFIG, "training": {**CONFIG["training"], "positives_per_batch": 4}}
    with pytest.raises(ValueError, match=r"training\.positives_per_batch: must be left out"):
        stream(Config.parse(positives), delayed, tmp_path / "a", QUIET)
    weigh = Config.parse({**CONFIG, "feedback": {"name": "weigh", "mean_delay": 1.0}})
    with pytest.raises(ValueError, match="feedback: must be one that reads streams"):
        stream(weigh, delayed, tmp_path / "b", QUIET, pretrain_days=8)
    assert not (tmp_path / "b").exists()
    (tmp_path / "c").mkdir()
    (tmp_path / "c/mine.txt").touch()
    with pytest.raises(ValueError, match="must be new or hold a stream"):
        stream(config, delayed, tmp_path / "c", QUIET)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    given = ["--config", tmp_path / "config.yaml", "--data", delayed.root, "--out", tmp_path / "d"]
    assert main([*map(str, given), "--key", "row_id"]) == 2
    assert "--key: must go with --follow" in capsys.readouterr().err
