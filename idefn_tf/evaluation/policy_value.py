"""Off-policy value: a policy's estimates with their intervals, and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from idefn_tf._checks import one_entry_per
from idefn_tf._registry import register
from idefn_tf.evaluation.off_policy import effective_sample_size, finite_rows, ratio, row_counts
from idefn_tf.evaluation.resampling import draw_counts

Floats = NDArray[np.float64]

#: Below this effective sample size an estimate is a matter of a few rows.
FEWEST_EFFECTIVE_ROWS = 100.0
#: Below so many of them with a reward an interval of 95 % holds the value too seldom: in 77 to 92 %
#: of logs at 10, in 70 to 84 % at 3, in 37 to 73 % at 1, and then it nearly always lies below the
#: value (`benchmarks.policy.interval_coverage`: weights of real logs, rewards drawn anew).
FEWEST_EFFECTIVE_REWARDS = 10.0
#: Above this share of all weight one row decides, and so far from 1 a mean weight is off.
_LARGEST_SHARE, _MEAN_AWAY = 0.05, 0.1


@register("class")
@dataclass(frozen=True)
class PolicyValue:
    """What a log tells of a policy: estimates, intervals, and how far they can be trusted.

    Attributes:
        rows: of the log.
        logged: mean reward of the log itself.
        ips: the estimate, and `snips`, and `doubly_robust` (None without a model of candidates).
        intervals: by estimate, 95 % of the bootstrap draws of users; None where there is one user.
        effective_rows: the effective sample size.
        largest_weight: the largest weight's share of their sum.
        mean_weight: 1 in expectation where the log could have shown all that the policy shows.
        effective_rewards: effective rows times the share of rows with a reward.
        warnings: what makes the estimates doubtful, in sentences.

    Example:
        >>> from idefn_tf.evaluation import value_policy
        >>> value_policy([1, 0, 1, 0], [2.0, 1.0, 0.5, 0.5]).snips
        0.625
    """

    rows: int
    logged: float
    ips: float
    snips: float
    doubly_robust: float | None
    intervals: dict[str, tuple[float, float] | None]
    effective_rows: float
    largest_weight: float
    mean_weight: float
    effective_rewards: float
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON: what is not defined is None."""
        plain = asdict(self) | {"warnings": list(self.warnings)}
        return {k: None if isinstance(v, float) and v != v else v for k, v in plain.items()}


@register("function")
def value_policy(
    reward: ArrayLike,
    weight: ArrayLike,
    predicted: ArrayLike | None = None,
    expected: ArrayLike | None = None,
    users: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    draws: int = 500,
    seed: int = 0,
) -> PolicyValue:
    """Estimates a policy's mean reward by IPS, SNIPS and, with a model, doubly robust.

    Args:
        reward: y, [rows].
        weight: w of `importance_weights`, [rows].
        predicted: f, for `doubly_robust`.
        expected: g, for `doubly_robust`.
        users: the user of each row; whole users are drawn for intervals. None draws rows.
        sample_weight: how many rows each stands for, or None for 1.
        draws: of the bootstrap; 0 leaves intervals out.
        seed: of the draws.

    Returns:
        Estimates, intervals, diagnostics and warnings.

    Raises:
        ValueError: on lengths that differ, values that are not finite, or no rows that count.

    Source: the module's; the bootstrap of a ratio over clusters: Davison and Hinkley, 1997, 3.8.

    Example:
        >>> from idefn_tf.evaluation import value_policy
        >>> found = value_policy([1, 0, 1, 0], [2.0, 1.0, 0.5, 0.0], users=[1, 1, 2, 2])
        >>> found.ips, round(found.snips, 3), round(found.effective_rows, 2)
        (0.625, 0.714, 2.33)
        >>> found.warnings[0]
        'effective sample size 2.3 of 4 rows, below 100: the estimate is a matter of a few rows'
    """
    y, w = finite_rows(reward, weight)
    if not y.size:
        raise ValueError("reward: must have rows, received none; give the rows of a log")
    counts = row_counts(sample_weight, y.size)
    if not counts.any():
        raise ValueError(
            "sample_weight: must be above 0 on one row at least, received 0 on all "
            f"{y.size};\nleave it out to count every row once"
        )
    terms: dict[str, Floats] = {"y": y * counts, "n": counts, "wy": w * y * counts, "w": w * counts}
    if predicted is not None and expected is not None:
        f, g = finite_rows(predicted, w, "predicted")[0], finite_rows(expected, w, "expected")[0]
        terms["dr"] = (g + w * (y - f)) * counts
    owner = np.arange(y.size)
    if users is not None:
        who = np.unique(np.asarray(users), return_inverse=True)[1].reshape(-1)
        one_entry_per("row", "users", who.size, y.size)
        owner = who
    sums = {name: np.bincount(owner, weights=v) for name, v in terms.items()}
    found = _estimates({name: float(v.sum()) for name, v in sums.items()})
    drawn: dict[str, list[float]] = {name: [] for name in found}
    clusters = int(owner.max()) + 1  # every draw of one alone is the same
    for times in draw_counts(clusters, draws if clusters > 1 else 0, seed):
        again = _estimates({name: float(np.dot(times, v)) for name, v in sums.items()})
        for name, value in again.items():
            drawn[name].append(value)
    heavy = terms["w"]
    mass = float(heavy.sum())
    effective = effective_sample_size(heavy)
    largest = ratio(float(heavy.max()), mass)
    mean = ratio(mass, float(counts.sum()))
    rewards = effective * ratio(float(counts[y != 0].sum()), float(counts.sum()))
    return PolicyValue(
        rows=int(y.size),
        logged=found["logged"],
        ips=found["ips"],
        snips=found["snips"],
        doubly_robust=found.get("doubly_robust"),
        intervals={name: _interval(values) for name, values in drawn.items()},
        effective_rows=effective,
        largest_weight=largest,
        mean_weight=mean,
        effective_rewards=rewards,
        warnings=tuple(_warnings(int(y.size), effective, largest, mean, rewards)),
    )


def _estimates(sums: dict[str, float]) -> dict[str, float]:
    found = {
        "logged": ratio(sums["y"], sums["n"]),
        "ips": ratio(sums["wy"], sums["n"]),
        "snips": ratio(sums["wy"], sums["w"]),
    }
    return found | ({"doubly_robust": ratio(sums["dr"], sums["n"])} if "dr" in sums else {})


def _interval(values: list[float]) -> tuple[float, float] | None:
    finite = np.array([v for v in values if np.isfinite(v)])
    if not finite.size:
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def _warnings(
    rows: int, effective: float, largest: float, mean: float, rewards: float
) -> Iterator[str]:
    if effective < FEWEST_EFFECTIVE_ROWS:
        yield (
            f"effective sample size {effective:.1f} of {rows:,} rows, below "
            f"{FEWEST_EFFECTIVE_ROWS:g}: the estimate is a matter of a few rows"
        )
    if largest > _LARGEST_SHARE:
        yield f"one row holds {largest:.0%} of all weight: its reward decides the estimate"
    if abs(mean - 1.0) > _MEAN_AWAY:
        yield (
            f"overlap: the mean weight is {mean:.2f} where 1 is expected; the policy shows what "
            "the log could not, or the exposure probabilities are not those of the log"
        )
    if rewards < FEWEST_EFFECTIVE_REWARDS:
        yield (
            f"the effective rows hold {rewards:.1f} rewards, below {FEWEST_EFFECTIVE_REWARDS:g}: "
            "intervals are too narrow, and the value is more often above them than below"
        )
