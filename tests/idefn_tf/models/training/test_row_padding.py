"""Padded batches: which sizes there are, and that no score and no result tells of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP
from idefn_tf.models import ESMM
from idefn_tf.models.training.row_padding import SIZES, RowPadding, cut
from idefn_tf.optimizers import RowSparseAdam


class MetSizes(keras.layers.Layer):
    """A backbone that notes how many rows it is given."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3, activation="relu")
        self.met = []

    def call(self, z):
        self.met.append(z.shape[0])
        return self.dense(z)


class SummedOverRows(keras.layers.Layer):
    """A backbone whose penalty is a sum over the rows of the batch."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3, activation="relu")

    def call(self, z):
        self.add_loss(tf.cast(tf.shape(z)[0], tf.float32))
        return self.dense(z)


def padded_sizes(rows):
    padding = RowPadding()
    batches = [padding.padded({"a": tf.range(r), "b": tf.zeros([r, 2])}) for r in rows]
    for (padded, there), given in zip(batches, rows, strict=True):
        assert int(there) == given
        assert padded["b"].shape == [padded["a"].shape[0], 2]
        own = cut(padded, there)["a"].numpy()
        np.testing.assert_array_equal(own, np.arange(given))
        assert set(padded["a"].numpy()[given:]) <= {given - 1}  # the last row again
    return [padded["a"].shape[0] for padded, _ in batches]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([1], [8]),
        ([8], [8]),
        ([17], [18]),  # 16 and two more: eight sizes an octave
        ([1000], [1024]),
        ([1025], [1152]),
        ([2048, 2048, 37], [2048, 2048, 2048]),
        ([1100, 1100, 1], [1152, 1100, 1100]),  # a size of no octave is padded once
        ([1000, 3, 3, 2, 900], [1024, 1000, 3, 3, 900]),  # small ones after a large one: once
        ([0], [0]),
        ([5, 0, 4], [8, 0, 8]),
    ],
)
def test_sizes(rows, expected):
    assert padded_sizes(rows) == expected


def test_a_data_set_begins_anew():
    padding = RowPadding()
    padding.padded(tf.zeros([1024]))
    padding.start()
    assert padding.padded(tf.zeros([9]))[0].shape == [9]


def test_features_of_different_numbers_of_rows_are_refused():
    """The first one's places would cut longer ones, and some devices fill shorter ones with 0."""
    for rows in ((3, 4), (4, 3)):
        batch = {name: tf.zeros([n]) for name, n in zip("ab", rows, strict=True)}
        with pytest.raises(tf.errors.InvalidArgumentError, match="must have one number of rows"):
            RowPadding().padded(batch)
        drawn = tf.function(RowPadding().padded)
        with pytest.raises(tf.errors.InvalidArgumentError):  # a graph may tell the gather's first
            drawn.get_concrete_function({n: tf.TensorSpec([None]) for n in "ab"})(batch)


def test_sizes_rise_by_an_eighth_at_most():
    steps = np.array(SIZES[1:]) / np.array(SIZES[:-1])
    assert steps.min() > 1
    assert steps.max() <= 1.125
    assert SIZES[-1] > 10**8


def test_beyond_the_largest_size_a_batch_stays_as_it_is():
    rows = SIZES[-1] + 1
    padding = RowPadding()
    concrete = tf.function(lambda x: padding.padded(x)[0]).get_concrete_function(
        tf.TensorSpec([None, 0])
    )
    assert concrete(tf.zeros([rows, 0])).shape[0] == rows  # of no columns: no memory


@pytest.mark.parametrize(
    "other",
    [
        tf.constant(1.0),
        tf.ragged.constant([[1.0], [2.0, 3.0]]),
        tf.sparse.from_dense([[1.0], [0.0]]),
        np.zeros(3),
    ],
)
def test_what_is_not_rows_of_a_tensor_passes_as_it_is(other):
    given = {"a": tf.zeros([3]), "other": other}
    batch, rows = RowPadding().padded(given)
    assert batch is given
    assert rows is None
    assert cut(given, rows) is given


@pytest.fixture
def batched(tiny_rows):
    """Makes a data set of the first rows in batches."""

    def make(rows, size):
        features = {k: tiny_rows[k][:rows] for k in ("user", "item", "price")}
        labels = {k: tiny_rows[k][:rows] for k in ("click", "conversion")}
        weight = np.linspace(0.5, 2.0, rows, dtype=np.float32)
        return tf.data.Dataset.from_tensor_slices((features, labels, weight)).batch(size)

    return make


def unpadded(model, monkeypatch):
    """Makes a model score batches as they come."""
    monkeypatch.setattr(model._row_padding, "padded", lambda batch: (batch, None))


@pytest.mark.parametrize("name", ["all_negative", "ddpo", "mmoe", "ple"])
def test_a_padded_forward_pass_is_that_of_the_rows_alone(make_model, tiny_rows, name):
    model = make_model(name)
    model.build()
    first, second = (
        {k: tf.constant(tiny_rows[k][at]) for k in ("user", "item", "price")}
        for at in (slice(0, 16), slice(16, 21))
    )
    model.scored(first)
    found = model.scored(second)  # by 16 rows
    expected = model.forward(model.features(second), training=False)
    assert set(found.logits) == set(expected.logits)
    np.testing.assert_array_equal(found.z, expected.z)
    for task, logit in expected.logits.items():
        np.testing.assert_allclose(found.logits[task], logit, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(found.hidden[task], expected.hidden[task], rtol=1e-6, atol=1e-7)


@pytest.mark.job
def test_scores_and_results_are_those_of_batches_as_they_come(make_model, batched, monkeypatch):
    """But for the last bit: a product of one row adds up in another order than one of sixteen."""
    keras.utils.set_random_seed(3)
    model = make_model("all_negative")
    model.compile(RowSparseAdam(0.02), jit_compile=False, metrics={"cvr": ["auc"]})
    found = []
    for padding in (True, False):
        if not padding:
            model.make_predict_function(force=True)
            model.make_test_function(force=True)
            unpadded(model, monkeypatch)
        scores = [model.predict(batched(rows, 16), verbose=0) for rows in (37, 5, 33)]
        found.append((scores, model.evaluate(batched(37, 16), verbose=0, return_dict=True)))
    (scores, results), (expected_scores, expected_results) = found
    for ours, theirs, rows in zip(scores, expected_scores, (37, 5, 33), strict=True):
        for output, values in theirs.items():
            assert ours[output].shape == (rows,)
            np.testing.assert_allclose(ours[output], values, rtol=0, atol=1e-7, err_msg=output)
    assert list(results) == list(expected_results)
    np.testing.assert_allclose(
        list(results.values()), list(expected_results.values()), rtol=2e-6, atol=1e-7
    )


@pytest.mark.job
def test_pseudo_labels_are_found_among_the_rows_that_are_there(make_model, batched, monkeypatch):
    keras.utils.set_random_seed(3)
    model = make_model("idefn", kappa=0.3)
    model.compile(RowSparseAdam(0.02), jit_compile=False)
    names = ("pseudo_positives", "pseudo_positive_rate", "transport_positives", "loss")
    found = []
    for padding in (True, False):
        if not padding:
            model.make_test_function(force=True)
            unpadded(model, monkeypatch)
        results = model.evaluate(batched(37, 16), verbose=0, return_dict=True)
        found.append([results[name] for name in names])
    assert found[0][0] > 0
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


@pytest.mark.parametrize("call", ["predict", "evaluate"])
def test_towers_meet_one_size_for_last_batches_of_any(tiny_features, batched, call):
    """Eagerly, where every batch passes through Python."""
    model = ESMM(tiny_features(), MetSizes())
    model.compile(RowSparseAdam(0.02), run_eagerly=True)
    for rows in (33, 37, 46):
        getattr(model, call)(batched(rows, 16), verbose=0)
    for tower in model.towers.values():
        assert set(tower.layer.met) - {None} == {16}


def test_a_penalty_over_rows_is_of_the_rows_that_are_there(tiny_features, batched):
    """Two towers and 16 + 16 + 5 rows: batches count by their weight."""
    model = ESMM(tiny_features(), SummedOverRows())
    model.compile(RowSparseAdam(0.02), jit_compile=False)
    results = model.evaluate(batched(37, 16), verbose=0, return_dict=True)
    weight = np.linspace(0.5, 2.0, 37)
    rows, weights = np.array([16, 16, 5]), np.add.reduceat(weight, [0, 16, 32])
    assert results["regularization"] == pytest.approx(np.sum(2 * rows * weights) / weight.sum())


@pytest.mark.job
def test_users_generators_and_arrays_of_uneven_batches(make_model, tiny_rows):
    model = make_model("all_negative", MLP((4,)))
    features = {k: tiny_rows[k][:50] for k in ("user", "item", "price")}
    expected = model.predict(features, batch_size=50, verbose=0)["cvr"]

    pieces = [(0, 20), (20, 23), (23, 24), (24, 50)]

    def batches():
        for start, stop in pieces:
            yield ({k: v[start:stop] for k, v in features.items()},)

    specs = {k: tf.TensorSpec([None], v.dtype) for k, v in features.items()}
    uneven = tf.data.Dataset.from_generator(batches, output_signature=(specs,))
    for data in (uneven, batches()):
        found = model.predict(data, steps=len(pieces), verbose=0)["cvr"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    by_arrays = model.predict(features, batch_size=7, verbose=0)["cvr"]
    np.testing.assert_allclose(by_arrays, expected, rtol=0, atol=1e-6)
    one = model.predict_on_batch({k: v[:1] for k, v in features.items()})["cvr"]
    np.testing.assert_allclose(one, expected[:1], rtol=0, atol=1e-6)


@pytest.mark.job
def test_programs_of_metrics_know_no_number_of_rows(make_model, batched):
    """XLA compiles them for every shape that they meet."""
    model = make_model("all_negative", MLP((4,)))
    model.compile(RowSparseAdam(0.02), jit_compile=True)
    given = []
    take = model._tally_step
    model._tally_step = lambda *step: given.append(step) or take(*step)
    model.evaluate(batched(37, 16), verbose=0)
    shapes = [part.shape for step in given for part in tf.nest.flatten(step)]
    assert shapes
    assert all(shape.is_fully_defined() for shape in shapes)
