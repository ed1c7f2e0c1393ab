"""Row sums and matched fractions by log-sum-exp over blocks of rows: no second matrix is held.

With exact columns the plan of a potential phi is

    pi_ij = b_j exp(phi_i - M_ij / epsilon - n_j),
    n_j   = log( s + sum_i exp(phi_i - M_ij / epsilon) ),

s = 1 where the virtual row has mass, else 0. n is gathered over blocks of rows with a running
maximum; then every row's sum is a log-sum-exp over its columns. Beside the cost itself only one
block of `ROWS` rows exists at a time, so 1,024 x 65,536 pairs need one matrix, not four.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from idefn_tf.transport.problem import TransportProblem
from idefn_tf.transport.reductions import fold_columns, fold_rows, log_sum_exp_columns

ROWS = 64


def log_sums(
    problem: TransportProblem, least: tf.Tensor, beta: tf.Tensor, phi: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Log row sums of a potential's plan.

    Args:
        problem: What is asked.
        least: Each row's smallest cost, [P] (`problem.row_minimum`).
        beta: Inverse temperature 1 / epsilon.
        phi: The potential, [P].

    Returns:
        log r_i, [P], and n_j, [U].
    """
    dtype = problem.cost.dtype
    lowest = tf.constant(dtype.min, dtype)
    has_virtual = problem.virtual_mass > 0
    like = tf.zeros_like(problem.column_mass)

    def gather(
        exponent: tf.Tensor, rows: tf.Tensor, state: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, ...]:
        highest, total = state
        now = tf.maximum(highest, fold_rows(tf.maximum, exponent, dtype.min))
        fresh = fold_rows(tf.add, tf.exp(exponent - now), 0)
        return now, total * tf.exp(highest - now) + fresh

    start = (tf.where(has_virtual, like, lowest), like + tf.cast(has_virtual, dtype))
    highest, total = _over_blocks(problem, least, beta, phi, gather, start)
    reached = highest > lowest / 2
    normaliser = tf.where(reached, highest + tf.math.log(tf.where(reached, total, 1)), 0)
    offset = tf.math.log(problem.column_mass) - normaliser

    def sum_rows(
        exponent: tf.Tensor, rows: tf.Tensor, state: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, ...]:
        sums = log_sum_exp_columns(exponent + offset)
        # A last block that overlaps leaves the rows it has seen as they are.
        old = tf.gather(state[0], rows)
        kept = tf.where(fold_columns(tf.maximum, exponent, dtype.min) > lowest, sums, old)
        return (tf.tensor_scatter_nd_update(state[0], rows[:, None], kept),)

    nothing = tf.zeros_like(phi) + lowest
    (log_mass,) = _over_blocks(problem, least, beta, phi, sum_rows, (nothing,))
    return log_mass, normaliser


def fractions(
    problem: TransportProblem,
    least: tf.Tensor,
    beta: tf.Tensor,
    phi: tf.Tensor,
    normaliser: tf.Tensor,
) -> tf.Tensor:
    """Share of each column's mass that real rows supply, [U]."""

    def add(
        exponent: tf.Tensor, rows: tf.Tensor, state: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, ...]:
        return (state[0] + fold_rows(tf.add, tf.exp(exponent - normaliser), 0),)

    start = (tf.zeros_like(normaliser),)
    (share,) = _over_blocks(problem, least, beta, phi, add, start)
    return share


def _over_blocks(
    problem: TransportProblem,
    least: tf.Tensor,
    beta: tf.Tensor,
    phi: tf.Tensor,
    step: Callable[[tf.Tensor, tf.Tensor, Any], tuple[tf.Tensor, ...]],
    start: tuple[tf.Tensor, ...],
) -> tuple[tf.Tensor, ...]:
    """Folds `step` over blocks of phi_i - M_ij / epsilon; `dtype.min` where a row takes no part."""
    count, columns = problem.cost.shape
    lowest = tf.constant(problem.cost.dtype.min, problem.cost.dtype)

    def exponents(cost: tf.Tensor, rows: tf.Tensor, takes_part: tf.Tensor) -> tf.Tensor:
        usable = tf.gather(problem.row_mask, rows)[:, None] & problem.column_mask
        reduced = tf.where(usable, cost - tf.gather(least, rows)[:, None], tf.zeros_like(cost))
        exponent = tf.maximum(tf.gather(phi, rows)[:, None] - reduced * beta, lowest)
        return tf.where(
            (takes_part & (tf.gather(problem.row_mass, rows) > 0))[:, None], exponent, lowest
        )

    def block(turn: tf.Tensor, state: tuple[tf.Tensor, ...]) -> tuple[Any, ...]:
        begin = tf.minimum(turn * ROWS, count - ROWS)
        rows = begin + tf.range(ROWS)
        cost = tf.slice(problem.cost, [begin, 0], [ROWS, columns])
        return turn + 1, step(exponents(cost, rows, rows >= turn * ROWS), rows, state)

    if count is None or columns is None or count <= ROWS:
        rows = tf.range(tf.shape(problem.cost)[0])
        return step(exponents(problem.cost, rows, rows >= 0), rows, start)
    blocks = -(-count // ROWS)
    _, found = tf.while_loop(lambda turn, _: turn < blocks, block, (tf.constant(0), start))
    return found
