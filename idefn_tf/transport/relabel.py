"""Sample relabelling (SRM, Eq. 13-14): pseudo-labels of unclicked rows from a transport plan.

Every rule maps a plan to one number per unclicked row: 0 is a negative, 1 a pseudo-positive. Which
rule can fire depends on kappa N_U / N_P, the unclicked rows that a positive's mass fills: below a
half `argmax` labels nothing (no positive fills half a column), `matched_fraction` only columns that
several positives share, and `top_k` is the rule to use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from idefn_tf._rules import Number, OneOf, checked
from idefn_tf.transport.plan import Plan
from idefn_tf.transport.reductions import order_statistic


def argmax(plan: Plan) -> tf.Tensor:
    """1 where the row that supplies most of a column is a real positive (Eq. 13-14).

    Args:
        plan: The transport plan.

    Returns:
        Float tensor [U] of 0 and 1; ties go to the virtual row.
    """
    return tf.cast(plan.argmax >= 0, plan.problem.cost.dtype)


def matched_fraction(plan: Plan, threshold: float = 0.5) -> tf.Tensor:
    """1 where real rows together supply more than `threshold` of a column's mass.

    Args:
        plan: The transport plan.
        threshold: Share in [0, 1).

    Returns:
        Float tensor [U] of 0 and 1.

    Raises:
        ValueError: If `threshold` is outside [0, 1).
    """
    checked("threshold", Number(least=0, below=1), threshold)
    return tf.cast(plan.matched_fraction > threshold, plan.problem.cost.dtype)


def top_k(plan: Plan, count: Any = None) -> tf.Tensor:
    """1 at the `count` columns with the largest matched fraction.

    Args:
        plan: The transport plan.
        count: Scalar integer; by default as many whole columns as the matched mass fills,
            floor(kappa N_U) under "proportion" and floor(kappa N_P) under "literal", so that the
            literal reading labels nothing below 1 / kappa positives by this rule either.

    Returns:
        Float tensor [U] of 0 and 1; columns that no real row reaches stay 0, ties go to the lower
        index.
    """
    fraction = plan.matched_fraction
    dtype = fraction.dtype
    if count is None:
        problem = plan.problem
        share = tf.math.divide_no_nan(problem.matched_mass, tf.reduce_sum(problem.column_mass))
        columns = tf.reduce_sum(tf.cast(problem.column_mask, dtype))
        count = tf.floor(share * columns + 1e-3)  # rounding must not cost a whole column
    count = tf.cast(count, tf.int32)
    size = tf.size(fraction)
    least = order_statistic(
        fraction[None, :], tf.ones_like(fraction[None, :], tf.bool), size - count + 1
    )
    above = fraction > least
    level = tf.equal(fraction, least)
    room = count - tf.reduce_sum(tf.cast(above, tf.int32))
    first = tf.cumsum(tf.cast(level, tf.int32)) <= room
    return tf.cast((above | (level & first)) & (fraction > 0) & (count > 0), dtype)


def soft(plan: Plan) -> tf.Tensor:
    """The matched fraction itself as a label in [0, 1].

    Args:
        plan: The transport plan.

    Returns:
        Float tensor [U].
    """
    return plan.matched_fraction


RULES: dict[str, Callable[..., tf.Tensor]] = {
    "argmax": argmax,
    "matched_fraction": matched_fraction,
    "top_k": top_k,
    "soft": soft,
}


def relabel(plan: Plan, rule: str = "top_k", **options: Any) -> tf.Tensor:
    """Pseudo-labels of the unclicked rows by a rule's name.

    Args:
        plan: The transport plan.
        rule: "argmax", "matched_fraction", "top_k" or "soft".
        **options: The rule's own arguments.

    Returns:
        Float tensor [U] in [0, 1], without gradient; 0 at padding.

    Raises:
        ValueError: If the rule is unknown.
    """
    checked("rule", OneOf(tuple(sorted(RULES))), rule)
    return tf.stop_gradient(RULES[rule](plan, **options))
