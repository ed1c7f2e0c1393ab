"""The rows of one table that one batch touches, each once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from idefn_tf.tables import Distinct, distinct


@dataclass
class Touched:
    """Distinct rows of a table, read once.

    Attributes:
        found: which rows, and the way back to the places that asked for them.
        values: what the rows are worth, [K, d].
        shape: of the table.
        state: what the optimizer keeps for them, up to date as well, [K, s], or None.
        nobody: a row that counts as zero wherever it is asked for and gets no gradient, or None.
        places: the asked-for rows in their places, where they are known already.
    """

    found: Distinct
    values: tf.Tensor
    shape: tuple[int, ...]
    state: tf.Tensor | None = None
    nobody: int | None = None
    places: tf.Tensor | None = None

    def spread(self) -> tf.Tensor:
        """Returns the asked-for rows in their places, [*shape, d]."""
        if self.places is not None:
            return self.places
        return spread(self.found.rows, self.values, self.found.position, self.nobody)

    def merge(self, gradient: tf.Tensor) -> tf.IndexedSlices:
        """Sums the gradients of repeated rows.

        Args:
            gradient: with respect to what `spread` returned, [*shape, d].

        Returns:
            Values [K, d] at the distinct rows; those of the padding are 0.
        """
        summed = merge(gradient, self.found.rows, self.found.position, self.nobody)
        return tf.IndexedSlices(summed, self.found.rows, tf.constant(self.shape, tf.int32))

    def unmerged(self, gradient: tf.Tensor) -> tf.IndexedSlices:
        """Returns the gradient [*shape, d] as it is, at `position`: the optimizer merges it."""
        return tf.IndexedSlices(gradient, self.found.position, tf.constant(self.shape, tf.int32))


def spread(
    rows: tf.Tensor, values: tf.Tensor, position: tf.Tensor, nobody: int | None
) -> tf.Tensor:
    """Puts distinct rows [K] of `values` [K, d] into the places that asked for them."""
    if nobody is not None:
        values = tf.where(tf.equal(rows, nobody)[:, None], tf.zeros_like(values), values)
    return tf.gather(values, position)


def merge(
    gradient: tf.Tensor, rows: tf.Tensor, position: tf.Tensor, nobody: int | None
) -> tf.Tensor:
    """Sums gradients [*shape, d] of repeated rows to [K, d]: the adjoint of `spread`."""
    summed = tf.math.unsorted_segment_sum(gradient, position, tf.shape(rows)[0])
    if nobody is None:
        return summed
    return tf.where(tf.equal(rows, nobody)[:, None], tf.zeros_like(summed), summed)


def touch(
    optimizer: Any,
    table: keras.Variable,
    rows: tf.Tensor | Distinct,
    nobody: int | None = None,
) -> Touched:
    """Reads the rows of a table, up to date.

    Args:
        optimizer: where it lets rows wait for their next touch (`RowSparse`), it brings them up
            to date; any other optimizer leaves the table itself up to date.
        table: [V, d].
        rows: int32, any shape, repeats allowed; or what `distinct` found among them.
        nobody: a row that counts as zero and gets no gradient.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    found = rows if isinstance(rows, Distinct) else distinct(rows)
    if hasattr(optimizer, "touch"):
        touched: Touched = optimizer.touch(table, found, nobody)
        return touched
    values = tf.gather(table.value, found.rows)
    return Touched(found, values, tuple(table.shape), nobody=nobody)


def row_gradient(optimizer: Any, touched: Touched, gradient: tf.Tensor) -> Any:
    """Returns a table's gradient in the form that the optimizer's ``apply`` takes.

    Repeated rows are merged here, because Keras' own optimizers do not merge them; `RowSparse`
    does so itself where it compiles its update. Where Keras cannot unscale an ``IndexedSlices``
    the whole table's gradient is given.

    Args:
        optimizer: any Keras optimizer.
        touched: what was read.
        gradient: with respect to ``touched.spread()``.
    """
    by_rows = hasattr(optimizer, "touch")
    if by_rows and optimizer.compiles():
        return touched.unmerged(gradient)
    merged = touched.merge(gradient)
    return merged if by_rows or not optimizer.loss_scale_factor else tf.convert_to_tensor(merged)


def settle(optimizer: Any) -> None:
    """Brings every row of every table up to date, where the optimizer lets rows wait."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "settle"):
        optimizer.settle()
