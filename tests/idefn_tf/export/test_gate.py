"""The gate lets an equal version pass and refuses one that is worse, shifted or shuffled."""

import dataclasses

import numpy as np
import pytest

from idefn_tf.export import Gate, GateError, Scorer, export_model
from idefn_tf.export.gate import require
from idefn_tf.export.psi import score_stability, stability_index
from idefn_tf.export.replay import request_arrays
from idefn_tf.models import ESMM

pytestmark = pytest.mark.job


def copy_of(model):
    """A model of the same weights, to be spoiled."""
    other = ESMM.from_config(model.get_config())
    other.build()
    other.set_weights(model.get_weights())
    return other


@pytest.fixture(scope="module")
def rows(tiny, version):
    """Rows on which the version is right: what it scores above the median converts."""
    frame = tiny.make_frame(400, seed=11)
    with Scorer(version) as scorer:
        scores = scorer.score(request_arrays(tiny.SCHEMA, frame))["cvr"]
    clicks = np.arange(len(frame)) % 2
    return frame.assign(click=clicks, conversion=clicks * (scores > np.median(scores)))


@pytest.fixture(scope="module")
def lower(model, tiny, tmp_path_factory):
    """A version whose cvr is lower everywhere, and ranks the same."""
    candidate = copy_of(model)
    logit = candidate.towers["cvr"].logit
    logit.bias.assign(logit.bias - 3.0)
    return export_model(candidate, tiny.SCHEMA, tmp_path_factory.mktemp("lower") / "cvr")


def test_version_passes_against_itself(version, tiny, rows):
    report = Gate().compare(version, version, tiny.SCHEMA, rows)
    assert report["refusals"] == []
    assert report["metric"]["served"] == report["metric"]["candidate"]
    for values in report["moved"].values():
        assert values["stability_index"] == 0.0
        assert values["mean_ratio"] == 1.0
        assert values["rank_correlation"] == pytest.approx(1.0)
    require(report)


def test_worse_and_shuffled_version_is_refused(version, model, tiny, rows, tmp_path):
    candidate = copy_of(model)
    logit = candidate.towers["cvr"].logit
    logit.kernel.assign(-logit.kernel)  # the ranking upside down
    path = export_model(candidate, tiny.SCHEMA, tmp_path / "cvr")
    report = Gate(tolerance=0.0).compare(path, version, tiny.SCHEMA, rows)
    assert report["moved"]["cvr"]["rank_correlation"] == pytest.approx(-1.0, abs=1e-3)
    text = "; ".join(report["refusals"])
    assert "ranks the rows differently" in text
    served, new = report["metric"]["served"], report["metric"]["candidate"]
    assert served > 0.7
    assert served + new == pytest.approx(1.0, abs=1e-6)  # AUC of a ranking and of its reverse
    assert "all_funnel/cvr_auc is 0." in text
    with pytest.raises(GateError, match=r"refused against version 1: .*ranks the rows differently"):
        require(report)


def test_worse_metric_alone_is_refused(version, lower, tiny, rows):
    """Half of the clicked rows convert."""
    wide = {"max_stability_index": 99, "max_mean_ratio": 99, "min_rank_correlation": -1}
    gate = Gate(metric="clicked/cvr_logloss", **wide)
    report = gate.compare(lower, version, tiny.SCHEMA, rows)
    assert report["metric"]["candidate"] > report["metric"]["served"]
    (refusal,) = report["refusals"]
    assert refusal.startswith("clicked/cvr_logloss is ")
    served = report["metric"]["served"]
    share = report["metric"]["candidate"] / served - 1
    assert f"worse by {share:.1%}, more than the 1.0% allowed" in refusal
    # better by as much is no reason to refuse
    turned = gate.compare(version, lower, tiny.SCHEMA, rows)
    assert turned["refusals"] == []


def test_shifted_version_is_refused_though_it_ranks_the_same(version, lower, tiny, rows):
    report = Gate().compare(lower, version, tiny.SCHEMA, rows)
    assert report["moved"]["cvr"]["rank_correlation"] == pytest.approx(1.0, abs=1e-3)
    assert report["moved"]["cvr"]["mean_ratio"] < 0.2
    text = "; ".join(report["refusals"])
    assert "the distribution of cvr moved" in text
    assert "the mean of cvr is 0." in text
    assert "ctr moved" not in text.replace("ctcvr", "")


def test_rows_of_a_thinned_log_count_as_in_the_full_one(version, tiny, rows):
    labels = tiny.SCHEMA.labels.model_copy(update={"negative_keep_rate": 0.1})
    thinned = tiny.SCHEMA.model_copy(update={"labels": labels})
    gate = Gate(metric="all_funnel/ctr_logloss")
    with Scorer(version) as scorer:
        ctr = scorer.score(request_arrays(tiny.SCHEMA, rows))["ctr"].astype(np.float64)
    loss = -np.log(np.where(rows["click"] == 1, ctr, 1 - ctr))
    weight = np.where(rows["click"] == 1, 1.0, 10.0)
    full = gate.compare(version, version, thinned, rows)["metric"]["served"]
    assert full == pytest.approx(np.average(loss, weights=weight), rel=1e-5)
    plain = gate.compare(version, version, tiny.SCHEMA, rows)["metric"]["served"]
    assert plain == pytest.approx(loss.mean(), rel=1e-5)
    assert abs(full - plain) > 0.001
    whole = dataclasses.replace(gate, whole_log=True)
    assert whole.compare(version, version, thinned, rows)["metric"]["served"] == plain


def test_metric_that_is_not_defined_is_refused(version, tiny, rows):
    unclicked = rows[rows["click"] == 0]
    report = Gate().compare(version, version, tiny.SCHEMA, unclicked)
    assert "not defined on these rows (0 positives)" in report["refusals"][0]


def test_changed_inputs_are_refused(version, model, tiny, rows, tmp_path):
    from idefn_tf.schema import Schema

    value = tiny.SCHEMA.model_dump(mode="json", exclude_defaults=True)
    for feature in value["features"]:
        if feature["name"] == "hour":
            feature |= {"train_only": True, "serving_value": 12}
    other = Schema.parse(value)
    path = export_model(model, other, tmp_path / "cvr")
    with Scorer(path) as scorer:
        assert "hour" not in scorer.inputs()
    report = Gate().compare(path, version, other, rows)
    assert report["refusals"] == [
        "the inputs changed, so that clients would break: without ['hour'], now with []"
    ]


@pytest.mark.parametrize(
    "limits",
    [{"metric": "oracle/cvr_auc"}, {"metric": "all_raw/cvr_auc"}, {"metric": "clicked/cvr_pcoc"},
     {"metric": "cvr_auc"}, {"tolerance": -1}, {"max_mean_ratio": 0.5}],
)  # fmt: skip
def test_limits_are_checked(limits):
    with pytest.raises(ValueError, match="must be"):
        Gate(**limits)


def test_stability_index_by_hand():
    # (.6 - .5) ln(.6 / .5) + (.4 - .5) ln(.4 / .5)
    assert stability_index([5, 5], [6, 4]) == pytest.approx(0.1 * np.log(1.2) - 0.1 * np.log(0.8))
    assert np.isnan(stability_index([0, 0], [1, 1]))
    scores = np.random.default_rng(0).random(1000)
    assert score_stability(scores, scores) == 0.0
    assert score_stability(scores, scores + 1) > 5  # all in the last of ten bins
    assert score_stability(np.ones(9), np.ones(9)) == 0.0


def test_scores_that_many_rows_share_may_move_a_hair():
    """Four scores hold a quarter of the rows each; a retrained model gives each a hair less."""
    before = np.repeat([0.1, 0.2, 0.3, 0.4], 250)
    assert score_stability(before, before - 1e-6) == 0.0
    assert score_stability(before, before + 1e-6) == 0.0
    # a quarter's step down: the shares of the bins are 1/2, 1/4, 1/4, 0 after 1/4 each
    moved = 0.25 * np.log(2.0) + (1e-4 - 0.25) * np.log(1e-4 / 0.25)
    down = np.maximum(before - 0.1, 0.1)
    assert score_stability(before, down, bins=4) == pytest.approx(moved, rel=1e-6)


def test_untied_scores_keep_their_deciles():
    rng = np.random.default_rng(1)
    before, after = rng.random(20_000), rng.random(20_000) ** 1.2
    usual = np.quantile(before, np.arange(1, 10) / 10)
    counts = [np.bincount(np.searchsorted(usual, s), minlength=10) for s in (before, after)]
    assert score_stability(before, after) == pytest.approx(stability_index(*counts), rel=0.2)


def test_rows_with_an_open_window_do_not_count(version, lower, tiny, rows):
    """Of the second half no conversion is known yet."""
    half = len(rows) // 2
    young = np.arange(len(rows)) >= half
    told = rows.assign(
        conversion=rows["conversion"].where(~young, 0), window_open=young.astype(int)
    )
    gate = Gate(metric="clicked/cvr_logloss")
    report, mature = (gate.compare(lower, version, tiny.SCHEMA, t) for t in (told, rows[:half]))
    assert (report["rows"], report["open_rows"]) == (half, len(rows) - half)
    assert (mature["rows"], mature["open_rows"]) == (half, 0)
    for name in ("metric", "moved", "refusals"):
        assert report[name] == mature[name]
