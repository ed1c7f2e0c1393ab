"""One step of the row-sparse optimizers by hand: what a row and its state become."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.optimizers import RowGradient, RowSparseAdagrad, RowSparseAdam, read_rows
from idefn_tf.optimizers.row_rules import AdamRule
from idefn_tf.tables import mark_table

pytestmark = pytest.mark.usefixtures("row_programs")


def compiled(*values):
    return pytest.param(*values, marks=pytest.mark.xla)


def apply_once(optimizer, value, gradient, indices=(1, 1), rows=3):
    table = mark_table(keras.Variable(np.full((rows, 2), value, np.float32)))
    optimizer.build([table])
    slices = tf.IndexedSlices(tf.constant(gradient, tf.float32), tf.constant(indices), (rows, 2))
    optimizer.apply([slices], [table])
    return np.array(table), {k: np.array(v) for k, v in optimizer.state_of(table).items()}


def test_the_first_adam_step_by_hand():
    # the two gradients of row 1 add up to (3, -4); bias correction makes the step lr * sign(g)
    table, state = apply_once(RowSparseAdam(0.1), 0.5, [[1.0, -3.0], [2.0, -1.0]])
    np.testing.assert_allclose(table, [[0.5, 0.5], [0.4, 0.6], [0.5, 0.5]], rtol=1e-5)
    np.testing.assert_allclose(state["momentum"][1], [0.3, -0.4], rtol=1e-6)
    np.testing.assert_allclose(state["velocity"][1], [0.009, 0.016], rtol=1e-5)
    assert state["step"].tolist() == [0, 1, 0]


def test_the_first_adagrad_step_by_hand():
    table, state = apply_once(RowSparseAdagrad(0.1, epsilon=0.0), 0.5, [[1.0, -3.0], [2.0, -1.0]])
    # accumulators .1 + 9 and .1 + 16
    moved = [0.5 - 0.3 / math.sqrt(9.1), 0.5 + 0.4 / math.sqrt(16.1)]
    np.testing.assert_allclose(table, [[0.5, 0.5], moved, [0.5, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(state["accumulator"], [[0.1, 0.1], [9.1, 16.1], [0.1, 0.1]])


@pytest.mark.parametrize("cls", [RowSparseAdam, compiled(RowSparseAdagrad)])
def test_l2_rows_adds_to_the_gradient_of_touched_rows_alone(cls):
    _, with_l2 = apply_once(cls(0.1, l2_rows=2.0), 0.5, [[1.0, -3.0], [2.0, -1.0]])
    _, by_hand = apply_once(cls(0.1), 0.5, [[2.0, -2.0], [2.0, -1.0]])  # + 2 * .5
    for name in with_l2:
        np.testing.assert_allclose(with_l2[name], by_hand[name], rtol=1e-6)


@pytest.mark.parametrize("width", [1, 2, 16])
@pytest.mark.parametrize("jit", [False, compiled(True)])
def test_a_row_brought_up_to_date_has_every_column_where_it_belongs(jit, width):
    """Momentum by .9 and velocity by .999 a step, then the step it stands at, then no rate."""
    rule = AdamRule()
    momentum, velocity = np.full((2, 2, width), [[[0.5]], [[0.25]]], np.float32)
    state = np.concatenate([momentum, velocity, [[3.0, 0.1], [10.0, 0.2]]], 1).astype(np.float32)
    rows = np.ones((2, width), np.float32)
    now = tf.function(rule.now, jit_compile=jit)
    moved, found = now(tf.constant(rows), tf.constant(state), tf.constant(10.0), tf.constant(0.1))
    assert found.shape == (2, 2 * width + 2)
    np.testing.assert_allclose(found[0, :width], 0.5 * 0.9**7, rtol=1e-5)
    np.testing.assert_allclose(found[0, width:-2], 0.25 * 0.999**7, rtol=1e-5)
    np.testing.assert_array_equal(found[:, -2:], [[10.0, 0.0], [10.0, 0.0]])
    np.testing.assert_array_equal(found[1, :-2], state[1, :-2])  # touched at this very step
    np.testing.assert_array_equal(moved[1], rows[1])
    assert (np.asarray(moved[0]) < rows[0]).all()


@pytest.mark.parametrize("jit", [False, compiled(True)])
def test_the_padding_row_reads_as_zero_and_is_not_trained(jit):
    first = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    table = mark_table(keras.Variable(first, name="table"))
    optimizer = RowSparseAdam(0.1, global_clipnorm=1.0)
    assert optimizer.jit_rows == jit
    optimizer.build([table])

    @tf.function(autograph=False)
    def step(rows):
        rows_read = read_rows(optimizer, table, rows, padding_row=0)
        gradient = tf.ones_like(rows_read.to_positions())
        optimizer.apply_rows([], [RowGradient(table, rows_read, gradient)])
        return rows_read.to_positions()

    read = step(tf.constant([[0, 3], [3, 0], [0, 5]]))
    expected = [[first[0] * 0, first[3]], [first[3], first[0] * 0], [first[0] * 0, first[5]]]
    np.testing.assert_array_equal(read, expected)
    momentum = np.array(optimizer.state_of(table)["momentum"])
    # row 3 was asked for twice; the norm of the two rows' gradient is sqrt(10)
    np.testing.assert_allclose(momentum[3], 0.1 * 2 / math.sqrt(10), rtol=1e-5)
    np.testing.assert_allclose(momentum[5], 0.1 / math.sqrt(10), rtol=1e-5)
    untouched = [0, 1, 2, 4]
    assert not momentum[untouched].any()
    np.testing.assert_array_equal(np.array(table)[untouched], first[untouched])


def decayed(optimizer, steps=300):
    """Three rows of ones without gradients: one in every batch, one in one, one in none."""
    table = mark_table(keras.Variable(np.ones((3, 2), np.float32), name="table"))
    optimizer.build([table])

    @tf.function(autograph=False, reduce_retracing=True)
    def step(rows):
        rows_read = read_rows(optimizer, table, rows)
        gradient = tf.zeros_like(rows_read.to_positions())
        optimizer.apply_rows([], [RowGradient(table, rows_read, gradient)])

    for i in range(steps):
        step(tf.constant([0, 1] if i == 120 else [0]))
    return table


@pytest.mark.parametrize("cls", [
    RowSparseAdam, RowSparseAdagrad, compiled(RowSparseAdam), compiled(RowSparseAdagrad),
])  # fmt: skip
def test_weights_decay_by_the_schedule_whether_rows_wait_or_not(cls):
    rates = 0.005 * (1.0 + np.cos(np.pi * np.arange(300) / 300))
    expected = np.prod(1.0 - 0.5 * rates)
    assert expected == pytest.approx(0.4705, abs=1e-4)
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 300)
    optimizer = cls(schedule, weight_decay=0.5)
    table = decayed(optimizer)
    optimizer.catch_up()
    np.testing.assert_allclose(table, np.full((3, 2), expected), rtol=1e-5)


def test_state_saved_without_the_log_decay_is_translated():
    """An earlier release kept two columns a row and no sum; row 1 waits from step 121 on."""
    former, now = (RowSparseAdam(0.01, weight_decay=0.5) for _ in range(2))
    table = decayed(former, 200)
    store: dict = {}
    former.save_own_variables(store)
    columns = [np.asarray(value) for value in list(store.values())[:-1]]
    old = {str(i): v[:, :-1] if v.shape == (3, 7) else v for i, v in enumerate(columns)}
    assert [v.shape for v in old.values()] == [(), (), (3, 6), (3, 2)]
    again = mark_table(keras.Variable(np.array(table), name="table"))
    now.build([again])
    now.load_own_variables(old)
    assert np.array(again)[1, 0] == pytest.approx(0.995**121, rel=1e-4)
    now.catch_up()
    np.testing.assert_allclose(again, np.full((3, 2), 0.995**200), rtol=1e-4)
