"""Means, spreads and paired tests over seeds.

A seed is one pair: both methods start from it and see the rows in its order. Three tests stand
beside each other, because few seeds give none of them much power:

* paired t: exact for normal differences; its 95 % interval is the one shown;
* Wilcoxon's signed ranks, exact: cannot fall below 2^(1 - n), .0625 with five seeds;
* Holm's correction of the t-tests over all methods compared with one reference.

Seeds show how far training itself varies. How far the test rows vary is another question, which a
bootstrap over users and items answers (`benchmarks.paper.bootstrap`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

#: Below this many pairs a test says nothing worth printing.
LEAST_PAIRS = 3


@dataclass(frozen=True)
class Spread:
    """A mean over seeds.

    Attributes:
        mean: over seeds.
        std: standard deviation over seeds (n - 1), None with one.
        seeds: how many.
    """

    mean: float
    std: float | None
    seeds: int

    def as_dict(self) -> dict[str, Any]:
        """Returns the numbers by name."""
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """A paired difference, method minus reference.

    Attributes:
        mean: of the differences.
        low: of the 95 % t interval.
        high: of the same.
        t_p: two-sided p of the paired t-test.
        wilcoxon_p: two-sided p of the exact signed-rank test.
        seeds: pairs.
        holm_p: `t_p` corrected over the family it was tested in.
    """

    mean: float
    low: float | None
    high: float | None
    t_p: float | None
    wilcoxon_p: float | None
    seeds: int
    holm_p: float | None = None

    def __str__(self) -> str:
        """The mean, and half of its 95 % interval where there is one."""
        half = "" if self.high is None else f" ± {self.high - self.mean:.4f}"
        return f"{self.mean:.4f}{half}"

    def as_dict(self) -> dict[str, Any]:
        """Returns the numbers by name."""
        return asdict(self)


def spread(values: Sequence[float]) -> Spread:
    """Summarises one metric over seeds.

    Raises:
        ValueError: without values.
    """
    if len(values) == 0:
        raise ValueError("values: must hold at least one number, received none")
    array = np.asarray(values, np.float64)
    std = float(array.std(ddof=1)) if array.size > 1 else None
    return Spread(float(array.mean()), std, int(array.size))


def paired_difference(
    method: Mapping[int, float], reference: Mapping[int, float]
) -> Difference | None:
    """Compares two methods on the seeds that both have.

    Args:
        method: a metric by seed.
        reference: the same metric of the other method.

    Returns:
        The difference, without tests below `LEAST_PAIRS` pairs; None without a pair.
    """
    seeds = sorted(set(method) & set(reference))
    if not seeds:
        return None
    delta = np.asarray([method[s] - reference[s] for s in seeds], np.float64)
    mean, n = float(delta.mean()), len(seeds)
    if n < LEAST_PAIRS:
        return Difference(mean, None, None, None, None, n)
    error = float(delta.std(ddof=1)) / math.sqrt(n)
    half = float(stats.t.ppf(0.975, n - 1)) * error
    if error == 0.0:
        t_p = 1.0 if mean == 0.0 else 0.0
    else:
        t_p = float(2.0 * stats.t.sf(abs(mean) / error, n - 1))
    return Difference(mean, mean - half, mean + half, t_p, _signed_ranks(delta), n)


def _signed_ranks(delta: np.ndarray) -> float:
    """Two-sided exact p of Wilcoxon's test; differences of 0 are dropped."""
    delta = delta[delta != 0.0]
    if delta.size == 0:
        return 1.0
    return float(stats.wilcoxon(delta, method="exact" if delta.size <= 25 else "auto").pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects a family of p-values by Holm's step-down rule; returned in the order given."""
    order = np.argsort(np.asarray(p_values, np.float64), kind="stable")
    corrected, running = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[at]))
        corrected[at] = running
    return corrected
