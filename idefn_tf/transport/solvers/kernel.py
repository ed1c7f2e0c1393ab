"""The stabilised kernel: exponentials once, then plain matrix-vector products.

Eq. 8-10 scale the kernel exp(-M / epsilon) by row and column vectors. Here the rows' log-scalings
phi are absorbed into the kernel, and each column is divided by its own largest entry, so that no
entry exceeds 1 whatever epsilon is:

    K_ij = exp(phi_i - M_ij / epsilon - m_j),   K_virtual,j = exp(-m_j),
    m_j = max(0, max_i (phi_i - M_ij / epsilon)).

With multipliers u_i = exp(x_i) since the last absorption, exact columns mean

    pi_ij = u_i K_ij w_j,   w_j = b_j / (K_virtual,j + sum_i u_i K_ij),   r_i = sum_j pi_ij,

two products with K per evaluation. x is absorbed into phi before it grows out of range.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from idefn_tf.transport.problem import TransportProblem
from idefn_tf.transport.reductions import fold_rows


class Kernel(NamedTuple):
    """An absorbed kernel together with the masses it must meet.

    Attributes:
        entries: K_ij, float tensor [P, U], each at most 1; 0 in rows without mass.
        virtual: K_virtual,j, float tensor [U]; 0 where the virtual row has no mass.
        row_mass: a_i, float tensor [P].
        column_mass: b_j, float tensor [U].
    """

    entries: tf.Tensor
    virtual: tf.Tensor
    row_mass: tf.Tensor
    column_mass: tf.Tensor


class Rows(NamedTuple):
    """The plan's rows at multipliers x, columns being exact.

    Attributes:
        multiplier: u_i = exp(x_i), [P].
        weight: w_j, [U].
        mass: Row sums r_i, [P].
        fraction: Share of each column's mass that real rows supply, [U].
        error: sum_i |r_i - a_i| / sum_i a_i, scalar.
        dual: sum_i a_i x_i - sum_j b_j log(b_j / w_j), the concave dual objective in units of
            epsilon, up to a constant of the kernel; scalar.
    """

    multiplier: tf.Tensor
    weight: tf.Tensor
    mass: tf.Tensor
    fraction: tf.Tensor
    error: tf.Tensor
    dual: tf.Tensor


def absorb(
    problem: TransportProblem, reduced_cost: tf.Tensor, beta: tf.Tensor, potential: tf.Tensor
) -> Kernel:
    """Computes the kernel at inverse temperature beta = 1 / epsilon around the potential phi."""
    active = problem.row_mass > 0
    zero = tf.zeros([], reduced_cost.dtype)
    lowest = tf.constant(reduced_cost.dtype.min, reduced_cost.dtype)
    floor = tf.where(problem.virtual_mass > 0, zero, lowest)
    # Division, not a product: no fused multiply-add can round it differently elsewhere.
    exponent = potential[:, None] - reduced_cost / (1 / beta)
    exponent = tf.where(active[:, None], exponent, lowest)
    highest = tf.maximum(fold_rows(tf.maximum, exponent, exponent.dtype.min), floor)
    return Kernel(
        entries=tf.where(active[:, None], tf.exp(exponent - highest), zero),
        virtual=tf.where(problem.virtual_mass > 0, tf.exp(-highest), zero),
        row_mass=problem.row_mass,
        column_mass=problem.column_mass,
    )


def rows_at(kernel: Kernel, x: tf.Tensor) -> Rows:
    """Evaluates the plan's row sums at multipliers exp(x) with exact columns."""
    tiny = tf.constant(kernel.entries.dtype.as_numpy_dtype(1e-37), kernel.entries.dtype)
    multiplier = tf.exp(x)
    supply = tf.linalg.matvec(kernel.entries, multiplier, transpose_a=True)
    total = kernel.virtual + supply
    weight = tf.where(total > tiny, kernel.column_mass / tf.maximum(total, tiny), 0)
    mass = multiplier * tf.linalg.matvec(kernel.entries, weight)
    wanted = tf.maximum(tf.reduce_sum(kernel.row_mass), tiny)
    error = tf.reduce_sum(tf.abs(mass - kernel.row_mass)) / wanted
    reached = tf.where(kernel.column_mass > 0, tf.maximum(total, tiny), tf.ones_like(total))
    dual = tf.reduce_sum(kernel.row_mass * x) - tf.reduce_sum(
        kernel.column_mass * tf.math.log(reached)
    )
    fraction = tf.where(total > tiny, supply / tf.maximum(total, tiny), 0)
    return Rows(multiplier, weight, mass, fraction, error, dual)


def rows_alone(kernel: Kernel, x: tf.Tensor) -> Rows:
    """`rows_at` for a kernel that nothing else reads.

    XLA fuses the exponentials of a freshly absorbed kernel into a product that reads it and then
    computes them once per use, element by element. A loop of one turn keeps them apart.
    """
    zero = tf.zeros([], kernel.entries.dtype)
    rows = Rows(x, kernel.column_mass, kernel.row_mass, kernel.column_mass, zero, zero)
    _, rows = tf.while_loop(
        lambda done, rows: ~done,
        lambda done, rows: (tf.constant(True), rows_at(kernel, x)),
        (tf.constant(False), rows),
    )
    return rows


def sinkhorn_update(kernel: Kernel, rows: Rows) -> tf.Tensor:
    """The log-multipliers that would make every row exact with the columns held: log(a_i / r_i)."""
    tiny = tf.constant(kernel.entries.dtype.as_numpy_dtype(1e-37), kernel.entries.dtype)
    ratio = tf.math.log(tf.maximum(kernel.row_mass, tiny)) - tf.math.log(
        tf.maximum(rows.mass, tiny)
    )
    return tf.where(kernel.row_mass > 0, ratio, tf.zeros_like(ratio))


def add_exactly(large: tf.Tensor, small: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Rounded sum and what rounding lost of it (Knuth's two-sum): large + small = sum + lost.

    At small epsilon phi is a large number of which only the last digits move; absorbing x without
    its remainder would throw those digits away.
    """
    total = large + small
    taken = total - large
    return total, (large - (total - taken)) + (small - taken)
