"""Confidence intervals of metrics: the bootstrap over users and items.

Exposures of one user, or of one item, are no independent draws, so whole users and items are drawn
again, with replacement (`idefn_tf.evaluation.resampling`). Scores are sorted once; a draw only
changes the rows' weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from idefn_tf.evaluation.resampling import WAYS, resample_ways, widened
from idefn_tf.evaluation.spaces import SPACES, select
from idefn_tf.metrics.exact_metrics import LOG_LOSS_CLIP

Floats = NDArray[np.float64]
Draws = dict[tuple[str, str], Floats]

#: Draws for up to `FULL_ROWS` rows; fewer beyond, but never less than `LEAST`.
REPLICATES, FULL_ROWS, LEAST = 200, 100_000, 50


def replicates_for(rows: int) -> int:
    """Returns how many draws the rows get."""
    return int(np.clip(REPLICATES * FULL_ROWS / max(rows, 1), LEAST, REPLICATES))


class Ranked:
    """Labels sorted by score once, so that weighted AUC and KS cost one pass a draw."""

    def __init__(self, label: Floats, score: NDArray) -> None:
        self._order = np.argsort(score, kind="stable")
        ranked = np.asarray(score)[self._order]
        starts = np.r_[True, ranked[1:] != ranked[:-1]] if len(ranked) else np.zeros(0, bool)
        self._starts = np.flatnonzero(starts)
        self._label = label[self._order]

    def auc_ks(self, weight: Floats) -> tuple[float, float]:
        """Returns weighted AUC and KS, nan where a class is absent; ties count half."""
        if not self._starts.size:
            return np.nan, np.nan
        w = weight[self._order]
        positive = np.add.reduceat(w * self._label, self._starts)
        negative = np.add.reduceat(w * (1.0 - self._label), self._starts)
        p, n = positive.sum(), negative.sum()
        if p == 0 or n == 0:
            return np.nan, np.nan
        below = np.cumsum(negative)
        auc = float(np.dot(positive, below - 0.5 * negative) / (p * n))
        ks = float(np.max(np.r_[0.0, below / n - np.cumsum(positive) / p]))
        return auc, ks


def bootstrap(
    scores: Mapping[str, NDArray],
    columns: Mapping[str, NDArray],
    weight: NDArray,
    users: NDArray | None,
    seed: int = 0,
    replicates: int | None = None,
    items: NDArray | None = None,
) -> Draws:
    """Draws the metrics of every space that the columns allow.

    Args:
        scores: "ctr", "cvr" and "ctcvr" [rows].
        columns: label columns as `idefn_tf.evaluation.spaces.evaluate_spaces` takes them.
        weight: sample weights [rows].
        users: the user of each row [rows], or None.
        seed: of the draws.
        replicates: number of draws of each way; by default as many as `replicates_for`.
        items: the item of each row [rows], or None.

    Returns:
        By (space, metric), the value in each draw of users, [1, draws], or of users, of items and
        of their pairs, [3, draws].
    """
    rows = len(weight)
    replicates = replicates or replicates_for(rows)
    jobs = list(_jobs(scores, columns))
    found: Draws = {}
    base = np.asarray(weight, np.float64)
    shape = (1 if users is None or items is None else len(WAYS), replicates)
    for way, i, drawn in resample_ways(users, items, rows, replicates, seed):
        drawn *= base
        for job in jobs:
            for metric, value in job.measure(drawn[job.mask]).items():
                for space in job.spaces:
                    key = space, f"{job.head}_{metric}"
                    found.setdefault(key, np.full(shape, np.nan))[way, i] = value
    return found


def interval(draws: Floats | None, level: float = 0.95) -> tuple[float, float] | None:
    """Returns the percentile interval, or None where too few draws are defined.

    Args:
        draws: one way's, [draws] or [1, draws], or those over users, items and pairs, [3, draws].
        level: the share of draws inside.
    """
    if draws is None:
        return None
    values = widened(draws)
    if values.size < LEAST // 2:
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class _Job:
    """One output on the rows of one space (or of several that give the same numbers)."""

    spaces: tuple[str, ...]
    head: str
    mask: NDArray[np.bool_]
    label: Floats
    score: Floats
    loss: Floats
    ranked: Ranked

    def measure(self, weight: Floats) -> dict[str, float]:
        """Returns the metrics under one draw's weights [rows of the mask]."""
        total, observed = weight.sum(), float(np.dot(weight, self.label))
        auc, ks = self.ranked.auc_ks(weight)
        values = {"auc": auc, "logloss": np.dot(weight, self.loss) / total if total else np.nan}
        if self.head == "cvr":
            predicted = float(np.dot(weight, self.score))
            values |= {"ks": ks, "pcoc": predicted / observed if observed else np.nan}
        return values


def _jobs(scores: Mapping[str, NDArray], columns: Mapping[str, NDArray]) -> Iterator[_Job]:
    known = [s for s in SPACES.values() if set(s.columns) <= set(columns)]
    for space in known:
        mask, label = select(space.name, columns)
        if mask.any():
            yield _job((space.name,), "cvr", mask, label, scores)
    # every exposure, whatever the conversion's label: the same in both spaces
    shared = tuple(s.name for s in known if s.name in ("all_raw", "all_funnel"))
    everywhere, funnel = select("all_funnel", columns)
    yield _job(shared, "ctr", everywhere, np.asarray(columns["click"], np.float64), scores)
    yield _job(shared, "ctcvr", everywhere, funnel, scores)


def _job(
    spaces: tuple[str, ...], head: str, mask: NDArray[np.bool_], label: Floats, scores: Mapping
) -> _Job:
    score = np.asarray(scores[head], np.float64).reshape(-1)[mask]
    target = label[mask]
    log_p = np.log(np.maximum(score, LOG_LOSS_CLIP))
    log_q = np.log(np.maximum(1.0 - score, LOG_LOSS_CLIP))
    loss = -(target * log_p + (1.0 - target) * log_q)
    return _Job(spaces, head, mask, target, score, loss, Ranked(target, score))
