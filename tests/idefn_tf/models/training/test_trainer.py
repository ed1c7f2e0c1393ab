"""Training batch by batch, and tables that are read and not trained."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from idefn_tf import _shared_programs
from idefn_tf.backbones import MLP
from idefn_tf.optimizers import RowSparseAdam


def half(rows, low):
    """Returns the rows whose item is below 5, or the others, as Keras' triple."""
    at = (rows["item"] < 5) == low
    features = {name: rows[name][at] for name in ("user", "item", "price")}
    return features, {name: rows[name][at] for name in ("click", "conversion")}, np.ones(at.sum())


def stepped(make_model, tiny_rows, optimizer):
    """An ESMM after a step on the first half of the items and six on the other."""
    keras.utils.set_random_seed(3)
    model = make_model("esmm", MLP((4,), batch_norm=False))
    model.compile(optimizer, jit_compile=False)
    for low in (True, *[False] * 6):
        features, labels, weight = half(tiny_rows, low)
        model.train_on_batch(features, labels, sample_weight=weight)
    return model


@pytest.mark.job
def test_a_batch_trains_a_fresh_model_as_fit_does(make_model, tiny_rows):
    losses = []
    features, labels, weight = half(tiny_rows, True)
    for by_fit in (False, True):
        keras.utils.set_random_seed(3)
        model = make_model("esmm")
        model.compile(RowSparseAdam(0.02), jit_compile=False)
        if by_fit:
            data = tf.data.Dataset.from_tensors((features, labels, weight))
            losses.append(model.fit(data, verbose=0).history["loss"][0])
        else:
            found = model.train_on_batch(features, labels, sample_weight=weight, return_dict=True)
            losses.append(float(found["loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def on_a_batch(model, features, labels):
    return model.predict_on_batch(features)["cvr"]


def called(model, features, labels):
    return model({name: tf.constant(values) for name, values in features.items()})["cvr"]


def by_the_loss(model, features, labels):
    return float(model.test_on_batch(features, labels, return_dict=True)["loss"])


@pytest.mark.job
@pytest.mark.parametrize("read", [on_a_batch, called, by_the_loss])
def test_rows_that_wait_are_up_to_date_wherever_they_are_read(make_model, tiny_rows, read):
    """As dense Adam would have left them; the rows of the first half have waited six steps."""
    features, labels, _ = half(tiny_rows, True)
    dense = stepped(make_model, tiny_rows, keras.optimizers.Adam(0.02, epsilon=1e-8))
    sparse = stepped(make_model, tiny_rows, RowSparseAdam(0.02))
    stale = np.abs(np.array(sparse.features.tables["4"]) - np.array(dense.features.tables["4"]))
    assert stale.max() > 0.01
    for model in (dense, sparse):
        model.reset_metrics()
    found, expected = read(sparse, features, labels), read(dense, features, labels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("optimizer", [RowSparseAdam, keras.optimizers.Adam])
def test_features_that_are_not_trainable_are_read_and_stay(make_model, tiny_dataset, optimizer):
    model = make_model("esmm")
    model.build()
    model.features.trainable = False
    model.compile(optimizer(0.02), jit_compile=False)
    table, tower = (
        np.array(v) for v in (model.features.tables["4"], model.towers["cvr"].weights[0])
    )
    losses = model.fit(tiny_dataset, epochs=3, verbose=0).history["loss"]
    np.testing.assert_array_equal(model.features.tables["4"], table)
    assert np.abs(np.array(model.towers["cvr"].weights[0]) - tower).max() > 1e-3
    assert losses[2] < losses[0]


@pytest.mark.job
def test_features_frozen_after_training_move_no_more(make_model, tiny_dataset):
    model = make_model("esmm")
    model.compile(RowSparseAdam(0.02), jit_compile=False)
    model.fit(tiny_dataset.take(1), verbose=0)
    model.features.trainable = False
    model.make_train_function(force=True)
    table = np.array(model.features.tables["4"])
    model.fit(tiny_dataset, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.features.tables["4"], table)


def a_life(make_model, data, **options):
    """What a model gave that was built, fitted, evaluated, asked and deleted."""
    keras.utils.set_random_seed(3)
    model = make_model("all_negative", **options)
    model.compile(RowSparseAdam(0.02), jit_compile=False)
    losses = model.fit(data, epochs=2, verbose=0).history["loss"]
    losses.append(model.evaluate(data, verbose=0)[0])
    scores, gone = model.predict(data, verbose=0)["cvr"], weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    return [loss.hex() for loss in losses], scores.tobytes()


@pytest.mark.job
def test_models_of_one_form_run_the_programs_of_the_first(make_model, tiny_dataset, monkeypatch):
    """TensorFlow has as many functions after the sixth as after the third; results are a first's.

    A third of alpha is no name: it is another program.
    """
    lives, functions = [], []
    for alpha in (0.5, 0.5, 0.3, 0.5, 0.3, 0.5):
        lives.append(a_life(make_model, tiny_dataset, alpha=alpha))
        functions.append(len(context.context().list_function_names()))
    assert functions[2] == functions[5]
    monkeypatch.setattr(_shared_programs, "_kept", type(_shared_programs._kept)())
    alone = {alpha: a_life(make_model, tiny_dataset, alpha=alpha) for alpha in (0.5, 0.3)}
    assert lives == [alone[alpha] for alpha in (0.5, 0.5, 0.3, 0.5, 0.3, 0.5)]
    assert alone[0.5] != alone[0.3]


def data_set(rows, batch):
    """A data set of the tiny rows' form in batches of its own size, a shorter one at the end."""
    values = {name: rows[name] for name in ("user", "item", "price")}
    labels = {name: rows[name] for name in ("click", "conversion")}
    taken = (values, labels, np.ones(len(rows["item"]), np.float32))
    return tf.data.Dataset.from_tensor_slices(taken).batch(batch)


@pytest.mark.job
@pytest.mark.parametrize("name", ["esmm", "idefn"])
def test_a_new_data_set_of_the_same_form_traces_nothing(make_model, tiny_rows, traces, name):
    options = {"transport": {"solver": "sinkhorn"}} if name == "idefn" else {}
    model = make_model(name, **options)
    model.compile(RowSparseAdam(0.02), jit_compile=False)
    for turn, batch in enumerate((32, 36, 17)):
        rows = {key: values[turn:] for key, values in tiny_rows.items()}
        begun = traces.count
        model.fit(data_set(rows, batch), verbose=0)
        model.evaluate(data_set(rows, batch), verbose=0)
        scores = model.predict(data_set(rows, batch), verbose=0)
        assert scores["cvr"].shape == (96 - turn,)
        assert (traces.count == begun) == (turn > 0)
    called = model({name: tf.constant(rows[name]) for name in ("user", "item", "price")})
    np.testing.assert_allclose(scores["cvr"], called["cvr"], rtol=1e-6)


@pytest.mark.job
def test_a_deleted_model_is_collected(make_model, tiny_rows):
    """Nothing that fit, evaluate and predict leave behind holds the model or its tables."""
    model = make_model("idefn", transport={"solver": "sinkhorn", "memory": 4})
    model.compile(RowSparseAdam(0.02), jit_compile=False)
    model.fit(data_set(tiny_rows, 48), validation_data=data_set(tiny_rows, 48), verbose=0)
    model.predict(data_set(tiny_rows, 48), verbose=0)
    watched = [weakref.ref(one) for one in (model, model.optimizer, model.features, model._step)]
    assert None not in [one() for one in watched]
    del model
    gc.collect()
    assert [one() for one in watched] == [None] * 4
