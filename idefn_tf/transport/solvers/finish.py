"""How every solver begins and ends: reasons to refuse a problem, and the finished plan."""

from __future__ import annotations

import tensorflow as tf

from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import TransportProblem
from idefn_tf.transport.solvers.kernel import absorb, rows_alone
from idefn_tf.transport.status import Status


def refuse(problem: TransportProblem, epsilon: tf.Tensor) -> tf.Tensor:
    """Why the problem has no plan, as a `Status` integer; 0 where it can be solved."""
    row, column = problem.row_mass, problem.column_mass
    infinite = tf.constant(float("inf"), row.dtype)
    least = problem.row_least
    sound = (
        ~tf.reduce_any(least <= -infinite)
        & tf.reduce_all(tf.math.is_finite(row))
        & tf.reduce_all(tf.math.is_finite(column))
        & tf.math.is_finite(problem.virtual_cost)
        & tf.math.is_finite(epsilon)
        & (epsilon > 0)
    )
    asked, offered = tf.reduce_sum(row), tf.reduce_sum(column)
    slack = 1e-5 if row.dtype == tf.float32 else 1e-12
    forbidden = least >= infinite
    infeasible = (
        tf.reduce_any(row < 0)
        | tf.reduce_any(column < 0)
        | (asked > offered * (1 + slack))
        | (tf.reduce_any(forbidden & (row > 0)) & (offered > 0))
    )
    # A batch without rows or columns has nothing to match; that is no fault of its masses.
    nothing = (asked <= 0) | ~tf.reduce_any(problem.row_mask) | ~tf.reduce_any(problem.column_mask)
    negative = tf.reduce_any(row < 0) | tf.reduce_any(column < 0)
    reason = tf.where(infeasible, int(Status.INFEASIBLE), int(Status.CONVERGED))
    reason = tf.where(nothing & ~negative, int(Status.NOTHING_TO_MATCH), reason)
    return tf.where(sound, reason, int(Status.NOT_FINITE))


def finish(
    problem: TransportProblem,
    potential: tuple[tf.Tensor, tf.Tensor],
    beta: tf.Tensor,
    converged: tf.Tensor,
    iterations: tf.Tensor,
    refusal: tf.Tensor,
    sums: tuple[tf.Tensor, tf.Tensor],
) -> Plan:
    """The plan of a potential, or the plan that matches nothing where the problem was refused.

    Args:
        problem: What was asked.
        potential: phi and the digits of it that do not fit, [P] each.
        beta: Inverse temperature 1 / epsilon.
        converged: Boolean scalar.
        iterations: The solver's count.
        refusal: From `refuse`.
        sums: The plan's row sums [P] and matched fraction [U] (`plan_sums`).
    """
    dtype = problem.cost.dtype
    solved = tf.equal(refusal, int(Status.CONVERGED))
    limit = tf.where(converged, int(Status.CONVERGED), int(Status.ITERATION_LIMIT))
    none = tf.constant(float("-inf"), dtype)
    coarse, fine = potential
    mass, fraction = sums
    off = mass - problem.row_mass
    error = tf.reduce_sum(tf.abs(off)) + tf.abs(tf.reduce_sum(off))
    unmet = tf.where(
        tf.equal(refusal, int(Status.NOTHING_TO_MATCH)),
        tf.zeros([], dtype),
        2 * tf.reduce_sum(tf.abs(problem.row_mass)),
    )
    unmet = tf.where(tf.math.is_finite(unmet), unmet, tf.constant(dtype.max, dtype))
    return Plan(
        problem=problem,
        potential=tf.where(solved & (problem.row_mass > 0), coarse, none),
        fine=fine,
        epsilon=1 / beta,
        status=tf.where(solved, limit, refusal),
        iterations=iterations,
        marginal_error=tf.where(solved, error, unmet),
        fraction=tf.where(solved, fraction, tf.zeros_like(fraction)),
    )


def plan_sums(
    problem: TransportProblem,
    reduced_cost: tf.Tensor,
    potential: tuple[tf.Tensor, tf.Tensor],
    beta: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Row sums [P] and matched fraction [U] of the plan that a potential stands for."""
    coarse, fine = potential
    rows = rows_alone(absorb(problem, reduced_cost, beta, coarse), fine)
    return rows.mass, rows.fraction
