"""A config's feedback in a training: window, labels of the data, resuming, warm starts."""

import json

import numpy as np
import pandas as pd
import pytest

from idefn_tf.models.feedback import DFMFeedback, ESDFMFeedback
from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.datasets.registry import prepare
from pipelines.experiment import label_feedback
from pipelines.experiment.checkpoint import capture
from pipelines.experiment.config import Config
from pipelines.experiment.run_folder import Run
from pipelines.preparation.split import parse
from pipelines.report import report
from pipelines.reports.material import gather
from pipelines.reports.train_batch import draw_batch
from pipelines.train import train

HOUR = 3600
DAY = 24 * HOUR
START = 1_714_521_600  # 2024-05-01
QUIET = Console(quiet=True)
SPLIT = parse("train=2024-05-01..2024-05-04,validation=2024-05-05,test=2024-05-06..2024-05-07")
CONFIG = {
    "method": "all_negative",
    "backbone": {"name": "mlp", "units": [8]},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.01},
    "training": {"batch_size": 64, "epochs": 2, "jit_compile": False, "audit": False},
}


def schema(**labels):
    times = {
        "exposure_time": "shown_at", "click_time": "clicked_at", "conversion_time": "bought_at",
        "time_unit": "s", "attribution": {"window_hours": 48, "from": "click"},
        "immature": "keep",
    }  # fmt: skip
    return Schema.parse(
        {
            "name": "shop",
            "embedding_width": 4,
            "labels": {"click": "clicked", "conversion": "bought", **times, **labels},
            "features": [
                {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
                {"name": "item", "dtype": "int64", "side": "item", "kind": "vocabulary"},
            ],
        }
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """700 exposures of a week; a click converts after an exponential delay of a day."""
    folder, rng, n = tmp_path_factory.mktemp("delays"), np.random.default_rng(0), 700
    shown = START + np.arange(n) * 7 * DAY // n
    click = rng.random(n) < 0.6
    bought = click & (rng.random(n) < 0.5)
    clicked_at = shown + 60
    bought_at = clicked_at + (rng.exponential(DAY, n)).astype(int)
    frame = pd.DataFrame(
        {
            "user": rng.integers(0, 20, n), "item": rng.integers(0, 10, n), "shown_at": shown,
            "clicked": click.astype(int), "bought": bought.astype(int),
            "clicked_at": pd.array(np.where(click, clicked_at, 0), "Int64"),
            "bought_at": pd.array(np.where(bought, bought_at, 0), "Int64"),
        }
    )  # fmt: skip
    frame.loc[~click, "clicked_at"] = pd.NA
    frame.loc[~bought, "bought_at"] = pd.NA
    frame.to_parquet(folder / "raw.parquet")
    return prepare(
        "table", folder / "raw.parquet", folder / "data", schema=schema(), split=SPLIT,
        as_of=START + 5 * DAY,
    )  # fmt: skip


def config(feedback, **changes):
    return Config.parse({**CONFIG, **changes, "feedback": feedback})


def test_the_window_is_the_schemas_unless_the_config_has_one():
    assert label_feedback.make_feedback({"name": "wait"}, schema()).window == 2.0
    given = {"name": "es_dfm", "window": 5, "wait": 0.5}
    made = label_feedback.make_feedback(given, schema())
    assert isinstance(made, ESDFMFeedback)
    assert (made.window, made.wait) == (5.0, 0.5)


def test_times_that_no_schema_names_are_asked_for():
    bare = schema(exposure_time=None, click_time=None, conversion_time=None, attribution=None,
                  immature="drop")  # fmt: skip
    with pytest.raises(ValueError, match=r"received 'wait', which learns from elapsed;") as caught:
        label_feedback.make_feedback({"name": "wait"}, bare)
    assert str(caught.value).startswith("name: must be one of ['fnc', 'fnw', 'observed'] on data")
    for part in ("exposure_time, click_time and conversion_time", "from: click}", "immature: keep",
                 "prepare the log again"):  # fmt: skip
        assert part in str(caught.value)  # the whole cure, at once
    assert label_feedback.make_feedback({"name": "fnw"}, bare).labels == ()
    endless = schema(attribution=None, immature="drop")
    with pytest.raises(ValueError, match=r"window: must be given for 'dfm', received none"):
        label_feedback.make_feedback({"name": "dfm"}, endless)
    assert label_feedback.make_feedback({"name": "dfm", "window": 3}, endless).window == 3


def test_rows_that_preparation_left_out_are_told():
    said = label_feedback.dropped_note(DFMFeedback(window=2), schema(immature="drop"))
    assert said is not None
    assert "left out" in said
    assert "labels.immature: keep" in said
    assert label_feedback.dropped_note(DFMFeedback(window=2), schema()) is None


def test_a_config_is_checked_with_file_line_and_key(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("method: esmm\nfeedback:\n  name: es_dfm\n  wait: -1\n")
    with pytest.raises(ValueError, match=r"a\.yaml:4: feedback\.wait: must be .* received -1"):
        Config.load(path)
    path.write_text("method: esmm\nfeedback: {name: esdfm}\n")
    with pytest.raises(ValueError, match=r"a\.yaml:2: feedback\.name: must be one of \['defer'"):
        Config.load(path)
    with pytest.raises(ValueError, match=r"--set feedback\.units=3: feedback\.units: "):
        Config.load(path, ["feedback.name=fnw", "feedback.units=3"])


def test_a_search_may_choose_it():
    space = {
        "feedback.name": {"values": ["observed", "dfm"]},
        "feedback.units": {"values": [[8], [16]], "when": {"feedback.name": ["dfm"]}},
    }
    assert config({}, tuning={"space": space}).tuning is not None
    space["feedback.name"] = {"values": ["dfm", "dmf"]}
    with pytest.raises(ValueError, match=r"tuning\.space\.feedback\.name\.values\[1\]: must be"):
        config({}, tuning={"space": space})


@pytest.mark.job
def test_a_run_learns_from_delays_and_keeps_its_likelihood(data, tmp_path):
    run = train(config({"name": "es_dfm", "wait": 0.1}), data, tmp_path / "run", QUIET)
    assert Run.open(run.root).config().feedback == {"name": "es_dfm", "wait": 0.1}
    best = run.load_model()
    assert isinstance(best.feedback, ESDFMFeedback)
    assert best.feedback.window == 2.0
    metrics = json.loads(run.metrics_path.read_text())
    assert set(metrics) == {"validation", "test"}
    said = {part: {space["label"] for space in found.values()} for part, found in metrics.items()}
    assert said == {"validation": {"known at 2024-05-06 00:00:00 UTC"}, "test": {"final"}}
    assert "feedback_loss" in run.history_path.read_text().splitlines()[0]
    report(run.root, QUIET, data=data)
    page = (run.root / "report.html").read_text("utf-8")
    assert "feedback_loss" in page
    batch = draw_batch(gather(run, data, []))
    assert batch is not None
    assert {"elapsed", "conversion_delay"} <= set(batch.labelled.extra)


@pytest.mark.job
def test_a_run_stopped_and_taken_up_again_ends_alike(data, tmp_path):
    feedback = {"name": "dfm", "units": [4]}
    whole = train(config(feedback), data, tmp_path / "whole", QUIET, evaluate=False)
    half = {**CONFIG["training"], "epochs": 1}
    config_of_half = config(feedback, training=half)
    train(config_of_half, data, tmp_path / "halves", QUIET, evaluate=False)
    run = Run(tmp_path / "halves")
    state = run.load_state()
    run.state_path.write_text(json.dumps({**state, "finished": False}))
    config(feedback).save(run.root / "config.yaml")
    again = train(config(feedback), data, tmp_path / "halves", QUIET, evaluate=False)
    assert whole.history_path.read_text() == again.history_path.read_text()
    one, two = (capture(r.load_model(), 0, 0).values for r in (whole, again))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.job
def test_a_run_may_go_on_with_another_likelihood_of_the_same_variables(data, tmp_path):
    first = train(config({}), data, tmp_path / "first", QUIET, evaluate=False)
    train(config({"name": "fnw"}), data, tmp_path / "fnw", QUIET, base=first.root, evaluate=False)
    with pytest.raises(ValueError, match=r"was trained with another feedback; a run goes on"):
        train(config({"name": "dfm"}), data, tmp_path / "dfm", QUIET, base=first.root)
    other = config({}, encoder={"name": "din"})
    with pytest.raises(ValueError, match=r"was trained with another encoder; a run goes on"):
        train(other, data, tmp_path / "din", QUIET, base=first.root)


def test_heads_of_other_horizons_are_other_heads():
    """As many of them have the same shapes, and would be read as what they are not."""
    trace, same = {"name": "trace", "units": [4]}, label_feedback.same_heads
    assert same(trace, {**trace, "window": 2, "beta": 0.0})
    assert same(trace, {**trace, "horizons": [1 / 24, 0.25, 1, 3, 7]})  # the default
    assert not same(trace, {**trace, "horizons": [0.5, 1, 2, 3, 7]})
    assert not same(trace, {**trace, "horizons": [1]})


@pytest.mark.job
def test_a_pair_that_cannot_be_is_refused_at_the_configs_key(data, tmp_path):
    (tmp_path / "blind_shop.py").write_text(
        "from idefn_tf.models import AllNegative, method\n\n\n"
        "@method('blind_shop')\nclass BlindShop(AllNegative):\n"
        "    def compute_losses(self, outputs, batch):\n"
        "        return super().compute_losses(outputs, batch)\n"
    )
    path = tmp_path / "a.yaml"
    path.write_text("imports: [blind_shop]\nmethod: blind_shop\nfeedback: {name: fnw}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        with pytest.raises(
            ValueError, match=r"a\.yaml:3: feedback: must be 'observed' for BlindShop"
        ):
            train(Config.load(path), data, tmp_path / "run", QUIET)
