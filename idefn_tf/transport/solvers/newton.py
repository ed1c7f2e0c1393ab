"""Newton's method on the rows: the inner solver behind `proximal`.

With exact columns the only unknowns are the P row multipliers x (P is small, U is large), and the
problem is to maximise the smooth concave dual with gradient a - r(x). Sinkhorn climbs it by
x_i += log(a_i / r_i), which crawls once columns are full: a full column gives a row nothing more.
Newton's step solves

    H d = r * log(a / r),      H = diag(r) - Pi diag(1 / b) Pi^T,

by a few conjugate-gradient steps, each two products with the kernel, as cheap as one Sinkhorn
sweep. (The right-hand side is Newton's for the equation log r = log a, which is nearly linear where
columns are empty: the first step is then Sinkhorn's own.) A step that neither lowers the marginal
error nor climbs the dual is replaced by Sinkhorn's, which always climbs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from idefn_tf.transport.reductions import fold_columns
from idefn_tf.transport.solvers.kernel import Kernel, Rows, rows_at, sinkhorn_update

CONJUGATE_GRADIENT_STEPS = 64
CONJUGATE_GRADIENT_TOLERANCE = 0.1
LARGEST_MULTIPLIER = 15.0
LARGEST_STEP = 10.0
FIRST_STEP = 2.0
ROW_TOLERANCE = 1e-3
ROW_NEAR = 0.1
FLAT = 1e-6


class NewtonState(NamedTuple):
    """Where the iteration stands.

    Attributes:
        x: Log-multipliers since the last absorption, [P].
        rows: The plan's rows at x.
        step: Largest entry of the last Newton step among rows that are still off; how far the
            potentials are from right, in units of epsilon. Infinite after a replaced step.
        trust: The largest entry that a step may have.
        iterations: Newton steps so far, integer scalar.
    """

    x: tf.Tensor
    rows: Rows
    step: tf.Tensor
    trust: tf.Tensor
    iterations: tf.Tensor


def newton(
    kernel: Kernel,
    x: tf.Tensor,
    trust: tf.Tensor,
    tolerance: tf.Tensor,
    close: tf.Tensor,
    limit: tf.Tensor,
) -> NewtonState:
    """Moves the multipliers until the rows fit, are close, or the kernel must be absorbed anew.

    Args:
        kernel: The absorbed kernel.
        x: Log-multipliers to start from, [P].
        trust: Largest entry of the first step.
        tolerance: Stop when the rows' relative L1 error is at most this, after a first step at most
            half of this (so that rounding in the next absorption does not undo it).
        close: Boolean; stop also when `is_close`: near enough to start from at a smaller epsilon.
        limit: Most Newton steps.

    Returns:
        The last state.
    """
    dtype = kernel.entries.dtype
    infinite = tf.constant(float("inf"), dtype)

    def going_on(state: NewtonState) -> tf.Tensor:
        in_range = tf.reduce_max(tf.abs(state.x)) <= LARGEST_MULTIPLIER
        near = close & is_close(kernel, state)
        target = tf.where(state.iterations > 0, tolerance / 2, tolerance)
        stay = in_range & (state.rows.error > target) & ~near & (state.iterations < limit)
        return stay | (state.iterations < 0)

    def step(state: NewtonState) -> tuple[NewtonState]:
        x, length = tf.cond(
            state.iterations < 0, lambda: (state.x, infinite), lambda: _propose(kernel, state)
        )
        rows = rows_at(kernel, x)

        def accept() -> tuple[tf.Tensor, Rows, tf.Tensor, tf.Tensor]:
            return x, rows, length, tf.minimum(2 * state.trust, LARGEST_STEP)

        def fall_back() -> tuple[tf.Tensor, Rows, tf.Tensor, tf.Tensor]:
            safe = sinkhorn_update(kernel, state.rows)
            safe = state.x + tf.clip_by_value(safe, -LARGEST_STEP, LARGEST_STEP)
            return safe, rows_at(kernel, safe), infinite, tf.maximum(state.trust / 4, 0.1)

        better = (rows.error < state.rows.error) | (rows.dual > state.rows.dual + noise)
        moved = tf.cond(better | (state.iterations < 0), accept, fall_back)
        x, rows, length, trust = moved
        return (NewtonState(x, rows, length, trust, state.iterations + 1),)

    # What rounding alone may add to the dual, a sum over the columns' mass.
    noise = tf.constant(16.0 * np.finfo(dtype.as_numpy_dtype).eps, dtype)
    noise *= tf.reduce_sum(kernel.column_mass)
    # The loop's first turn only evaluates the start: the kernel then has the loop as its one reader
    # and XLA does not fuse (and so repeat) its exponentials into a product.
    zero = tf.zeros([], dtype)
    unknown = Rows(x, kernel.column_mass, kernel.row_mass, kernel.column_mass, infinite, zero)
    start = NewtonState(x, unknown, infinite, trust / 2, tf.constant(-1))
    (state,) = tf.while_loop(going_on, step, (start,))
    return state


def _propose(kernel: Kernel, state: NewtonState) -> tuple[tf.Tensor, tf.Tensor]:
    """The next x, and the step's largest entry (before clipping) among rows that are off."""
    residual = sinkhorn_update(kernel, state.rows)
    direction = _solve(kernel, state.rows, state.rows.mass * residual)
    wrong = tf.abs(state.rows.mass - kernel.row_mass) > ROW_TOLERANCE * kernel.row_mass
    length = tf.reduce_max(tf.where(wrong, tf.abs(direction), tf.zeros_like(direction)))
    return state.x + tf.clip_by_value(direction, -state.trust, state.trust), length


def is_close(kernel: Kernel, state: NewtonState) -> tf.Tensor:
    """Whether the last step was below epsilon and no row is far off, or every row within 1e-3."""
    off = tf.reduce_max(
        tf.math.divide_no_nan(tf.abs(state.rows.mass - kernel.row_mass), kernel.row_mass)
    )
    return ((state.step < 1) & (off < ROW_NEAR)) | (off < ROW_TOLERANCE)


def _solve(kernel: Kernel, rows: Rows, right: tf.Tensor) -> tf.Tensor:
    """Solves H d = right by conjugate gradients, the diagonal of H as preconditioner."""
    tiny = tf.constant(1e-37, right.dtype)
    # w^2 / b = w / s, with s_j the column's total; 0 where the column has no mass.
    curvature = tf.math.divide_no_nan(tf.square(rows.weight), kernel.column_mass)
    u = rows.multiplier

    def hessian(p: tf.Tensor) -> tf.Tensor:
        inner = tf.linalg.matvec(kernel.entries, u * p, transpose_a=True) * curvature
        return rows.mass * p - u * tf.linalg.matvec(kernel.entries, inner)

    squares = fold_columns(tf.add, tf.square(kernel.entries) * curvature, 0)
    diagonal = rows.mass - tf.square(u) * squares
    diagonal = tf.maximum(diagonal, 1e-4 * rows.mass) + tiny

    def going_on(
        count: tf.Tensor, d: tf.Tensor, r: tf.Tensor, p: tf.Tensor, size: tf.Tensor
    ) -> tf.Tensor:
        return (count < CONJUGATE_GRADIENT_STEPS) & (size > enough)

    def step(
        count: tf.Tensor, d: tf.Tensor, r: tf.Tensor, p: tf.Tensor, size: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        hp = hessian(p)
        curve = tf.reduce_sum(p * hp)
        # Where every column within reach is full H is flat: the step is then as long as `trust`
        # allows. Rounding can even make a flat direction look concave; nothing is solved after it.
        least = FLAT * tf.reduce_sum(rows.mass * tf.square(p)) + tiny
        sound = curve > least
        alpha = size / tf.maximum(curve, least)
        d, r = d + alpha * p, r - alpha * hp
        z = r / diagonal
        new = tf.reduce_sum(r * z)
        p = z + tf.math.divide_no_nan(new, size) * p
        return count + 1, d, r, p, tf.where(sound, new, tf.zeros_like(new))

    # Without a virtual row H is blind to a common shift of all potentials: take it out.
    shift = tf.math.divide_no_nan(tf.reduce_sum(right), tf.reduce_sum(rows.mass))
    right = tf.where(tf.reduce_max(kernel.virtual) > 0, right, right - shift * rows.mass)
    z = right / diagonal
    size = tf.reduce_sum(right * z)
    enough = CONJUGATE_GRADIENT_TOLERANCE**2 * size + tiny
    _, d, _, _, _ = tf.while_loop(
        going_on, step, (tf.constant(0), tf.zeros_like(right), right, z, size)
    )
    return d
