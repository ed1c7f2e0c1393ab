"""Off-policy evaluation: what another policy would have earned, told from a log of this one.

Formulas, over the n rows of a log, with reward y, weight w = pi / p (the new policy's probability
of showing the row over the log's) and a model's estimate f of the reward::

    IPS   = 1/n sum w y
    SNIPS = sum w y / sum w
    DR    = 1/n sum ( g + w (y - f) ),  g = sum over candidates a of pi(a) f(a)
    ESS   = (sum w)^2 / sum w^2

IPS is unbiased where p is right and pi > 0 only where p > 0; SNIPS has a bias that falls with n and
much less variance; DR is right where p or the model is. Every mean counts a row by its sample
weight.

Source: Horvitz and Thompson, JASA 1952 (IPS); Swaminathan and Joachims, The Self-Normalized
Estimator, NeurIPS 2015; Dudik, Langford and Li, Doubly Robust Policy Evaluation, ICML 2011; Kong,
1992 (effective sample size).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from idefn_tf._checks import every_row, one_entry_per, vector

Floats = NDArray[np.float64]


def importance_weights(target: ArrayLike, exposure: ArrayLike) -> Floats:
    """Importance weights of a policy on a log, w = pi / p.

    Args:
        target: pi, the probability with which the policy shows each row, 0 or more, [rows].
        exposure: p, the probability with which the log showed it, in (0, 1], [rows].

    Returns:
        Weights, [rows].

    Raises:
        ValueError: on lengths that differ, or values out of range.

    Source: Horvitz and Thompson, JASA 1952.

    Example:
        >>> from idefn_tf.evaluation import importance_weights
        >>> importance_weights([0.5, 0.0, 0.25], [0.25, 0.5, 0.5]).tolist()
        [2.0, 0.0, 0.5]
    """
    wanted, shown = vector("target", target), vector("exposure", exposure)
    one_entry_per("row", "exposure", shown.size, wanted.size)
    every_row(
        "target", ~((wanted >= 0) & np.isfinite(wanted)), "be 0 or more", "give probabilities"
    )
    every_row(
        "exposure",
        ~((shown > 0) & (shown <= 1)),
        "be above 0 and at most 1",
        "leave out rows that could not be shown",
    )
    weights: Floats = wanted / shown
    return weights


def ips(reward: ArrayLike, weight: ArrayLike) -> float:
    """Inverse propensity score estimate of a policy's mean reward, 1/n sum w y.

    Args:
        reward: y, what each row earned, [rows].
        weight: w of `importance_weights`, [rows].

    Returns:
        The estimate; nan without rows.

    Raises:
        ValueError: on lengths that differ, or values that are not finite.

    Source: Horvitz and Thompson, JASA 1952.

    Example:
        >>> from idefn_tf.evaluation import ips
        >>> ips([1, 0, 1, 0], [2.0, 1.0, 0.5, 0.0])
        0.625
    """
    y, w = finite_rows(reward, weight)
    return float(np.mean(w * y)) if y.size else float("nan")


def snips(reward: ArrayLike, weight: ArrayLike) -> float:
    """Self-normalized inverse propensity score estimate, sum w y / sum w.

    Args:
        reward: y, [rows].
        weight: w, [rows].

    Returns:
        The estimate; nan where no row has weight.

    Raises:
        ValueError: on lengths that differ, or values that are not finite.

    Source: Swaminathan and Joachims, The Self-Normalized Estimator, NeurIPS 2015.

    Example:
        >>> from idefn_tf.evaluation import snips
        >>> round(snips([1, 0, 1, 0], [2.0, 1.0, 0.5, 0.0]), 4)
        0.7143
    """
    y, w = finite_rows(reward, weight)
    return ratio(float(np.dot(w, y)), float(w.sum()))


def doubly_robust(
    reward: ArrayLike, weight: ArrayLike, predicted: ArrayLike, expected: ArrayLike
) -> float:
    """Doubly robust estimate, 1/n sum ( g + w (y - f) ).

    Args:
        reward: y, [rows].
        weight: w, [rows].
        predicted: f, a model's reward of the row that was shown, [rows].
        expected: g, its mean reward over what the policy would show in the row's place, [rows].

    Returns:
        The estimate; nan without rows.

    Raises:
        ValueError: on lengths that differ, or values that are not finite.

    Source: Dudik, Langford and Li, Doubly Robust Policy Evaluation and Learning, ICML 2011, Eq. 1.

    Example:
        >>> from idefn_tf.evaluation import doubly_robust
        >>> doubly_robust([1, 0], [2.0, 1.0], predicted=[0.5, 0.5], expected=[0.25, 0.5])
        0.625
    """
    y, w = finite_rows(reward, weight)
    f, g = (
        finite_rows(v, w, name)[0] for v, name in ((predicted, "predicted"), (expected, "expected"))
    )
    return float(np.mean(g + w * (y - f))) if y.size else float("nan")


def effective_sample_size(weight: ArrayLike) -> float:
    """Effective sample size, (sum w)^2 / sum w^2: as many rows of equal weight tell as much.

    Args:
        weight: w, [rows].

    Returns:
        Between 1 and the number of rows; 0 where no row has weight.

    Raises:
        ValueError: on values that are negative or not finite.

    Source: Kong, A Note on Importance Sampling Using Standardized Weights, 1992.

    Example:
        >>> from idefn_tf.evaluation import effective_sample_size
        >>> effective_sample_size([2.0, 1.0, 1.0, 0.0])
        2.6666666666666665
    """
    w = finite_rows(np.zeros_like(vector("weight", weight)), weight)[1]
    square = float(np.dot(w, w))
    return float(w.sum()) ** 2 / square if square else 0.0


def ratio(above: float, below: float) -> float:
    """Returns a quotient, nan over 0."""
    return above / below if below else float("nan")


def finite_rows(
    reward: ArrayLike, weight: ArrayLike, name: str = "reward"
) -> tuple[Floats, Floats]:
    """Returns both as finite vectors of one length."""
    y, w = vector(name, reward), vector("weight", weight)
    one_entry_per("row", name, y.size, w.size)
    every_row(name, ~np.isfinite(y), "be finite", "leave out rows without a value")
    every_row("weight", ~((w >= 0) & np.isfinite(w)), "be 0 or more, and finite", "see the policy")
    return y, w


def row_counts(sample_weight: ArrayLike | None, rows: int) -> Floats:
    """Returns how many rows of the log each row stands for, [rows]; 1 where nothing is given."""
    if sample_weight is None:
        return np.ones(rows)
    counts = vector("sample_weight", sample_weight)
    one_entry_per("row", "sample_weight", counts.size, rows)
    bad = ~((counts >= 0) & np.isfinite(counts))
    every_row("sample_weight", bad, "be 0 or more, and finite", "count each row of the log")
    return counts
