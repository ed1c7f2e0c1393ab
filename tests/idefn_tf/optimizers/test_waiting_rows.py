"""Rows that wait: brought up to date one by one they are where dense Adam has them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.optimizers import (
    RowGradient,
    RowSparseAdam,
    catch_up,
    catch_up_rows,
    read_rows,
    rows_wait,
    rows_written,
)
from idefn_tf.tables import mark_table

pytestmark = pytest.mark.usefixtures("row_programs")
BATCHES = [[0, 1, 2], [3, 4], [0], [3], [5, 0]]


def trained(optimizer, batches=BATCHES):
    """A table of 8 rows after steps whose gradient is 1 in every row that they read."""
    table = mark_table(keras.Variable(np.linspace(-1, 1, 16).reshape(8, 2), dtype="float32"))
    optimizer.build([table])
    step(optimizer, table, batches)
    return table


def step(optimizer, table, batches):
    for rows in batches:
        read = read_rows(optimizer, table, tf.constant(rows))
        gradient = RowGradient(table, read, tf.ones([len(rows), 2]))
        optimizer.apply_rows([], [gradient])


def test_some_rows_are_brought_where_dense_adam_has_them():
    sparse, dense = RowSparseAdam(0.1), keras.optimizers.Adam(0.1)
    table = trained(sparse)
    twin = keras.Variable(np.linspace(-1, 1, 16).reshape(8, 2), name="twin")
    for rows in BATCHES:
        gradient = np.zeros((8, 2), np.float32)
        gradient[rows] = 1
        dense.apply([tf.constant(gradient)], [twin])
    before, expected = table.numpy(), twin.numpy()
    catch_up_rows(sparse, table, np.array([1, 4, 7]))  # three rows, four in the program
    found = table.numpy()
    np.testing.assert_allclose(found[[1, 4, 7]], expected[[1, 4, 7]], atol=1e-5)
    others = [0, 2, 3, 5, 6]
    np.testing.assert_array_equal(found[others], before[others])
    assert np.abs(found[2] - expected[2]).max() > 0.05  # it waits
    catch_up_rows(sparse, table, np.array([], int))
    catch_up(sparse)
    np.testing.assert_allclose(table.numpy(), expected, atol=1e-5)


def test_nothing_is_brought_up_to_date_while_rows_wait():
    optimizer = RowSparseAdam(0.1)
    table = trained(optimizer)
    before = table.numpy()
    with rows_wait(optimizer):
        catch_up(optimizer)
        np.testing.assert_array_equal(table.numpy(), before)
    catch_up(optimizer)
    assert np.abs(table.numpy() - before).max() > 0.05


def test_optimizers_whose_rows_never_wait_are_left_alone():
    lazy, adam = RowSparseAdam(0.1, lazy=True), keras.optimizers.Adam(0.1)
    table = trained(lazy)
    before = table.numpy()
    catch_up_rows(lazy, table, np.array([1]))
    np.testing.assert_array_equal(table.numpy(), before)
    with rows_wait(adam):
        catch_up_rows(adam, table, np.array([1]))
    assert rows_written(adam, 0) is None


def test_rows_written_since_a_step():
    """Steps 4 and 5 read 3, 5 and 0; a row that is brought up to date moves its clock, too."""
    optimizer = RowSparseAdam(0.1)
    table = trained(optimizer)
    ((found, state, rows),) = rows_written(optimizer, 3)
    assert found is table
    assert state.shape == (8, 6)  # two moments, a step and a rate
    assert rows.tolist() == [0, 3, 5]
    catch_up_rows(optimizer, table, np.array([1]))
    assert rows_written(optimizer, 3)[0][2].tolist() == [0, 1, 3, 5]
    assert rows_written(optimizer, 5)[0][2].tolist() == []
