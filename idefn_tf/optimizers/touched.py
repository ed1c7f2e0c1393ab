"""The rows of one table that one batch touches, each once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf


@dataclass
class Touched:
    """Distinct rows of a table, read once, with the way back to the places that asked for them.

    `rows` is padded with row 0 to one of few lengths K, so that compiled programs meet few shapes.

    Attributes:
        rows: the distinct rows, then padding, int32 [K].
        count: how many of them are real, scalar.
        position: where in `rows` each asked-for row stands, int32, of the shape asked for.
        values: what the rows are worth, [K, d].
        shape: of the table.
        state: what the optimizer keeps for them, up to date as well, [K, s], or None.
    """

    rows: tf.Tensor
    count: tf.Tensor
    position: tf.Tensor
    values: tf.Tensor
    shape: tuple[int, ...]
    state: tf.Tensor | None = None

    def spread(self) -> tf.Tensor:
        """Returns the asked-for rows in their places, [*shape, d]."""
        return tf.gather(self.values, self.position)

    def merge(self, gradient: tf.Tensor) -> tf.IndexedSlices:
        """Sums the gradients of repeated rows.

        Args:
            gradient: with respect to what `spread` returned, [*shape, d].

        Returns:
            Values [K, d] at `rows`; those of the padding are 0.
        """
        size = tf.size(self.rows)
        summed = tf.math.unsorted_segment_sum(gradient, self.position, size)
        return tf.IndexedSlices(summed, self.rows, tf.constant(self.shape, tf.int32))


def distinct(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Finds the distinct rows among int32 `rows` of any shape.

    Returns:
        The rows in order of first appearance, padded with 0 to a length K; how many are real;
        and where each of those asked for stands, of the shape asked for.
    """
    unique, position = tf.unique(tf.reshape(rows, [-1]))
    count = tf.size(unique)
    # four lengths an octave: at most a quarter is padding, and XLA compiles few programs
    octave = tf.floor(tf.math.log(tf.cast(tf.maximum(count, 1), tf.float32)) / 0.6931472)
    grain = tf.cast(tf.pow(2.0, tf.maximum(octave - 2.0, 4.0)), tf.int32)
    padding = -count % grain
    return tf.pad(unique, [[0, padding]]), count, tf.reshape(position, tf.shape(rows))


def touch(optimizer: Any, table: keras.Variable, rows: tf.Tensor) -> Touched:
    """Reads the rows of a table, up to date.

    Args:
        optimizer: where it lets rows wait for their next touch (`RowSparse`), it brings them up
            to date; any other optimizer leaves the table itself up to date.
        table: [V, d].
        rows: int32, any shape, repeats allowed.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "touch"):
        return optimizer.touch(table, rows)
    padded, count, position = distinct(rows)
    return Touched(padded, count, position, tf.gather(table.value, padded), tuple(table.shape))


def row_gradient(optimizer: Any, touched: Touched, gradient: tf.Tensor) -> Any:
    """Returns a table's gradient in the form that the optimizer's ``apply`` takes.

    Repeated rows are merged here, because Keras' own optimizers do not merge them. Where Keras
    cannot unscale an ``IndexedSlices`` the whole table's gradient is given.

    Args:
        optimizer: any Keras optimizer.
        touched: what was read.
        gradient: with respect to ``touched.spread()``.
    """
    merged = touched.merge(gradient)
    by_rows = hasattr(optimizer, "touch")
    return merged if by_rows or not optimizer.loss_scale_factor else tf.convert_to_tensor(merged)


def settle(optimizer: Any) -> None:
    """Brings every row of every table up to date, where the optimizer lets rows wait."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "settle"):
        optimizer.settle()
