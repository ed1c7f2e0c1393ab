"""Newton's method on the rows: the inner solver behind `proximal`.

With exact columns the only unknowns are the P row multipliers x (P is small, U is large), and the
problem is to maximise the smooth concave dual with gradient a - r(x). Sinkhorn climbs it by
x_i += log(a_i / r_i), which crawls once columns are full: a full column gives a row nothing more.
Newton's step solves

    H d = r * log(a / r),      H = diag(r) - Pi diag(1 / b) Pi^T,

by a few conjugate-gradient steps, each two products with the kernel, as cheap as one Sinkhorn
sweep. (The right-hand side is Newton's for the equation log r = log a, which is nearly linear where
columns are empty: the first step is then Sinkhorn's own.) A step that does not lower the marginal
error is replaced by Sinkhorn's, which always climbs.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from idefn_tf.transport.kernel import Kernel, Rows, rows_at, sinkhorn_update

CONJUGATE_GRADIENT_STEPS = 64
CONJUGATE_GRADIENT_TOLERANCE = 0.1
LARGEST_MULTIPLIER = 15.0
LARGEST_STEP = 10.0
FIRST_STEP = 2.0
ROW_TOLERANCE = 1e-3


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
    kernel: Kernel, trust: tf.Tensor, tolerance: tf.Tensor, close: tf.Tensor, limit: tf.Tensor
) -> NewtonState:
    """Moves the multipliers until the rows fit, are close, or the kernel must be absorbed anew.

    Args:
        kernel: The absorbed kernel.
        trust: Largest entry of the first step.
        tolerance: Stop when the rows' relative L1 error is at most this, after a first step at most
            half of this (so that rounding in the next absorption does not undo it).
        close: Boolean; stop also when the last step was shorter than 1 (that is epsilon) or every
            row is within 1e-3 of its mass: near enough to start from at a smaller epsilon.
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
        return in_range & (state.rows.error > target) & ~near & (state.iterations < limit)

    def step(state: NewtonState) -> tuple[NewtonState]:
        residual = sinkhorn_update(kernel, state.rows)
        direction = _solve(kernel, state.rows, state.rows.mass * residual)
        wrong = tf.abs(state.rows.mass - kernel.row_mass) > ROW_TOLERANCE * kernel.row_mass
        length = tf.reduce_max(tf.where(wrong, tf.abs(direction), tf.zeros_like(direction)))
        x = state.x + tf.clip_by_value(direction, -state.trust, state.trust)
        rows = rows_at(kernel, x)

        def accept() -> tuple[tf.Tensor, Rows, tf.Tensor, tf.Tensor]:
            return x, rows, length, tf.minimum(2 * state.trust, LARGEST_STEP)

        def fall_back() -> tuple[tf.Tensor, Rows, tf.Tensor, tf.Tensor]:
            safe = state.x + tf.clip_by_value(residual, -LARGEST_STEP, LARGEST_STEP)
            return safe, rows_at(kernel, safe), infinite, tf.maximum(state.trust / 4, 0.1)

        x, rows, length, trust = tf.cond(rows.error < state.rows.error, accept, fall_back)
        return (NewtonState(x, rows, length, trust, state.iterations + 1),)

    x = tf.zeros_like(kernel.row_mass)
    start = NewtonState(x, rows_at(kernel, x), infinite, trust, tf.constant(0))
    (state,) = tf.while_loop(going_on, step, (start,))
    return state


def is_close(kernel: Kernel, state: NewtonState) -> tf.Tensor:
    """Whether the potentials are within about epsilon of right, or every row within 1e-3."""
    off = tf.reduce_max(
        tf.math.divide_no_nan(tf.abs(state.rows.mass - kernel.row_mass), kernel.row_mass)
    )
    return (state.step < 1) | (off < ROW_TOLERANCE)


def _solve(kernel: Kernel, rows: Rows, right: tf.Tensor) -> tf.Tensor:
    """Solves H d = right by conjugate gradients, the diagonal of H as preconditioner."""
    tiny = tf.constant(1e-30, right.dtype)
    # w^2 / b = w / s, with s_j the column's total; 0 where the column has no mass.
    curvature = tf.math.divide_no_nan(tf.square(rows.weight), kernel.column_mass)
    u = rows.multiplier

    def hessian(p: tf.Tensor) -> tf.Tensor:
        inner = tf.linalg.matvec(kernel.entries, u * p, transpose_a=True) * curvature
        return rows.mass * p - u * tf.linalg.matvec(kernel.entries, inner)

    diagonal = rows.mass - tf.square(u) * tf.linalg.matvec(tf.square(kernel.entries), curvature)
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
        # Rounding can make a nearly flat direction look concave: keep what is solved so far.
        sound = curve > 1e-7 * tf.reduce_sum(rows.mass * tf.square(p)) + tiny
        alpha = tf.where(sound, size / tf.maximum(curve, tiny), tf.zeros_like(size))
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
