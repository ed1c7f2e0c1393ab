"""Row-sparse optimizers inside a model: saved and loaded state, the loss of dense Adam."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP
from idefn_tf.models import ESMM
from idefn_tf.optimizers import RowSparseAdam

pytestmark = pytest.mark.job

Adam = keras.optimizers.Adam


def rows_of(size, seed):
    rng = np.random.default_rng(seed)
    features = {
        "user": rng.integers(0, 20, size),
        "item": rng.integers(0, 10, size),
        "price": rng.normal(size=size).astype(np.float32),
    }
    click = (rng.random(size) < 0.6).astype(np.float32)
    conversion = click * (features["item"] < 5)
    labels = {"click": click, "conversion": conversion.astype(np.float32)}
    return features, labels, np.ones(size, np.float32)


def batches(seed=0):
    return tf.data.Dataset.from_tensor_slices(rows_of(96, seed)).batch(16)


def fitted(tiny_features, optimizer, epochs=2, jit=False):
    model = ESMM(tiny_features(), MLP((4,), batch_norm=False))
    model.compile(optimizer, jit_compile=jit)
    model.fit(batches(), epochs=epochs, verbose=0)
    return model


def state(optimizer):
    return [np.array(v) for v in optimizer.variables]


def test_state_is_saved_and_loaded_with_the_model(tiny_features, tmp_path):
    model = fitted(tiny_features, RowSparseAdam(0.02, l2_rows=1e-3, weight_decay=0.1))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for one, other in zip(state(model.optimizer), state(again.optimizer), strict=True):
        np.testing.assert_array_equal(one, other)
    histories = [m.fit(batches(1), epochs=2, verbose=0).history for m in (model, again)]
    assert histories[0]["loss"] == histories[1]["loss"]
    np.testing.assert_array_equal(model.features.tables["4"], again.features.tables["4"])


def test_state_is_saved_and_loaded_as_weights(tiny_features, tmp_path):
    model = fitted(tiny_features, RowSparseAdam(0.02))
    model.save_weights(tmp_path / "model.weights.h5")
    again = fitted(tiny_features, RowSparseAdam(0.02), epochs=1)
    again.load_weights(tmp_path / "model.weights.h5")
    for one, other in zip(state(model.optimizer), state(again.optimizer), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_saved_amid_an_epoch_are_up_to_date(tiny_features, tmp_path):
    """A file holds rows as dense Adam would have them, also before the epoch's end."""

    class SaveAmid(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                self.model.save_weights(tmp_path / "amid.weights.h5")

    tables = []
    for optimizer in (RowSparseAdam(0.05), Adam(0.05, epsilon=1e-8)):
        keras.utils.set_random_seed(3)
        model = ESMM(tiny_features(), MLP((4,), batch_norm=False))
        model.compile(optimizer, jit_compile=False)
        model.fit(batches(), verbose=0, callbacks=[SaveAmid()])
        model.load_weights(tmp_path / "amid.weights.h5")
        tables.append(np.array(model.features.tables["4"]))
    np.testing.assert_allclose(*tables, atol=2e-5)


@pytest.mark.parametrize(("jit", "option"), [
    (False, {}), (True, {}), (False, {"global_clipnorm": 0.1}),
], ids=["plain", "compiled", "clipped"])  # fmt: skip
def test_a_model_trains_as_under_dense_adam(tiny_features, jit, option):
    outcomes = []
    for optimizer in (RowSparseAdam(0.02, **option), Adam(0.02, epsilon=1e-8, **option)):
        keras.utils.set_random_seed(3)
        model = fitted(tiny_features, optimizer, 2, jit)
        predictions = model.predict(batches(5), verbose=0)
        outcomes.append([np.array(model.features.tables["4"]), *predictions.values()])
    for one, other in zip(*outcomes, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
