"""Row-sparse optimizers against dense Keras ones, hand-computed steps, and their saved state."""

import gc
import math
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.optimizers import AdamL2, RowSparseAdagrad, RowSparseAdam, read_rows, row_gradient
from idefn_tf.tables import mark_table

pytestmark = pytest.mark.usefixtures("row_programs")
ROWS, WIDTH = 12, 3
Adam, Adagrad = keras.optimizers.Adam, keras.optimizers.Adagrad


def compiled(*values):
    return pytest.param(*values, marks=pytest.mark.xla)


class Pair:
    """A table under a row-sparse optimizer and its twin under a dense one, on one problem.

    The loss is the distance of the read rows to targets, so gradients depend on what was read:
    a row that is not up to date when it is read gives itself away.
    """

    def __init__(self, sparse, dense, rows=ROWS):
        first = np.random.default_rng(1).normal(size=(rows, WIDTH)).astype(np.float32)
        self.table = mark_table(keras.Variable(first, name="table"))
        self.twin = keras.Variable(first, name="twin")
        self.sparse, self.dense = sparse, dense
        sparse.build([self.table])
        dense.build([self.twin])
        self._step = tf.function(self._one_step, reduce_retracing=True, autograph=False)

    def step(self, rows, targets):
        self._step(tf.constant(rows, tf.int32), tf.constant(targets, tf.float32))

    def _one_step(self, rows, targets):
        rows_read = read_rows(self.sparse, self.table, rows)
        gradient = rows_read.to_positions() - targets
        self.sparse.apply([row_gradient(self.sparse, rows_read, gradient)], [self.table])
        twin = tf.convert_to_tensor(self.twin.value)
        slices = (rows[:, None], tf.gather(twin, rows) - targets)
        self.dense.apply([tf.tensor_scatter_nd_add(tf.zeros_like(twin), *slices)], [self.twin])

    def run(self, draws):
        for rows, targets in draws:
            self.step(rows, targets)
        return self

    def values(self):
        if hasattr(self.sparse, "catch_up"):
            self.sparse.catch_up()
        return np.array(self.table), np.array(self.twin)

    def check(self, **tolerance):
        np.testing.assert_allclose(*self.values(), **{"rtol": 0, "atol": 2e-5, **tolerance})


def draws(steps, rows=ROWS, seed=0, size=5):
    """Skewed draws: some rows at every step, others after long waits, repeats within a step."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        at = np.minimum(rng.geometric(0.25, size) - 1, rows - 1)
        yield at, rng.normal(1.0, 1.0, (size, WIDTH)).astype(np.float32)


def everything(steps, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        yield np.arange(ROWS), rng.normal(size=(ROWS, WIDTH)).astype(np.float32)


# -- equal to dense -------------------------------------------------------------------------------


def test_the_motion_of_an_untouched_row_by_hand():
    """Three dense steps without a gradient, in float64, against the closed form."""
    optimizer = RowSparseAdam(0.1)
    pair = Pair(optimizer, Adam(0.1, epsilon=1e-8))
    pair.step([2], np.float32([[0.0, 1.0, -1.0]]))
    w, start = np.array(pair.table, np.float64)[2], np.array(pair.twin, np.float64)[2]
    np.testing.assert_allclose(w, start, rtol=1e-6)
    state = {k: np.array(v, np.float64)[2] for k, v in optimizer.state_of(pair.table).items()}
    m, v = state["momentum"], state["velocity"]
    for t in (2, 3, 4):
        m, v = 0.9 * m, 0.999 * v
        w = w - 0.1 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
        pair.step([5], np.float32([[t, 0.0, 0.0]]))
    read = read_rows(optimizer, pair.table, tf.constant([2]))
    np.testing.assert_allclose(read.to_positions()[0], w, rtol=1e-5)


def test_adam_equals_keras_where_every_row_is_touched():
    pair = Pair(RowSparseAdam(0.05, epsilon=1e-7), Adam(0.05)).run(everything(40))
    np.testing.assert_allclose(*pair.values(), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "settings_",
    [
        {},
        {"global_clipnorm": 0.4},
        compiled({}),
        compiled({"clipnorm": 0.7}),
        compiled({"clipvalue": 0.2}),
        compiled({"global_clipnorm": 0.4}),
        compiled({"loss_scale_factor": 8.0}),
    ],
)
def test_adam_equals_dense_keras_adam_whatever_rows_wait(settings_):
    pair = Pair(RowSparseAdam(0.02, **settings_), Adam(0.02, epsilon=1e-8, **settings_))
    pair.run(draws(120)).check()


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=6), min_size=1, max_size=25),
    st.sampled_from([(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)]),
)
def test_adam_equals_dense_on_any_pattern_of_rows(pattern, betas):
    pair = Pair(RowSparseAdam(0.02, *betas), Adam(0.02, *betas, epsilon=1e-8))
    rng = np.random.default_rng(len(pattern))
    for rows in pattern:
        pair.step(rows, rng.normal(size=(len(rows), WIDTH)).astype(np.float32))
    pair.check(atol=5e-5)


def test_adam_equals_dense_after_a_wait_of_many_steps():
    pair = Pair(RowSparseAdam(0.02), Adam(0.02, epsilon=1e-8))
    pair.step([3, 4], np.ones((2, WIDTH), np.float32))
    for rows, targets in draws(300, rows=2, size=1):
        pair.step(rows, targets)
    pair.step([3], np.ones((1, WIDTH), np.float32))
    pair.check()


def test_lazy_differs_from_dense():
    """The control of the tests above: without making up for waits they would fail."""
    pair = Pair(RowSparseAdam(0.02, lazy=True), Adam(0.02, epsilon=1e-8)).run(draws(120))
    table, twin = pair.values()
    assert np.abs(table - twin).max() > 0.05


def test_settling_often_changes_nothing():
    often, once = (Pair(RowSparseAdam(0.02), Adam(0.02, epsilon=1e-8)) for _ in range(2))
    for i, (rows, targets) in enumerate(draws(90)):
        often.step(rows, targets)
        once.step(rows, targets)
        if i % 7 == 0:
            often.sparse.catch_up()
    np.testing.assert_allclose(often.values()[0], once.values()[0], atol=5e-6)


def test_settling_works_through_tables_larger_than_its_chunk(monkeypatch):
    monkeypatch.setattr("idefn_tf.optimizers.row_sparse._CHUNK", 5)  # 12 rows: 5, 5 and 2
    Pair(RowSparseAdam(0.02), Adam(0.02, epsilon=1e-8)).run(draws(60)).check()


@pytest.mark.parametrize(
    "settings_",
    [{}, compiled({}), compiled({"clipnorm": 0.7}), compiled({"weight_decay": 0.05})],
)
def test_adagrad_equals_dense_keras_adagrad(settings_):
    Pair(RowSparseAdagrad(0.1, **settings_), Adagrad(0.1, **settings_)).run(draws(60)).check()


def test_a_learning_rate_that_is_set_between_epochs():
    pair = Pair(RowSparseAdam(0.02), Adam(0.02, epsilon=1e-8))
    for rate in (0.02, 0.005):
        pair.values()  # as fit does at the end of an epoch
        pair.sparse.learning_rate = pair.dense.learning_rate = rate
        pair.run(draws(40, seed=int(rate * 1000)))
    pair.check()


def test_a_slow_schedule_stays_close_to_dense():
    def schedule():
        return keras.optimizers.schedules.ExponentialDecay(0.02, 500, 0.5)

    pair = Pair(RowSparseAdam(schedule()), Adam(schedule(), epsilon=1e-8)).run(draws(150))
    pair.check(atol=0.01)


# -- weight decay ---------------------------------------------------------------------------------


@pytest.mark.xla
def test_weight_decay_is_adamws_on_rows_that_wait_too():
    decay = {"weight_decay": 0.02}
    pair = Pair(RowSparseAdam(0.02, **decay), Adam(0.02, epsilon=1e-8, **decay))
    pair.run(draws(100)).check(atol=2e-3)
    table, twin = pair.values()
    untouched = Pair(RowSparseAdam(0.02, **decay), Adam(0.02, **decay))
    first = np.array(untouched.table)[11]
    untouched.run(draws(50, rows=3))
    expected = first * (1 - 0.02 * 0.02) ** 50
    np.testing.assert_allclose(untouched.values()[0][11], expected, rtol=1e-5)
    assert table.shape == twin.shape


def test_weight_decay_can_leave_a_table_out():
    optimizer = RowSparseAdam(0.02, weight_decay=0.5)
    table = mark_table(keras.Variable(np.ones((4, 2), np.float32), name="table"))
    other = mark_table(keras.Variable(np.ones((4, 2), np.float32), name="other"))
    dense = keras.Variable(np.ones(2, np.float32), name="dense")
    optimizer.exclude_from_weight_decay(var_names=["other"])
    variables = [table, other, dense]
    optimizer.build(variables)
    none = [tf.IndexedSlices(tf.zeros((1, 2)), [0], (4, 2)) for _ in range(2)]
    optimizer.apply([*none, tf.zeros(2)], variables)
    optimizer.catch_up()
    np.testing.assert_allclose(table, np.full((4, 2), 0.99), rtol=1e-6)
    np.testing.assert_allclose(other, np.ones((4, 2)))
    np.testing.assert_allclose(dense, np.full(2, 0.99), rtol=1e-6)


# -- forms of gradient ----------------------------------------------------------------------------


def test_a_dense_gradient_of_a_table_updates_every_row():
    optimizer, dense = RowSparseAdam(0.1, epsilon=1e-7), Adam(0.1)
    table = mark_table(keras.Variable(np.ones((4, 2), np.float32)))
    twin = keras.Variable(np.ones((4, 2), np.float32))
    optimizer.build([table])
    dense.build([twin])
    for step in range(3):
        gradient = tf.constant(np.arange(8, dtype=np.float32).reshape(4, 2) - step)
        optimizer.apply([gradient], [table])
        dense.apply([gradient], [twin])
    np.testing.assert_allclose(table, twin, atol=1e-6)


def test_unmarked_variables_are_keras_own():
    optimizer, dense = RowSparseAdam(0.1, epsilon=1e-7), Adam(0.1)
    variables = [keras.Variable(np.ones((4, 2), np.float32)) for _ in range(2)]
    slices = tf.IndexedSlices(tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([2, 2]), (4, 2))
    for one, variable in zip((optimizer, dense), variables, strict=True):
        one.build([variable])
    for _ in range(2):
        optimizer.apply([slices], [variables[0]])
        dense.apply([tf.convert_to_tensor(slices)], [variables[1]])
    np.testing.assert_allclose(*variables, atol=1e-6)


@pytest.mark.parametrize("make", [
    lambda **k: keras.optimizers.SGD(0.05, momentum=0.9, **k),
    lambda **k: keras.optimizers.Adam(0.05, **k),
    lambda **k: keras.optimizers.Adagrad(0.05, **k),
    lambda **k: keras.optimizers.RMSprop(0.05, **k),
])  # fmt: skip
@pytest.mark.parametrize("option", [{}, {"global_clipnorm": 0.3}, {"loss_scale_factor": 4.0}])
def test_keras_optimizers_get_repeated_rows_merged(make, option):
    """Keras' own optimizers square each of repeated rows; `read_rows` merges them."""
    pair = Pair(make(**option), make(**option))
    pair.run(draws(6)).check(atol=1e-6)


# -- configs and errors ---------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [
    RowSparseAdam(0.3, 0.8, 0.99, 1e-6, 0.5, True, clipnorm=1.0),
    RowSparseAdagrad(0.3, 0.2, 1e-5, 0.5, weight_decay=0.1),
    RowSparseAdam(keras.optimizers.schedules.CosineDecay(0.1, 10)),
])  # fmt: skip
def test_config_round_trip(optimizer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert again.rule() == optimizer.rule()


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (
            RowSparseAdam,
            {"l2_rows": -1.0},
            "l2_rows: must be a finite number at least 0, rec",
        ),
        (RowSparseAdagrad, {"l2_rows": -1.0}, "l2_rows: must be a finite number at least 0"),
        (RowSparseAdam, {"beta_1": 0.99, "beta_2": 0.9}, "beta_1 < sqrt"),
        (RowSparseAdam, {"amsgrad": True}, "amsgrad: must be off"),
        (RowSparseAdam, {"use_ema": True}, "use_ema: must be off"),
        (RowSparseAdagrad, {"gradient_accumulation_steps": 2}, "gradient_accumulation_steps"),
    ],
)
def test_errors_name_the_option(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls(**options)


@pytest.mark.parametrize("kind", [RowSparseAdam, RowSparseAdagrad, AdamL2])
def test_a_traced_update_goes_with_its_program(kind):
    """TensorFlow registers a gradient of its all-reduce, and that kept every graph for good."""
    weight = mark_table(keras.Variable(np.ones((4, 2), np.float32)))
    optimizer = kind(learning_rate=0.5)
    optimizer.build([weight])

    @tf.function(autograph=False)
    def step():
        optimizer.apply([tf.ones((4, 2))], [weight])

    step()
    graph = weakref.ref(step.get_concrete_function().graph)
    assert graph() is not None
    del step
    gc.collect()
    assert graph() is None
    assert np.all(weight.numpy() < 1)
