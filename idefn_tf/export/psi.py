"""The population stability index: how far a distribution has moved."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: The usual reading: below .1 stable, above .25 moved.
WATCH, MOVED = 0.1, 0.25
_LEAST_SHARE = 1e-4


def stability_index(before: ArrayLike, after: ArrayLike) -> float:
    """PSI = sum over bins of (q - p) ln(q / p).

    Shares below 1e-4 count as 1e-4, so that an empty bin stays finite.

    Args:
        before: p, counts or shares by bin.
        after: q, the same bins.

    Returns:
        0 where nothing moved; NaN where a side is empty.
    """
    p, q = _shares(before), _shares(after)
    return float(np.sum((q - p) * np.log(q / p)))


def _shares(counts: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(counts, np.float64)
    total = values.sum()
    return np.maximum(values / total if total else np.full_like(values, np.nan), _LEAST_SHARE)


def score_stability(before: ArrayLike, after: ArrayLike, bins: int = 10) -> float:
    """Returns the PSI of two sets of scores over the equal-mass bins of the first.

    A bin ends in the middle of a gap between scores, the widest near its quantile, so that scores
    many rows share stay in their bin when a new model gives them a hair more or less.

    Args:
        before: [rows], scores that set the bins.
        after: [rows], scores to compare.
        bins: how many; ties may leave fewer.

    Returns:
        The index; 0 for equal scores.
    """
    first = np.asarray(before, np.float64)
    edges = _edges(first, bins)
    counts = [
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        for values in (first, np.asarray(after, np.float64))
    ]
    return stability_index(*counts)


def _edges(scores: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Returns rising ends of bins: middles of gaps, each within a quarter bin of its quantile."""
    distinct, counts = np.unique(scores, return_counts=True)
    below = np.cumsum(counts)[:-1] / scores.size  # the mass below each gap
    gaps = np.diff(distinct)
    found = []
    for quantile in np.arange(1, bins) / bins:
        near = np.flatnonzero(np.abs(below - quantile) <= 0.25 / bins)
        if near.size == 0 and below.size:  # one score holds the quantile: the nearer of its ends
            near = np.array([np.argmin(np.abs(below - quantile))])
        if near.size:
            widest = near[np.argmax(gaps[near])]
            found.append((distinct[widest] + distinct[widest + 1]) / 2)
    return np.unique(found)
