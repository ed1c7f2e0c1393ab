"""The problem with its virtual row written out, for the algorithms that treat it like any other.

`proximal` and `sinkhorn` divide the virtual row's scaling out. The algorithms as printed do not:
they see N_P + 1 rows, the virtual one last with the constant cost xi.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import TransportProblem
from idefn_tf.transport.status import Status


class WholeProblem(NamedTuple):
    """Cost and marginals with the virtual row.

    Attributes:
        cost: Float tensor [P + 1, U]; real rows less their own smallest cost (no plan changes).
        row_mass: Float tensor [P + 1], a.
        column_mass: Float tensor [U], b.
    """

    cost: tf.Tensor
    row_mass: tf.Tensor
    column_mass: tf.Tensor


def whole(problem: TransportProblem) -> WholeProblem:
    """Appends the virtual row to a problem."""
    virtual = tf.fill([1, tf.shape(problem.cost)[1]], problem.virtual_cost)
    return WholeProblem(
        cost=tf.concat([problem.reduced_cost, virtual], axis=0),
        row_mass=tf.concat([problem.row_mass, problem.virtual_mass[None]], axis=0),
        column_mass=problem.column_mass,
    )


def marginal_error(pi: tf.Tensor, row_mass: tf.Tensor, column_mass: tf.Tensor) -> tf.Tensor:
    """L1 error of both marginals of a whole plan [P + 1, U], scalar."""
    rows = tf.reduce_sum(tf.abs(tf.reduce_sum(pi, axis=1) - row_mass))
    columns = tf.reduce_sum(tf.abs(tf.reduce_sum(pi, axis=0) - column_mass))
    return rows + columns


def finish_whole(
    problem: TransportProblem,
    pi: tf.Tensor,
    epsilon: tf.Tensor,
    tolerance: tf.Tensor,
    iterations: tf.Tensor,
    refusal: tf.Tensor,
) -> Plan:
    """A plan from its whole matrix [P + 1, U], or the one that matches nothing if refused.

    Args:
        problem: What was asked.
        pi: The matrix found.
        epsilon: Its entropic weight; 0 for an exact plan.
        tolerance: Largest L1 marginal error as a share of the positives' mass.
        iterations: The solver's count.
        refusal: A `Status` integer from `refuse`; 0 where there was something to solve.
    """
    nothing = tf.concat(
        [
            tf.zeros_like(problem.cost),
            tf.where(problem.column_mass > 0, problem.column_mass, 0)[None],
        ],
        axis=0,
    )
    finite = tf.reduce_all(tf.math.is_finite(pi))
    solved = tf.equal(refusal, int(Status.CONVERGED)) & finite
    pi = tf.where(solved, tf.where(tf.math.is_finite(pi), pi, tf.zeros_like(pi)), nothing)
    error = marginal_error(
        pi, tf.concat([problem.row_mass, problem.virtual_mass[None]], 0), problem.column_mass
    )
    largest = tf.constant(error.dtype.max, error.dtype)
    error = tf.where(tf.math.is_finite(error), error, largest)
    nothing_asked = tf.equal(refusal, int(Status.NOTHING_TO_MATCH))
    error = tf.where(nothing_asked, tf.zeros_like(error), error)
    fits = error <= 2 * tolerance * problem.matched_mass
    status = tf.where(fits, int(Status.CONVERGED), int(Status.ITERATION_LIMIT))
    status = tf.where(finite, status, int(Status.NOT_FINITE))
    zeros = tf.zeros_like(problem.row_mass)
    return Plan(
        problem=problem,
        potential=zeros,
        fine=zeros,
        epsilon=tf.cast(epsilon, problem.cost.dtype),
        status=tf.where(tf.equal(refusal, int(Status.CONVERGED)), status, refusal),
        iterations=iterations,
        marginal_error=error,
        transported=pi,
    )
