"""Exact metrics on whole arrays: float64, weighted, with exact handling of tied scores.

Shared rules. Labels lie in [0, 1]; a fractional label y counts as y of a positive and 1 - y of a
negative. Weights are finite and not negative; a row of weight zero takes no part, whatever its
label and score. A value that is not defined (no rows, one class only) is `float("nan")`, without
an exception or a warning. Scores that are NaN are an error: they mean that the model diverged.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from idefn_tf._checks import one_entry_per, vector
from idefn_tf._rules import COUNT, checked
from idefn_tf.metrics._inputs import FloatArray, clean_rows

#: Predictions are clipped to [LOG_LOSS_CLIP, 1 - LOG_LOSS_CLIP] before the logarithm.
LOG_LOSS_CLIP = 1e-15
#: Number of equal-mass bins of the expected calibration error.
ECE_BINS = 15
#: What a schema's categorical features hold for "absent": no group, as None and NaN are none.
ABSENT_GROUPS = np.array([-1, "", b""], object)


def _tied_sums(scores: FloatArray, *values: FloatArray) -> tuple[FloatArray, ...]:
    """Sums each of `values` over rows with equal scores; ascending by score, each [distinct]."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    return tuple(np.add.reduceat(value[order], starts) for value in values)


def auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative, ties half.

    AUC = sum_ij p_i n_j ([s_i > s_j] + [s_i = s_j] / 2) / (sum_i p_i * sum_j n_j), with
    p = weight * label and n = weight * (1 - label); computed by sorting.

    Args:
        labels: [rows] or [rows, 1], in [0, 1].
        scores: [rows] or [rows, 1], any finite numbers; only their order matters.
        weights: [rows], not negative, or None.

    Returns:
        AUC in [0, 1]; nan where there is no positive or no negative.

    Raises:
        ValueError: On shapes that differ, NaN, labels outside [0, 1] or negative weights.

    Example:
        >>> from idefn_tf.metrics import auc
        >>> auc([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.6])
        0.75
    """
    y, s, w, _ = clean_rows(labels, scores, weights, probabilities=False)
    if y.size == 0:
        return float("nan")
    positive, negative = _tied_sums(s, w * y, w * (1.0 - y))
    total = positive.sum() * negative.sum()
    if total == 0:
        return float("nan")
    below = np.cumsum(negative) - 0.5 * negative
    return float(np.dot(positive, below) / total)


def ks(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Kolmogorov-Smirnov statistic: KS = max over thresholds of (TPR - FPR), at least 0.

    One-sided, as the published tables use it: a ranking that is worse than chance everywhere gets
    0, not the absolute distance.

    Args:
        labels: [rows] or [rows, 1], in [0, 1].
        scores: [rows] or [rows, 1], finite; only their order matters.
        weights: [rows], not negative, or None.

    Returns:
        KS in [0, 1]; nan where there is no positive or no negative.

    Raises:
        ValueError: As for `auc`.

    Example:
        >>> from idefn_tf.metrics import ks
        >>> ks([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.6])
        0.5
    """
    y, s, w, _ = clean_rows(labels, scores, weights, probabilities=False)
    if y.size == 0:
        return float("nan")
    positive, negative = _tied_sums(-s, w * y, w * (1.0 - y))
    if positive.sum() == 0 or negative.sum() == 0:
        return float("nan")
    gap = np.cumsum(positive) / positive.sum() - np.cumsum(negative) / negative.sum()
    return float(max(0.0, gap.max()))


def log_loss(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean cross-entropy in nats: -sum w (y ln p + (1 - y) ln(1 - p)) / sum w.

    p is clipped to [1e-15, 1 - 1e-15] first, so one certain and wrong row costs 34.5.

    Args:
        labels: [rows] or [rows, 1], in [0, 1].
        scores: [rows] or [rows, 1], probabilities.
        weights: [rows], not negative, or None.

    Returns:
        The loss; nan where there are no rows.

    Raises:
        ValueError: As for `auc`, and on scores outside [0, 1].

    Example:
        >>> from idefn_tf.metrics import log_loss
        >>> round(log_loss([0, 1], [0.5, 0.5]), 4)  # ln 2
        0.6931
    """
    y, p, w, _ = clean_rows(labels, scores, weights, probabilities=True)
    if y.size == 0:
        return float("nan")
    # The two sides are clipped apart: 1 - 1e-15 rounds in float64.
    log_p = np.log(np.maximum(p, LOG_LOSS_CLIP))
    log_not_p = np.log(np.maximum(1.0 - p, LOG_LOSS_CLIP))
    return float(-np.dot(w, y * log_p + (1.0 - y) * log_not_p) / w.sum())


def pcoc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Predicted conversions over observed conversions: sum w p / sum w y. 1 is calibrated.

    Args:
        labels: [rows] or [rows, 1], in [0, 1].
        scores: [rows] or [rows, 1], probabilities.
        weights: [rows], not negative, or None.

    Returns:
        The ratio; nan where there is no positive.

    Raises:
        ValueError: As for `log_loss`.

    Example:
        >>> from idefn_tf.metrics import pcoc
        >>> pcoc([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.6])
        1.0
    """
    y, p, w, _ = clean_rows(labels, scores, weights, probabilities=True)
    observed = float(np.dot(w, y))
    return float(np.dot(w, p)) / observed if observed > 0 else float("nan")


def _ece_bin_of_row(p: FloatArray, w: FloatArray, bins: ArrayLike) -> NDArray[np.int64]:
    """Index of each row's calibration bin; see `ece` for the two kinds of bins."""
    if isinstance(bins, int | np.integer) and not isinstance(bins, bool):
        checked("bins", COUNT, bins, "use for example 15")
        distinct, row = np.unique(p, return_inverse=True)
        mass = np.bincount(row, weights=w, minlength=distinct.size)
        middle = (np.cumsum(mass) - 0.5 * mass) / mass.sum()
        return np.minimum((middle * bins).astype(np.int64), bins - 1)[row]
    edges = np.asarray(bins, dtype=np.float64)
    if edges.ndim != 1 or edges.size < 2 or not np.all(np.diff(edges) > 0):
        raise ValueError(
            "bins: must be a number of bins or strictly increasing edges, "
            f"received {bins!r}; use for example 15 or [0, 0.01, 0.1, 1]"
        )
    if edges[0] > 0 or edges[-1] < 1:
        raise ValueError(
            f"bins: must cover [0, 1], received edges from {edges[0]} to {edges[-1]}; "
            "add 0 in front and 1 at the end"
        )
    return np.clip(np.searchsorted(edges, p, side="right") - 1, 0, edges.size - 2)


def ece(
    labels: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None = None,
    bins: ArrayLike = ECE_BINS,
) -> float:
    """Expected calibration error: sum_b (W_b / W) |mean prediction_b - mean label_b|.

    A number of bins means bins of equal mass: rows with equal scores stay together, and such a
    group lies in bin floor(bins * (weight below it + half of its own) / total weight). Bins of
    equal width would put all rows of a rare label into the first one. A sequence means edges,
    each bin closed on its left, the last one on both sides.

    Args:
        labels: [rows] or [rows, 1], in [0, 1].
        scores: [rows] or [rows, 1], probabilities.
        weights: [rows], not negative, or None.
        bins: Number of equal-mass bins, or increasing edges that cover [0, 1]. Defaults to 15.

    Returns:
        The error in [0, 1]; nan where there are no rows.

    Raises:
        ValueError: As for `log_loss`, and on unusable bins.

    Example:
        >>> from idefn_tf.metrics import ece
        >>> round(ece([0, 0, 1, 1], [0.2, 0.2, 0.6, 0.6], bins=2), 4)  # off by 0.2 and by 0.4
        0.3
    """
    y, p, w, _ = clean_rows(labels, scores, weights, probabilities=True)
    if y.size == 0:
        return float("nan")
    index = _ece_bin_of_row(p, w, bins)
    return float(np.abs(np.bincount(index, weights=w * (p - y))).sum() / w.sum())


def gauc(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    weights: ArrayLike | None = None,
) -> float:
    """AUC inside each group (user), averaged with the group's total row weight.

    GAUC = sum_g W_g AUC_g / sum_g W_g over the groups that hold a positive and a negative, with
    W_g = the sum of the group's weights (its number of exposures without weights). Groups with
    one class say nothing about ranking and are skipped, and so are rows without a group (None, NaN,
    -1 and "", as schemas have it): all absent users together are no user.

    Args:
        labels: [rows] or [rows, 1], in [0, 1].
        scores: [rows] or [rows, 1], finite; only their order inside a group matters.
        groups: [rows], the group of each row: integers, strings or bytes.
        weights: [rows], not negative, or None.

    Returns:
        GAUC in [0, 1]; nan where no group holds both classes.

    Raises:
        ValueError: As for `auc`, and where `groups` does not match the labels.

    Example:
        >>> from idefn_tf.metrics import gauc
        >>> gauc([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.6], ["a", "a", "b", "b"])  # 1 for a, 0 for b
        0.5
    """
    y, s, w, kept = clean_rows(labels, scores, weights, probabilities=False)
    ids = vector("groups", groups, dtype=None)
    one_entry_per("label", "groups", ids.size, kept.size)
    if y.size == 0:
        return float("nan")
    group, distinct = pd.factorize(ids[kept])  # -1 for None and NaN
    absent = np.flatnonzero(np.isin(np.asarray(distinct, object), ABSENT_GROUPS))
    named = ~np.isin(group, [-1, *absent])
    if not named.any():
        return float("nan")
    y, s, w, group = y[named], s[named], w[named], group[named]

    order = np.lexsort((s, group))
    s, group = s[order], group[order]
    positive, negative = (w * y)[order], (w * (1.0 - y))[order]
    new_group = np.r_[True, group[1:] != group[:-1]]
    tie_starts = np.flatnonzero(new_group | np.r_[True, s[1:] != s[:-1]])
    group_of_tie = group[tie_starts]
    positive = np.add.reduceat(positive, tie_starts)
    negative = np.add.reduceat(negative, tie_starts)

    positives = np.bincount(group_of_tie, weights=positive)
    negatives = np.bincount(group_of_tie, weights=negative)
    before_group = np.r_[0.0, np.cumsum(negatives)[:-1]]
    below = np.cumsum(negative) - 0.5 * negative - before_group[group_of_tie]
    pairs = np.bincount(group_of_tie, weights=positive * below)

    both = (positives > 0) & (negatives > 0)
    if not both.any():
        return float("nan")
    mass = (positives + negatives)[both]
    # The running sum crosses groups, so its last digits may leave [0, 1] in a small group.
    per_group = np.clip(pairs[both] / (positives * negatives)[both], 0.0, 1.0)
    return float(np.dot(mass, per_group) / mass.sum())
