"""Waiting rows: a table's rows that no batch has read stay behind, and cost nothing until one does.

A row-sparse optimizer brings all rows up to date after every `fit` and before every prediction: one
pass over every table. A loop that trains, predicts and saves many times over a few rows each lets
the others wait, brings up to date what it is about to read, and saves what was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from idefn_tf._keras_private import variable_index
from idefn_tf.optimizers.row_sparse import RowSparse


@contextmanager
def rows_wait(optimizer: Any) -> Iterator[None]:
    """Leaves rows behind while it lasts: models train and predict without a pass over the tables.

    What reads a table meanwhile must ask for its rows by `catch_up_rows` first. A row that is
    brought up to date now and again later is equal to one that waited for both, up to rounding.

    Args:
        optimizer: any; one that lets no rows wait is left alone.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import RowSparseAdam, catch_up, rows_wait
        >>> optimizer = RowSparseAdam()
        >>> with rows_wait(optimizer):
        ...     catch_up(optimizer), optimizer.rows_wait
        (None, True)
        >>> optimizer.rows_wait
        False
    """
    inner = _row_sparse(optimizer)
    if inner is None:
        yield
        return
    before, inner.rows_wait = inner.rows_wait, True
    try:
        yield
    finally:
        inner.rows_wait = before


def catch_up_rows(optimizer: Any, table: keras.Variable, rows: np.ndarray) -> None:
    """Brings some rows of a table up to date, where the optimizer lets rows wait.

    Args:
        optimizer: built with the table, or one that lets no rows wait.
        table: marked by `mark_table`.
        rows: distinct row numbers [K].

    Example:
        >>> import keras, numpy as np
        >>> from idefn_tf.optimizers import RowGradient, RowSparseAdam, catch_up_rows, read_rows
        >>> from idefn_tf.tables import mark_table
        >>> table_, optimizer = mark_table(keras.Variable(tf.zeros([2, 1]))), RowSparseAdam(0.1)
        >>> optimizer.build([table_])
        >>> for rows in ([0], [1], [1]):
        ...     read = read_rows(optimizer, table_, tf.constant(rows))
        ...     optimizer.apply_rows([], [RowGradient(table_, read, tf.ones([1, 1]))])
        >>> catch_up_rows(optimizer, table_, np.array([0]))
        >>> round(float(table_.numpy()[0, 0]), 4)  # as `catch_up` leaves it
        -0.2188
    """
    inner = _row_sparse(optimizer)
    if inner is None or not len(rows) or not table.trainable or inner.rule().lazy:
        return
    # few lengths, so that compiled programs meet few shapes; repeats write the same twice
    length = min(1 << (len(rows) - 1).bit_length(), int(table.shape[0]))
    asked = tf.constant(np.pad(rows, (0, length - len(rows)), mode="edge"), tf.int32)
    index = variable_index(inner, table.value)
    values, state = inner._read_plainly(index, table.value, asked)
    table.value.scatter_update(tf.IndexedSlices(values, asked))
    inner._row_state[index].value.scatter_update(tf.IndexedSlices(state, asked))


def rows_written(optimizer: Any, step: int) -> list[tuple[Any, Any, np.ndarray]] | None:
    """Finds the rows whose clock has moved past a step, of every table that is trained.

    Args:
        optimizer: built.
        step: how many steps had been taken by then.

    Returns:
        (table, its state, distinct rows) of every table; None where the optimizer keeps no clocks.
        Rows that `catch_up_rows` brought to that very step are not among them.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import RowGradient, RowSparseAdam, read_rows, rows_written
        >>> from idefn_tf.tables import mark_table
        >>> table_, optimizer = mark_table(keras.Variable(tf.zeros([9, 1]))), RowSparseAdam(0.1)
        >>> optimizer.build([table_])
        >>> for rows in ([0, 3], [5]):
        ...     read = read_rows(optimizer, table_, tf.constant(rows))
        ...     gradient = tf.ones([len(rows), 1])
        ...     optimizer.apply_rows([], [RowGradient(table_, read, gradient)])
        >>> [rows_written(optimizer, step)[0][2].tolist() for step in (0, 1, 2)]
        [[0, 3, 5], [5], []]
    """
    inner = _row_sparse(optimizer)
    if inner is None:
        return None
    found = []
    for index, table in inner._tables.items():
        state = inner._row_state[index]
        if table.trainable:
            clock = len(inner.block_names) * int(table.shape[-1])
            last = tf.convert_to_tensor(state.value)[:, clock].numpy()
            found.append((table, state, np.flatnonzero(last > step)))
    return found


def _row_sparse(optimizer: Any) -> RowSparse | None:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return inner if isinstance(inner, RowSparse) else None
