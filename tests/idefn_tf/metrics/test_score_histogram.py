"""Streaming metrics against the exact ones, within the tolerance that each one states."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from idefn_tf import metrics
from idefn_tf.metrics import (
    ECE,
    GAUC,
    PCOC,
    BinaryMetrics,
    HistogramAUC,
    HistogramKS,
    LogLoss,
    ScoreHistogram,
    WeightedRatio,
)

SINGLE = [HistogramAUC, HistogramKS, LogLoss, PCOC, ECE]
EXACT = {
    HistogramAUC: metrics.auc,
    HistogramKS: metrics.ks,
    LogLoss: metrics.log_loss,
    PCOC: metrics.pcoc,
    ECE: metrics.ece,
}


def rows(seed: int = 0, size: int = 6000, base: float = -6.0):
    """A rare label: scores near .0025, some of them tied; about 1 % positives; weights, some 0."""
    rng = np.random.default_rng(seed)
    logit = np.round(rng.normal(base, 1.2, size), 2)
    scores = (1 / (1 + np.exp(-logit))).astype(np.float32)
    labels = (rng.random(size) < 1 / (1 + np.exp(-logit - 1))).astype(np.float32)
    weights = (rng.random(size) * rng.integers(0, 3, size)).astype(np.float32)
    return labels, scores, weights


def feed(metric, labels, scores, weights=None, batch=512, **more):
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        extra = {name: value[part] for name, value in more.items()}
        weight = None if weights is None else weights[part]
        metric.update_state(labels[part], scores[part], sample_weight=weight, **extra)
    return metric


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_exact_within_the_stated_bound(seed, weighted):
    labels, scores, weights = rows(seed)
    weights = weights if weighted else None
    made = {kind: feed(kind(dtype="float64"), labels, scores, weights) for kind in SINGLE}
    exact = {kind: EXACT[kind](labels, scores, weights) for kind in SINGLE}

    auc, bound = float(made[HistogramAUC].result()), float(made[HistogramAUC].error_bound())
    assert abs(auc - exact[HistogramAUC]) <= bound + 1e-12
    assert bound < 2e-3
    assert auc == pytest.approx(exact[HistogramAUC], abs=1e-4)

    ks, bound = float(made[HistogramKS].result()), float(made[HistogramKS].error_bound())
    assert ks - 1e-12 <= exact[HistogramKS] <= ks + bound + 1e-12
    assert ks == pytest.approx(exact[HistogramKS], abs=2e-3)

    assert float(made[LogLoss].result()) == pytest.approx(exact[LogLoss], rel=1e-12)
    assert float(made[PCOC].result()) == pytest.approx(exact[PCOC], rel=1e-12)
    assert float(made[ECE].result()) == pytest.approx(exact[ECE], rel=0.02)


def test_auc_of_rare_labels_against_scikit_learn_and_keras():
    """Keras' 200 linear thresholds cannot rank scores near .001; ours can."""
    labels, scores, _ = rows(3, base=-7.5)
    expected = roc_auc_score(labels, scores)
    assert float(feed(HistogramAUC(), labels, scores).result()) == pytest.approx(expected, abs=1e-4)
    assert abs(float(feed(keras.metrics.AUC(), labels, scores).result()) - expected) > 1e-2


scored = st.lists(
    st.tuples(st.integers(0, 1), st.floats(0, 1), st.integers(0, 3)), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None)
@given(scored, st.integers(2, 40))
def test_bounds_hold_for_any_rows_and_bins(data, bins):
    labels, scores, weights = (np.array(column, float) for column in zip(*data, strict=True))
    metric = BinaryMetrics("m", "float64", bins=bins, logit_limit=3.0)
    metric.update_state(labels, scores, weights)
    result = {key: float(value) for key, value in metric.result().items()}
    exact_auc, exact_ks = metrics.auc(labels, scores, weights), metrics.ks(labels, scores, weights)
    # TensorFlow may flush numbers below 1e-308 to zero
    np.testing.assert_allclose(
        result["m_pcoc"], metrics.pcoc(labels, scores, weights), rtol=1e-9, atol=1e-300
    )
    np.testing.assert_allclose(
        result["m_logloss"], metrics.log_loss(labels, scores, weights), rtol=1e-9, atol=1e-12
    )
    assert math.isnan(result["m_auc"]) == math.isnan(exact_auc)
    assert math.isnan(result["m_ks"]) == math.isnan(exact_ks)
    if not math.isnan(exact_auc):
        assert abs(result["m_auc"] - exact_auc) <= float(metric.auc_error_bound()) + 1e-12
        assert -1e-12 <= exact_ks - result["m_ks"] <= float(metric.ks_error_bound()) + 1e-12


def test_ece_is_the_exact_one_of_separate_bins():
    """Where no bin mixes different scores, streaming and exact share each bucket."""
    rng = np.random.default_rng(5)
    scores = 1 / (1 + np.exp(-rng.integers(-300, 0, 4000) / 32.0 - 1 / 64))
    labels = (rng.random(4000) < scores).astype(float)
    weights = rng.integers(0, 4, 4000).astype(float)
    for bins in (1, 7, 15, 100):
        metric = feed(ECE(dtype="float64", ece_bins=bins), labels, scores, weights)
        expected = metrics.ece(labels, scores, weights, bins=bins)
        assert float(metric.result()) == pytest.approx(expected, abs=1e-12)


def test_one_histogram_gives_the_single_metrics():
    labels, scores, weights = rows(2)
    together = feed(BinaryMetrics("clicked/cvr", "float64"), labels, scores, weights).result()
    names = {HistogramAUC: "auc", HistogramKS: "ks", LogLoss: "logloss", PCOC: "pcoc", ECE: "ece"}
    assert set(together) == {f"clicked/cvr_{name}" for name in names.values()}
    for kind, name in names.items():
        single = float(feed(kind(dtype="float64"), labels, scores, weights).result())
        assert float(together[f"clicked/cvr_{name}"]) == pytest.approx(single, rel=1e-12)
    subset = feed(BinaryMetrics("cvr", metrics=("ks", "auc")), labels, scores).result()
    assert list(subset) == ["cvr_ks", "cvr_auc"]


def test_logits_and_probabilities_agree():
    rng = np.random.default_rng(1)
    logits = rng.normal(-3, 3, 2000)
    labels = (rng.random(2000) < 0.2).astype(float)
    for kind in SINGLE:
        from_logits = feed(kind(dtype="float64", from_logits=True), labels, logits)
        from_scores = feed(kind(dtype="float64"), labels, 1 / (1 + np.exp(-logits)))
        assert float(from_logits.result()) == pytest.approx(float(from_scores.result()), rel=1e-6)
    extreme = LogLoss(dtype="float64", from_logits=True)
    extreme.update_state([1.0, 0.0], [-np.inf, 1e30])
    assert float(extreme.result()) == pytest.approx(-math.log(1e-15))


@pytest.mark.parametrize("kind", SINGLE)
def test_shapes_batches_and_order_do_not_matter(kind):
    labels, scores, weights = rows(4, size=1000)
    whole = float(feed(kind(), labels, scores, weights, batch=1000).result())
    columns = kind()
    columns.update_state(labels[:, None], scores[:, None], weights[:, None])
    assert float(columns.result()) == pytest.approx(whole, rel=1e-6)
    parts = feed(kind(), labels[::-1], scores[::-1], weights[::-1], batch=7)
    assert float(parts.result()) == pytest.approx(whole, rel=1e-6)
    scalar = kind()
    scalar.update_state(labels, scores, 2.0)
    assert float(scalar.result()) == pytest.approx(float(feed(kind(), labels, scores).result()))


@pytest.mark.parametrize("kind", [*SINGLE, BinaryMetrics])
def test_merge_and_reset(kind):
    labels, scores, weights = rows(6)

    def values(metric):
        result = metric.result()
        return [float(v) for v in (result.values() if isinstance(result, dict) else [result])]

    whole = feed(kind(name="m"), labels, scores, weights)
    left = feed(kind(name="m"), labels[:2500], scores[:2500], weights[:2500])
    right = feed(kind(name="other"), labels[2500:], scores[2500:], weights[2500:])
    if kind is not BinaryMetrics:
        assert values(left) != pytest.approx(values(whole), rel=1e-6)
    left.merge_state([right])
    assert values(left) == pytest.approx(values(whole), rel=1e-6)
    left.reset_state()
    assert all(math.isnan(value) for value in values(left))
    feed(left, labels, scores, weights)
    assert values(left) == pytest.approx(values(whole), rel=1e-6)


def test_merge_refuses_other_settings():
    with pytest.raises(ValueError, match="class and settings"):
        HistogramAUC(bins=16).merge_state([HistogramAUC(bins=32)])
    with pytest.raises(ValueError, match="class and settings"):
        HistogramAUC().merge_state([HistogramKS()])
    with pytest.raises(ValueError, match="must be LogLoss metrics"):
        LogLoss().merge_state([PCOC()])
    with pytest.raises(ValueError, match="GAUC metrics with this metric's settings"):
        GAUC(10).merge_state([GAUC(11)])


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_one_row_no_rows(kind, label):
    metric = kind()
    assert math.isnan(float(metric.result()))
    metric.update_state([], [])
    assert math.isnan(float(metric.result()))
    metric.update_state([label], [0.25])
    expected = EXACT[kind]([label], [0.25])
    assert float(metric.result()) == pytest.approx(expected, nan_ok=True)
    metric.update_state([label, 1 - label], [0.25, 0.5], [1.0, 0.0])
    assert float(metric.result()) == pytest.approx(
        EXACT[kind]([label] * 2, [0.25] * 2), nan_ok=True
    )


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_an_impossible_score_shows(kind, bad):
    metric = kind()
    metric.update_state([0.0, 1.0, 1.0], [0.2, 0.7, bad], [1.0, 1.0, 0.0])
    assert float(metric.result()) == pytest.approx(EXACT[kind]([0, 1], [0.2, 0.7]))
    metric.update_state([0.0, 1.0], [0.3, bad])
    assert math.isnan(float(metric.result()))
    metric.update_state([0.0, 1.0], [0.2, 0.7])
    assert math.isnan(float(metric.result()))
    metric.reset_state()
    metric.update_state([0.0, 1.0], [0.2, 0.7])
    assert not math.isnan(float(metric.result()))


def test_certain_scores_are_counted():
    metric = BinaryMetrics("m")
    metric.update_state([0.0, 1.0], [0.0, 1.0])
    result = {key: float(value) for key, value in metric.result().items()}
    assert result == {"m_auc": 1.0, "m_ks": 1.0, "m_logloss": 0.0, "m_pcoc": 1.0, "m_ece": 0.0}


def test_state_counts_beyond_float32():
    """A float32 cell would stop at 2^24 rows."""
    metric = HistogramAUC(bins=4)
    metric.update_state([0.0, 0.0], [0.5, 0.5], [2.0**24, 0.0])
    for _ in range(3):
        metric.update_state([0.0], [0.5])
    assert float(tf.reduce_sum(metric.counts.value)) == 2**24 + 3 + (2**24 + 3) / 2


@pytest.mark.parametrize(
    "metric",
    [
        HistogramAUC(name="a", bins=64, logit_limit=8.0, from_logits=True),
        HistogramKS(),
        LogLoss(name="l", from_logits=True),
        PCOC(dtype="float64"),
        ECE(ece_bins=7, bins=128),
        BinaryMetrics("cvr", metrics=("ks", "ece"), ece_bins=9, bins=32),
        GAUC(99, name="g", bins=16, max_users=10, logit_low=-9.0, logit_high=1.0),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_config_round_trip(metric):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(copy) is type(metric)
    assert copy.get_config() == metric.get_config()
    assert [v.shape for v in copy.variables] == [v.shape for v in metric.variables]
    assert type(metric).__doc__


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HistogramAUC(bins=1), "bins: must be a whole number from 2 to 2147483647"),
        (lambda: HistogramAUC(bins=2.5), "bins: must be a whole number"),
        (lambda: HistogramAUC(logit_limit=0), "logits: must have a finite range"),
        (lambda: ECE(ece_bins=0), "ece_bins: must be a whole number from 1"),
        (lambda: BinaryMetrics(ece_bins=0), "ece_bins: must be a whole number from 1"),
        (lambda: BinaryMetrics(metrics=("auc", "f1")), "metrics: must name some of auc, ks"),
        (lambda: BinaryMetrics(metrics=()), "metrics: must name some of"),
        (lambda: BinaryMetrics(metrics="auc"), "metrics: must name some of"),
        (lambda: GAUC(0), "users: must be a whole number from 1 to 2147483648"),
        (lambda: GAUC(9, max_users=0), "max_users: must be a whole number from 1 to 2147483648"),
        (lambda: GAUC(9, logit_low=2, logit_high=1), "logits: must have a finite range"),
        (lambda: HistogramAUC().update_state([0, 1], [0.1]), "y_pred: must have one entry"),
        (lambda: PCOC().update_state([0, 1], [0.1, 0.2], [1, 1, 1]), "sample_weight: must be"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_bases_say_that_they_are_bases():
    with pytest.raises(NotImplementedError, match="base class"):
        ScoreHistogram().result()
    with pytest.raises(NotImplementedError, match="base class"):
        WeightedRatio().update_state([1.0], [0.5])
