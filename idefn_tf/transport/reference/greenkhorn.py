"""Algorithm 1 as printed: in every inner update the one row or column that is most wrong is scaled.

    step t:   G = pi^(t) * exp(-M / epsilon)
              repeat:  r, c = row and column sums of G
                       i = argmax |r_i - a_i|,  j = argmax |c_j - b_j|
                       if the row's error is the larger:  row i of G *= a_i / r_i
                       else:                              column j of G *= b_j / c_j
              pi^(t+1) = G

For fidelity and tests: it reaches the plan that `proximal` reaches, one row or column at a time,
which takes thousands of sequential updates per batch (at least five per row and column). Stopped
early it labels everything or nothing, depending on the scale of the embeddings.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from idefn_tf.transport.full_problem import finish_whole, whole
from idefn_tf.transport.plan import Plan
from idefn_tf.transport.problem import TransportProblem, as_type
from idefn_tf.transport.solvers.finish import refuse

RENEW_EVERY = 1000


class _State(NamedTuple):
    """Log-scalings and the plan's sums, kept up to date one row or column at a time."""

    row: tf.Tensor
    column: tf.Tensor
    row_sum: tf.Tensor
    column_sum: tf.Tensor
    count: tf.Tensor


def greenkhorn(
    problem: TransportProblem,
    *,
    epsilon: tf.Tensor,
    steps: int = 1,
    tolerance: float = 1e-3,
    max_iterations: int = 20_000,
) -> Plan:
    """Runs Algorithm 1: `steps` proximal steps of greedy updates.

    Args:
        problem: What to solve.
        epsilon: Scalar weight of the KL term, in units of the cost.
        steps: Proximal steps T; one solves the entropic problem.
        tolerance: A step ends when the L1 marginal error, as a share of the positives' mass, is
            within this.
        max_iterations: Most greedy updates in all, an equal share for each step.

    Returns:
        The plan as a matrix, columns as the last updates left them. `iterations` counts updates.

    Example:
        >>> from idefn_tf.transport import greenkhorn, partial_problem
        >>> problem = partial_problem([[0.0, 1.0]], kappa=0.5)
        >>> plan = greenkhorn(problem, epsilon=tf.constant(0.5), steps=5)
        >>> [round(float(share), 2) for share in plan.matched_fraction]
        [0.99, 0.01]
    """
    dtype = problem.cost.dtype
    epsilon, tolerance = as_type(epsilon, dtype), as_type(tolerance, dtype)
    refusal = refuse(problem, epsilon)
    asked = whole(problem)
    exponent = -asked.cost / tf.where(refusal > 0, tf.ones([], dtype), epsilon)
    row_log, column_log = tf.math.log(asked.row_mass), tf.math.log(asked.column_mass)
    total = tf.reduce_sum(asked.column_mass)
    enough = 2 * tolerance * problem.matched_mass
    share = max(1, max_iterations // steps)

    def plan_of(t: tf.Tensor, state: _State) -> tf.Tensor:
        return tf.exp(state.row[:, None] + state.column + exponent * tf.cast(t, dtype))

    def renew(t: tf.Tensor, state: _State) -> _State:
        """Sums from the scalings, so that rounding does not pile up over thousands of updates."""
        pi = plan_of(t, state)
        return state._replace(row_sum=tf.reduce_sum(pi, 1), column_sum=tf.reduce_sum(pi, 0))

    def errors(state: _State) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.abs(state.row_sum - asked.row_mass), tf.abs(state.column_sum - asked.column_mass)

    def update(t: tf.Tensor, state: _State) -> _State:
        row_error, column_error = errors(state)
        i = tf.argmax(row_error, output_type=tf.int32)
        j = tf.argmax(column_error, output_type=tf.int32)
        time = tf.cast(t, dtype)

        def scale_row() -> tuple[tf.Tensor, ...]:
            old = tf.exp(state.row[i] + state.column + exponent[i] * time)
            new_log = state.row[i] + row_log[i] - tf.math.log(tf.reduce_sum(old))
            new = tf.exp(new_log + state.column + exponent[i] * time)
            return (
                _put(state.row, i, new_log),
                state.column,
                _put(state.row_sum, i, asked.row_mass[i]),
                state.column_sum + (new - old),
            )

        def scale_column() -> tuple[tf.Tensor, ...]:
            old = tf.exp(state.row + state.column[j] + exponent[:, j] * time)
            new_log = state.column[j] + column_log[j] - tf.math.log(tf.reduce_sum(old))
            new = tf.exp(state.row + new_log + exponent[:, j] * time)
            return (
                state.row,
                _put(state.column, j, new_log),
                state.row_sum + (new - old),
                _put(state.column_sum, j, asked.column_mass[j]),
            )

        first = tf.reduce_max(row_error) >= tf.reduce_max(column_error)
        row, column, row_sum, column_sum = tf.cond(first, scale_row, scale_column)
        return _State(row, column, row_sum, column_sum, state.count + 1)

    def off(state: _State) -> tf.Tensor:
        row_error, column_error = errors(state)
        return tf.reduce_sum(row_error) + tf.reduce_sum(column_error) > enough

    def outer(t: tf.Tensor, state: _State) -> tuple[tf.Tensor, _State]:
        t = t + 1  # scalings merge: after t steps the kernel is exp(-t M / epsilon)
        last = state.count + share

        def batch_of_updates(state: _State) -> tuple[_State]:
            until = tf.minimum(last, state.count + RENEW_EVERY)
            (state,) = tf.while_loop(
                lambda s: (s.count < until) & off(s), lambda s: (update(t, s),), (state,)
            )
            return (renew(t, state),)

        (state,) = tf.while_loop(
            lambda s: (s.count < last) & off(s), batch_of_updates, (renew(t, state),)
        )
        return t, state

    start = _State(
        row=row_log - tf.math.log(total),
        column=column_log,
        row_sum=asked.row_mass,
        column_sum=asked.column_mass,
        count=tf.constant(0),
    )
    t, state = tf.while_loop(
        lambda t, _: (t < steps) & tf.equal(refusal, 0), outer, (tf.constant(0), start)
    )
    pi = plan_of(tf.maximum(t, 1), state)
    return finish_whole(problem, pi, epsilon / steps, tolerance, state.count, refusal)


def _put(vector: tf.Tensor, index: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.equal(tf.range(tf.size(vector)), index), value, vector)
