"""Reading rows of a table up to date, and the gradients that go back to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from idefn_tf.tables import Distinct, distinct


@dataclass
class RowsRead:
    """Distinct rows of a table, read once.

    Attributes:
        found: which rows, and the way back to the places that asked for them.
        values: what the rows are worth, [K, d].
        shape: of the table.
        state: what the optimizer keeps for them, up to date as well, [K, s], or None.
        padding_row: a row that counts as zero wherever it is asked for and gets no gradient; or
            None.
        places: the asked-for rows in their places, where they are known already.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import read_rows
        >>> table_ = keras.Variable([[0.0], [1.0]])
        >>> read = read_rows(keras.optimizers.SGD(), table_, tf.constant([1, 0, 1]))
        >>> summed = read.sum_duplicates(tf.constant([[1.0], [10.0], [100.0]]))
        >>> summed.values.numpy().ravel().tolist(), summed.indices.numpy().tolist()
        ([101.0, 10.0], [1, 0])
    """

    found: Distinct
    values: tf.Tensor
    shape: tuple[int, ...]
    state: tf.Tensor | None = None
    padding_row: int | None = None
    places: tf.Tensor | None = None

    def to_positions(self) -> tf.Tensor:
        """Returns the asked-for rows in their places, [*shape, d]."""
        if self.places is not None:
            return self.places
        return to_positions(self.found.rows, self.values, self.found.position, self.padding_row)

    def to_events(self) -> dict[str, tf.Tensor]:
        """Returns the rows of packed events in their places: {sequence: [P, parts, d]}."""
        if not self.found.events:
            return {}
        values = without_padding(self.found.rows, self.values, self.padding_row)
        return {name: tf.gather(values, at) for name, at in self.found.events.items()}

    def sum_duplicates(
        self, gradient: tf.Tensor, events: Mapping[str, tf.Tensor] | None = None
    ) -> tf.IndexedSlices:
        """Sums the gradients of repeated rows.

        Args:
            gradient: with respect to what `to_positions` returned, [*shape, d].
            events: with respect to what `to_events` returned.

        Returns:
            Values at the distinct rows, without those that only fill up `found.rows`; those of the
            padding row are 0.
        """
        found, count = self.found, self.found.count
        more = sum_events(found, events)
        summed = sum_duplicates(gradient, found.rows, found.position, self.padding_row, more)
        shape = tf.constant(self.shape, tf.int32)
        return tf.IndexedSlices(summed[:count], found.rows[:count], shape)


@dataclass(frozen=True)
class RowGradient:
    """The gradient of the rows that a batch read of one table.

    Attributes:
        table: the variable.
        rows_read: what `read_rows` gave in this very step.
        values: the gradient with respect to ``rows_read.to_positions()``, [*shape, d].
        events: the gradients with respect to ``rows_read.to_events()``.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import RowGradient, apply_rows, read_rows
        >>> optimizer, table_ = keras.optimizers.SGD(1.0), keras.Variable([[0.0], [1.0]])
        >>> read = read_rows(optimizer, table_, tf.constant([1, 1]))
        >>> apply_rows(optimizer, [], [RowGradient(table_, read, tf.ones([2, 1]))])
        >>> table_.numpy().ravel().tolist()
        [0.0, -1.0]
    """

    table: keras.Variable
    rows_read: RowsRead
    values: tf.Tensor
    events: Mapping[str, tf.Tensor] = field(default_factory=dict)


def to_positions(
    rows: tf.Tensor, values: tf.Tensor, position: tf.Tensor, padding_row: int | None
) -> tf.Tensor:
    """Puts distinct rows [K] of `values` [K, d] into the places that asked for them."""
    return tf.gather(without_padding(rows, values, padding_row), position)


def without_padding(rows: tf.Tensor, values: tf.Tensor, padding_row: int | None) -> tf.Tensor:
    """Returns what distinct rows [K] are worth, [K, d], 0 for the padding row."""
    if padding_row is None:
        return values
    return tf.where(tf.equal(rows, padding_row)[:, None], tf.zeros_like(values), values)


def sum_duplicates(
    gradient: tf.Tensor,
    rows: tf.Tensor,
    position: tf.Tensor,
    padding_row: int | None,
    more: tf.Tensor | None = None,
) -> tf.Tensor:
    """Sums gradients [*shape, d] of repeated rows to [K, d]: the adjoint of `to_positions`.

    Args:
        gradient: of the asked-for rows in their places.
        rows: the distinct ones, [K].
        position: where among them each asked-for row stands.
        padding_row: one that gets no gradient, or None.
        more: a sum to be added, [K, d].
    """
    summed = tf.math.unsorted_segment_sum(gradient, position, tf.shape(rows)[0])
    summed = summed if more is None else summed + more
    return without_padding(rows, summed, padding_row)


def sum_events(found: Distinct, gradients: Mapping[str, tf.Tensor] | None) -> tf.Tensor | None:
    """Sums the gradients of packed events by the row that they read, [K, d]; None without any.

    Outside of XLA: how many events there are differs from batch to batch.
    """
    if not gradients:
        return None
    names = sorted(gradients)
    width = gradients[names[0]].shape[-1]
    values = [tf.reshape(gradients[name], [-1, width]) for name in names]
    at = [tf.reshape(found.events[name], [-1]) for name in names]
    if len(names) > 1:
        values, at = [tf.concat(values, 0)], [tf.concat(at, 0)]
    return tf.math.unsorted_segment_sum(values[0], at[0], tf.shape(found.rows)[0])


def read_rows(
    optimizer: Any,
    table: keras.Variable,
    rows: tf.Tensor | Distinct,
    padding_row: int | None = None,
) -> RowsRead:
    """Reads the rows of a table, up to date.

    Args:
        optimizer: where it lets rows wait for their next batch (`RowSparse`), it brings them up
            to date; any other optimizer leaves the table itself up to date.
        table: [V, d].
        rows: int32, any shape, repeats allowed; or what `distinct` found among them.
        padding_row: a row that counts as zero and gets no gradient.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import read_rows
        >>> table_ = keras.Variable([[0.0], [1.0], [2.0]])
        >>> read = read_rows(keras.optimizers.SGD(), table_, tf.constant([2, 1, 2]))
        >>> read.to_positions().numpy().ravel().tolist(), int(read.found.count)
        ([2.0, 1.0, 2.0], 2)
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    found = rows if isinstance(rows, Distinct) else distinct(rows)
    if hasattr(optimizer, "read_rows"):
        rows_read: RowsRead = optimizer.read_rows(table, found, padding_row)
        return rows_read
    values = tf.gather(table.value, found.rows)
    return RowsRead(found, values, tuple(table.shape), padding_row=padding_row)


def apply_rows(
    optimizer: Any,
    dense_pairs: Sequence[tuple[tf.Tensor, keras.Variable]],
    row_gradients: Sequence[RowGradient],
) -> None:
    """Takes one step of any optimizer, tables by the rows that a batch read of them.

    Args:
        optimizer: `RowSparse` updates those rows alone; any other gets them merged, through its
            own ``apply``.
        dense_pairs: gradients and variables that are no tables.
        row_gradients: of the tables.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import RowGradient, apply_rows, read_rows
        >>> bias, table_ = keras.Variable(0.0), keras.Variable([[0.0], [1.0]])
        >>> optimizer = keras.optimizers.SGD(0.5)
        >>> read = read_rows(optimizer, table_, tf.constant([1]))
        >>> apply_rows(optimizer, [(2.0, bias)], [RowGradient(table_, read, tf.ones([1, 1]))])
        >>> float(bias.numpy()), table_.numpy().ravel().tolist()
        (-1.0, [0.0, 0.5])
    """
    if hasattr(optimizer, "apply_rows"):
        optimizer.apply_rows(dense_pairs, row_gradients)
        return
    rows = [
        (row_gradient(optimizer, r.rows_read, r.values, r.events), r.table) for r in row_gradients
    ]
    pairs = [*dense_pairs, *rows]
    optimizer.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])


def row_gradient(
    optimizer: Any,
    rows_read: RowsRead,
    gradient: tf.Tensor,
    events: Mapping[str, tf.Tensor] | None = None,
) -> Any:
    """Returns a table's gradient in the form that a Keras optimizer's ``apply`` takes.

    Repeated rows are merged here, because Keras' own optimizers do not merge them. Where Keras
    cannot unscale an ``IndexedSlices`` the whole table's gradient is given.

    Args:
        optimizer: any Keras optimizer.
        rows_read: what was read.
        gradient: with respect to ``rows_read.to_positions()``.
        events: with respect to ``rows_read.to_events()``.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import read_rows, row_gradient
        >>> optimizer, table_ = keras.optimizers.SGD(1.0), keras.Variable([[0.0], [1.0]])
        >>> read = read_rows(optimizer, table_, tf.constant([1, 1]))
        >>> optimizer.apply([row_gradient(optimizer, read, tf.ones([2, 1]))], [table_])
        >>> table_.numpy().ravel().tolist()
        [0.0, -1.0]
    """
    summed = rows_read.sum_duplicates(gradient, events)
    by_rows = hasattr(optimizer, "apply_rows")
    return summed if by_rows or not optimizer.loss_scale_factor else tf.convert_to_tensor(summed)


def catch_up(optimizer: Any) -> None:
    """Brings every row of every table up to date, where the optimizer lets rows wait.

    Nothing is done inside `waiting_rows.rows_wait`.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import RowGradient, RowSparseAdam, catch_up, read_rows
        >>> from idefn_tf.tables import mark_table
        >>> table_, optimizer = mark_table(keras.Variable(tf.zeros([2, 1]))), RowSparseAdam(0.1)
        >>> optimizer.build([table_])
        >>> for rows in ([0], [1], [1]):  # dense Adam would move row 0 on
        ...     read = read_rows(optimizer, table_, tf.constant(rows))
        ...     optimizer.apply_rows([], [RowGradient(table_, read, tf.ones([1, 1]))])
        >>> catch_up(optimizer)
        >>> round(float(table_.numpy()[0, 0]), 4)  # -0.1 before
        -0.2188
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "catch_up") and not getattr(optimizer, "rows_wait", False):
        optimizer.catch_up()
