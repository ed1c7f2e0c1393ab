"""Reductions over the rows or columns of a [P, U] matrix, written so that compilers vectorise them.

XLA reduces one element after the other on CPU, which for a matrix of this size costs more than the
exponentials. Folding halves onto each other is the same reduction as whole-vector operations
(and, for sums, a more accurate order of addition): sixty times faster over rows.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

_SLICES = 32
_REST = 4

Combine = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def fold_rows(combine: Combine, matrix: tf.Tensor, identity: float) -> tf.Tensor:
    """Reduces [P, U] to [U] by the associative `combine` (tf.maximum, tf.minimum, tf.add)."""
    rows = matrix.shape[0]
    while rows is not None and rows > _REST:
        slices = min(_SLICES, rows // 2)
        length = -(-rows // slices)
        padding = slices * length - rows
        if padding:
            matrix = tf.pad(matrix, [[0, padding], [0, 0]], constant_values=identity)
        matrix, rows = _tree(combine, tf.split(matrix, slices, axis=0)), length
    if rows == 0:
        return tf.fill(tf.shape(matrix)[1:], tf.cast(identity, matrix.dtype))
    # A real reduction ends it: unlike element-wise ones, XLA never repeats it inside its readers.
    return _plain(combine)(matrix, axis=0)


def fold_columns(combine: Combine, matrix: tf.Tensor, identity: float) -> tf.Tensor:
    """Reduces [P, U] to [P] by the associative `combine`."""
    columns = matrix.shape[1]
    if columns is None:
        return _plain(combine)(matrix, axis=1)
    while columns > _SLICES:
        length = -(-columns // _SLICES)
        padding = _SLICES * length - columns
        if padding:
            matrix = tf.pad(matrix, [[0, 0], [0, padding]], constant_values=identity)
        parts = tf.split(matrix, _SLICES, axis=1)
        matrix, columns = _tree(combine, parts), length
    if not columns:
        return tf.fill(tf.shape(matrix)[:1], tf.cast(identity, matrix.dtype))
    return _plain(combine)(matrix, axis=1)


def fold_all(combine: Combine, matrix: tf.Tensor, identity: float) -> tf.Tensor:
    """Reduces [P, U] to a scalar by the associative `combine`."""
    return _plain(combine)(fold_rows(combine, matrix, identity), axis=0)


def _tree(combine: Combine, parts: list[tf.Tensor]) -> tf.Tensor:
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [
            *(
                combine(left, right)
                for left, right in zip(parts[:half], parts[half:], strict=False)
            ),
            *parts[2 * half :],
        ]
    return parts[0]


def _plain(combine: Combine) -> Callable[..., tf.Tensor]:
    return {tf.maximum: tf.reduce_max, tf.minimum: tf.reduce_min, tf.add: tf.reduce_sum}[combine]


def log_sum_exp_columns(matrix: tf.Tensor) -> tf.Tensor:
    """Log sum_j exp(matrix_ij), [P, U] to [P]; -inf where a whole row is."""
    highest = fold_columns(tf.maximum, matrix, float("-inf"))
    shift = tf.where(tf.math.is_finite(highest), highest, tf.zeros_like(highest))
    total = fold_columns(tf.add, tf.exp(matrix - shift[:, None]), 0)
    return tf.math.log(total) + shift
