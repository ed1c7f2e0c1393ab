"""Stated policies: how probable a row would be if a model's scores chose what is shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from idefn_tf._checks import every_row, one_entry_per, vector
from idefn_tf.evaluation.off_policy import row_counts

Floats = NDArray[np.float64]


def top_share_weights(
    score: ArrayLike,
    share: float,
    exposure: ArrayLike,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> Floats:
    """Importance weights of the policy that shows the top share of each day's pairs.

    A logged row stands for 1 / p pairs that could have been shown, and for n times as many where
    it stands for n rows of the log. The policy shows the pairs of the highest scores, until they
    are the share q of their group; a tie at the border is shown in part. Its exposures are valued
    each alike, so that weights are::

        w = s (1/p) / ( q sum(n/p) / sum(n) ),  s in [0, 1] the part of the row that is shown

    Their mean, each counted n times, is 1, and IPS and SNIPS agree.

    Args:
        score: by which rows are ranked, [rows].
        share: q, in (0, 1].
        exposure: p, the probability with which the log showed the row, in (0, 1], [rows].
        groups: within which rows are ranked, such as days, [rows]; None ranks all together.
        sample_weight: n, how many rows of the log each stands for, [rows]; None for 1. Give
            `value_policy` the same.

    Returns:
        Weights for `value_policy`, [rows].

    Raises:
        ValueError: on values out of range, or lengths that differ.

    Source: Horvitz and Thompson, JASA 1952, section 3 (a row stands for 1 / p).

    Example:
        >>> from idefn_tf.evaluation import top_share_weights
        >>> top_share_weights([0.9, 0.5, 0.1, 0.3], 0.5, [0.5, 0.5, 0.5, 0.5]).tolist()
        [2.0, 2.0, 0.0, 0.0]
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share: must be in (0, 1], received {share}; .1 shows the top tenth")
    scores, shown = vector("score", score), vector("exposure", exposure)
    one_entry_per("row", "exposure", shown.size, scores.size)
    every_row("score", ~np.isfinite(scores), "be finite", "score every row")
    every_row("exposure", ~((shown > 0) & (shown <= 1)), "be above 0 and at most 1", "see the log")
    counts = row_counts(sample_weight, scores.size)
    stands_for = counts / shown
    which = np.zeros(scores.size, np.int64)
    if groups is not None:
        which = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)
        one_entry_per("row", "groups", which.size, scores.size)
    part = np.zeros(scores.size)
    for group in range(int(which.max(initial=-1)) + 1):
        at = np.flatnonzero(which == group)
        part[at] = _shown_part(scores[at], stands_for[at], share)
    total = share * stands_for.sum() / counts.sum() if counts.any() else 1.0
    weights: Floats = part / shown / total
    return weights


def _shown_part(score: Floats, stands_for: Floats, share: float) -> Floats:
    """How much of each row the top share holds: 1 above the border, 0 below, ties in part."""
    _, level = np.unique(-score, return_inverse=True)
    mass = np.bincount(level.reshape(-1), weights=stands_for)
    before = np.cumsum(mass) - mass
    left = share * mass.sum() - before
    part = np.divide(left, mass, out=np.zeros_like(left), where=mass > 0)
    found: Floats = np.clip(part, 0.0, 1.0)[level.reshape(-1)]
    return found


def softmax_policy(score: ArrayLike, temperature: float) -> Floats:
    """Softmax policy: the probability of each candidate, proportional to exp(score / t).

    Args:
        score: [rows, candidates].
        temperature: t, above 0; as it goes to 0 the best candidate alone is shown.

    Returns:
        Probabilities [rows, candidates]; each row sums to 1.

    Raises:
        ValueError: on another shape, scores that are not finite, or a temperature of 0 or less.

    Source: Luce, Individual Choice Behavior, 1959.

    Example:
        >>> from idefn_tf.evaluation import softmax_policy
        >>> softmax_policy([[0.0, 0.0, 1.0]], 1.0).round(3).tolist()
        [[0.212, 0.212, 0.576]]
    """
    if not (temperature > 0 and np.isfinite(temperature)):
        raise ValueError(
            f"temperature: must be above 0, received {temperature}; argmax is its limit at 0"
        )
    scores = _matrix(score)
    raised = np.exp((scores - scores.max(1, keepdims=True)) / temperature)
    found: Floats = raised / raised.sum(1, keepdims=True)
    return found


def argmax_policy(score: ArrayLike) -> Floats:
    """Greedy policy: the best candidate of each row, ties in equal parts.

    Args:
        score: [rows, candidates].

    Returns:
        Probabilities [rows, candidates]; each row sums to 1.

    Raises:
        ValueError: on another shape, or scores that are not finite.

    Source: `softmax_policy` as its temperature goes to 0.

    Example:
        >>> from idefn_tf.evaluation import argmax_policy
        >>> argmax_policy([[0.1, 0.7], [0.2, 0.2]]).tolist()
        [[0.0, 1.0], [0.5, 0.5]]
    """
    scores = _matrix(score)
    best = (scores == scores.max(1, keepdims=True)).astype(np.float64)
    found: Floats = best / best.sum(1, keepdims=True)
    return found


def _matrix(score: ArrayLike) -> Floats:
    scores = np.asarray(score, np.float64)
    if scores.ndim != 2 or not scores.shape[1]:
        raise ValueError(
            f"score: must have shape [rows, candidates], received {scores.shape}; "
            "score every candidate of every row"
        )
    every_row("score", ~np.isfinite(scores).all(1), "be finite", "score every candidate")
    return scores
