"""Exact metrics against hand numbers, scikit-learn, SciPy and their own algebra."""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.metrics import log_loss as sk_log_loss
from sklearn.metrics import roc_auc_score, roc_curve

from idefn_tf import metrics

# Ranking by score: .9 pos | .7 neg, pos (tied) | .4 neg | .1 neg
LABELS = [0, 0, 1, 0, 1]
SCORES = [0.1, 0.4, 0.7, 0.7, 0.9]


def rows(seed: int, size: int = 400, levels: int = 60, rate: float = 0.1):
    """Random labels, tied scores and weights of which some are zero."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(size) < rate).astype(float)
    scores = np.clip(rng.integers(1, levels, size) / levels + 0.2 * labels, 0.0, 0.999)
    weights = rng.random(size) * rng.integers(0, 3, size)
    return labels, scores, weights


def test_hand_numbers():
    # 6 pairs: .9 beats three, .7 beats two and ties one -> 5.5 / 6
    assert metrics.auc(LABELS, SCORES) == pytest.approx(5.5 / 6)
    # After the threshold .9: 1/2 - 0; after .7: 1 - 1/3
    assert metrics.ks(LABELS, SCORES) == pytest.approx(2 / 3)
    expected = -(math.log(0.9) + math.log(0.6) + math.log(0.7) + math.log(0.3) + math.log(0.9)) / 5
    assert metrics.log_loss(LABELS, SCORES) == pytest.approx(expected)
    assert metrics.pcoc(LABELS, SCORES) == pytest.approx(2.8 / 2)
    # Two equal-mass bins: {.1, .4} with middles .1 and .3 of the mass; {.7, .7} at .6; {.9} at .9
    assert metrics.ece(LABELS, SCORES, bins=2) == pytest.approx((0.5 + abs(2.3 - 2)) / 5)
    # Edges: {.1}, {.4}, {.7, .7, .9}
    assert metrics.ece(LABELS, SCORES, bins=[0, 0.4, 0.5, 1]) == pytest.approx(0.8 / 5)


def test_hand_numbers_with_weights():
    weights = [1, 2, 1, 3, 2]
    # positives 3, negatives 6: .9 (2) over 6, .7 (1) over 3 and half of 3
    assert metrics.auc(LABELS, SCORES, weights) == pytest.approx((2 * 6 + 4.5) / 18)
    # after .9: 2/3; after .7: 1 - 3/6
    assert metrics.ks(LABELS, SCORES, weights) == pytest.approx(2 / 3)
    predicted = 0.1 + 0.8 + 0.7 + 2.1 + 1.8
    assert metrics.pcoc(LABELS, SCORES, weights) == pytest.approx(predicted / 3)
    assert metrics.ece(LABELS, SCORES, weights, bins=1) == pytest.approx(abs(predicted - 3) / 9)


def test_gauc_by_hand():
    groups = ["a", "a", "a", "b", "b", "b", "b", "c", "c"]
    labels = [1, 0, 0, 1, 0, 1, 0, 1, 1]
    scores = [0.5, 0.4, 0.6, 0.9, 0.1, 0.2, 0.2, 0.3, 0.4]
    # a: 1/2 with 3 rows; b: (2 + 1.5) / 4 with 4 rows; c has one class
    assert metrics.gauc(labels, scores, groups) == pytest.approx((3 * 0.5 + 4 * 0.875) / 7)
    weights = [1, 1, 3, 1, 1, 1, 0, 9, 9]
    # a: 1/4 with weight 5; b: everything right with weight 3
    assert metrics.gauc(labels, scores, groups, weights) == pytest.approx((5 * 0.25 + 3) / 8)


@pytest.mark.parametrize(
    "groups",
    [
        ["a", "a", None, None],
        ["a", "a", "", ""],
        [b"a", b"a", b"", None],
        [7, 7, -1, -1],
        [7.0, 7.0, math.nan, math.nan],
    ],
)
def test_gauc_leaves_rows_without_a_user_out(groups):
    """Taken for one user, the absent ones would make it .5; "a" alone ranks rightly."""
    labels, scores = [1, 0, 1, 0], [0.9, 0.1, 0.2, 0.8]
    assert metrics.gauc(labels, scores, np.array(groups, object)) == 1.0
    assert metrics.gauc(labels, scores, groups) == 1.0
    assert math.isnan(metrics.gauc([1, 0], [0.1, 0.2], groups[2:]))


def test_gauc_takes_users_of_mixed_kinds():
    groups = np.array([1, 1, "1", "1"], object)
    assert metrics.gauc([1, 0, 1, 0], [0.9, 0.1, 0.2, 0.8], groups) == 0.5


def test_gauc_is_the_weighted_mean_of_group_aucs():
    labels, scores, weights = rows(3, size=900)
    groups = np.random.default_rng(4).integers(0, 40, 900)
    total, mass = 0.0, 0.0
    for g in np.unique(groups):
        i = groups == g
        value = metrics.auc(labels[i], scores[i], weights[i])
        if not math.isnan(value):
            total += weights[i].sum() * value
            mass += weights[i].sum()
    assert metrics.gauc(labels, scores, groups, weights) == pytest.approx(total / mass, abs=1e-12)
    names = np.array([f"user {g}" for g in groups])
    assert metrics.gauc(labels, scores, names, weights) == pytest.approx(total / mass, abs=1e-12)
    assert metrics.gauc(labels, scores, np.zeros(900)) == pytest.approx(metrics.auc(labels, scores))


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed):
    labels, scores, weights = rows(seed)
    kept = weights > 0
    y, s, w = labels[kept], scores[kept], weights[kept]
    assert metrics.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert metrics.auc(labels, scores, weights) == pytest.approx(
        roc_auc_score(y, s, sample_weight=w), abs=1e-12
    )
    fpr, tpr, _ = roc_curve(y, s, sample_weight=w, drop_intermediate=False)
    assert metrics.ks(labels, scores, weights) == pytest.approx((tpr - fpr).max(), abs=1e-12)
    assert metrics.log_loss(labels, scores, weights) == pytest.approx(
        sk_log_loss(y, s, sample_weight=w), abs=1e-12
    )


def test_ks_agrees_with_scipy():
    labels, scores, _ = rows(7)
    expected = ks_2samp(scores[labels == 1], scores[labels == 0], alternative="less").statistic
    assert metrics.ks(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_ks_of_a_reversed_ranking_is_zero():
    assert metrics.ks([1, 0], [0.1, 0.9]) == 0.0
    assert metrics.auc([1, 0], [0.1, 0.9]) == 0.0


def test_log_loss_clips_at_1e_15():
    assert metrics.log_loss([1], [0.0]) == pytest.approx(-math.log(1e-15))
    assert metrics.log_loss([0], [1.0]) == pytest.approx(-math.log(1e-15))
    assert metrics.log_loss([1], [1.0]) == 0.0


def test_ece_with_edges_is_the_textbook_sum():
    labels, scores, _ = rows(11, size=2000)
    edges = np.linspace(0, 1, 11)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        i = (scores >= low) & (scores < high)
        if i.any():
            total += i.mean() * abs(scores[i].mean() - labels[i].mean())
    assert metrics.ece(labels, scores, bins=edges) == pytest.approx(total, abs=1e-12)


def test_equal_mass_bins_resolve_rare_labels():
    """Two populations at .0001 and .001: equal widths cannot see that the second is wrong."""
    scores = np.repeat([0.0001, 0.001], 10_000)
    labels = np.zeros(20_000)
    labels[:11] = 1
    assert metrics.ece(labels, scores, bins=2) == pytest.approx((10 + 10) / 2 / 10_000)
    assert metrics.ece(labels, scores, bins=[0, 0.5, 1]) == pytest.approx(0)


@pytest.mark.parametrize("name", ["auc", "ks", "log_loss", "pcoc", "ece"])
def test_undefined_is_nan_without_a_warning(name):
    metric = getattr(metrics, name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(metric([], []))
        assert math.isnan(metric([1, 0], [0.2, 0.3], [0, 0]))
        for label in (0, 1):
            defined = name in ("log_loss", "ece") or (name == "pcoc" and label)
            for n in (1, 3):
                assert math.isnan(metric([label] * n, [0.25] * n)) != defined
        assert math.isnan(metrics.gauc([], [], []))
        assert math.isnan(metrics.gauc([1, 0], [0.1, 0.2], ["a", "b"]))


def test_rows_of_weight_zero_may_hold_anything():
    labels, scores, weights = [1, 0, np.nan], [0.8, 0.2, np.nan], [1, 1, 0]
    assert metrics.auc(labels, scores, weights) == 1.0
    assert metrics.pcoc(labels, scores, weights) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0.1]), "scores: must have one entry per label"),
        (([0, 1], [0.1, np.nan]), "scores: must be .*1 of 2 rows"),
        (([0, 2], [0.1, 0.2]), r"labels: must lie in \[0, 1\]"),
        (([0, 1], [0.1, 0.2], [1, -1]), "weights: must be finite and not negative"),
        (([0, 1], [0.1, 0.2], [1, np.inf]), "weights: must be finite"),
        (([[0, 1]], [[0.1, 0.2]]), r"labels: must have shape \[rows\]"),
        ((["a", "b"], [0.1, 0.2]), "labels: must hold numbers"),
    ],
)
@pytest.mark.parametrize("name", ["auc", "ks", "log_loss", "pcoc", "ece"])
def test_bad_input_is_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(metrics, name)(*arguments)


def test_further_bad_input():
    with pytest.raises(ValueError, match=r"probabilities.*sigmoid"):
        metrics.log_loss([0, 1], [-3.0, 2.0])
    with pytest.raises(ValueError, match="groups: must have one entry per label"):
        metrics.gauc([0, 1], [0.1, 0.2], ["a"])
    for bins, message in ((0, "from 1 to"), ([0.5], "increasing"), ([0.1, 1], "cover")):
        with pytest.raises(ValueError, match=message):
            metrics.ece([0, 1], [0.1, 0.2], bins=bins)


def test_columns_are_flattened():
    labels, scores, weights = rows(1)
    assert metrics.auc(labels[:, None], scores[:, None], weights[:, None]) == metrics.auc(
        labels, scores, weights
    )


table = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=30
)


@settings(max_examples=150, deadline=None)
@given(table)
def test_algebra(data):
    """Duplicates are weights, order of rows is irrelevant, and the classes are symmetric."""
    labels, level, weights = (np.array(column) for column in zip(*data, strict=True))
    scores = (level + 0.5) / 10
    repeated = np.repeat(np.arange(len(data)), weights)
    for name in ("auc", "ks", "log_loss", "pcoc", "ece"):
        metric = getattr(metrics, name)
        value = metric(labels, scores, weights)
        np.testing.assert_allclose(value, metric(labels[repeated], scores[repeated]), atol=1e-12)
        np.testing.assert_allclose(
            value, metric(labels[::-1], scores[::-1], weights[::-1]), atol=1e-12
        )
    value = metrics.auc(labels, scores, weights)
    np.testing.assert_allclose(metrics.auc(1 - labels, scores, weights), 1 - value, atol=1e-12)
    np.testing.assert_allclose(metrics.auc(labels, np.exp(9 * scores), weights), value, atol=1e-12)
    gap = metrics.ks(labels, scores, weights)
    if not math.isnan(value):
        assert 0 <= gap <= 1
        assert value <= 1 - (1 - gap) ** 2 / 2 + 1e-12  # the largest area below a ROC of this gap


@settings(max_examples=100, deadline=None)
@given(table)
def test_a_fractional_label_is_two_weighted_rows(data):
    level, score, weight = (np.array(column, float) for column in zip(*data, strict=True))
    share, scores = 0.25 + level / 2, (score + 0.5) / 10
    labels = np.r_[np.ones_like(share), np.zeros_like(share)]
    weights = np.r_[weight * share, weight * (1 - share)]
    for name in ("auc", "ks", "log_loss", "pcoc", "ece"):
        metric = getattr(metrics, name)
        np.testing.assert_allclose(
            metric(share, scores, weight), metric(labels, np.r_[scores, scores], weights), atol=1e-9
        )
