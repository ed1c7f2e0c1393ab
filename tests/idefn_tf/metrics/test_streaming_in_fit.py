"""Streaming metrics inside Keras fit and evaluate equal the exact ones of the predictions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf import metrics
from idefn_tf.metrics import (
    GAUC,
    BinaryMetrics,
)


class Scorer(keras.Model):
    """Own train_step with one BinaryMetrics per space and a GAUC, as the entire-space models do."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1, activation="sigmoid")
        self.all_rows = BinaryMetrics("all_funnel/cvr")
        self.some_rows = BinaryMetrics("clicked/cvr", metrics=("auc", "logloss"))
        self.by_user = GAUC(users=30, name="all_funnel/cvr_gauc")

    def call(self, inputs):
        return self.dense(inputs["x"])

    def train_step(self, data):
        inputs, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            p = self(inputs, training=True)
            loss = tf.reduce_mean(keras.losses.binary_crossentropy(y[:, None], p))
        self.optimizer.apply(
            tape.gradient(loss, self.trainable_variables), self.trainable_variables
        )
        return self._record(y, p, inputs, weight)

    def test_step(self, data):
        inputs, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        return self._record(y, self(inputs), inputs, weight)

    def _record(self, y, p, inputs, weight):
        self.all_rows.update_state(y, p, weight)
        self.some_rows.update_state(y, p, weight * inputs["click"])
        self.by_user.update_state(y, p, inputs["user"], weight)
        return self.get_metrics_result()


@pytest.mark.job
@pytest.mark.parametrize("jit_compile", [False, True])
def test_inside_fit_and_evaluate(jit_compile):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(700, 3)).astype("float32")
    y = (rng.random(700) < 1 / (1 + np.exp(2 - x[:, 0]))).astype("float32")
    weight = rng.random(700).astype("float32")
    inputs = {
        "x": x,
        "click": (rng.random(700) < 0.4).astype("float32"),
        "user": rng.integers(0, 30, 700).astype("int32"),
    }
    model = Scorer()
    model.compile(optimizer=keras.optimizers.Adam(0.05), jit_compile=jit_compile)
    batches = tf.data.Dataset.from_tensor_slices((inputs, y, weight)).batch(100)
    history = model.fit(
        batches, epochs=3, shuffle=False, verbose=0, validation_data=batches
    ).history
    p = model.predict(batches, verbose=0)[:, 0]
    assert len(history["all_funnel/cvr_auc"]) == 3
    assert history["all_funnel/cvr_auc"][-1] != history["all_funnel/cvr_auc"][0]
    last = {key: value[-1] for key, value in history.items()}
    space = weight * inputs["click"]
    expected = {
        "val_all_funnel/cvr_auc": metrics.auc(y, p, weight),
        "val_all_funnel/cvr_ks": metrics.ks(y, p, weight),
        "val_all_funnel/cvr_logloss": metrics.log_loss(y, p, weight),
        "val_all_funnel/cvr_pcoc": metrics.pcoc(y, p, weight),
        "val_all_funnel/cvr_ece": metrics.ece(y, p, weight),
        "val_clicked/cvr_auc": metrics.auc(y, p, space),
        "val_clicked/cvr_logloss": metrics.log_loss(y, p, space),
        "val_all_funnel/cvr_gauc": metrics.gauc(y, p, inputs["user"], weight),
    }
    for key, value in expected.items():
        assert last[key] == pytest.approx(value, abs=2e-2 if "gauc" in key else 2e-3), key
    evaluated = model.evaluate(batches, verbose=0, return_dict=True)
    assert evaluated["all_funnel/cvr_auc"] == pytest.approx(last["val_all_funnel/cvr_auc"])
