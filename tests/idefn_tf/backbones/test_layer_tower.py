"""Layers of Keras as backbones: a clone for every task, a logit behind it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import idefn_tf
from idefn_tf.backbones import MLP, LayerTower, get
from idefn_tf.models import ESMM, IdeFN


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    """A layer of one's own: 2 x W, without a `training` argument."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.inner = keras.layers.Dense(width, use_bias=False)

    def call(self, x):
        return 2.0 * self.inner(x)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def sequential():
    layers = [keras.layers.Dense(3, activation="relu"), keras.layers.Dropout(0.5)]
    return keras.Sequential(layers)


@pytest.mark.parametrize("make", [sequential, lambda: Doubled(3)])
def test_every_task_has_its_own_clone_and_logit(tiny_features, tmp_path, make):
    model = ESMM(tiny_features(), make())
    model.build()
    ctr, cvr = (model.towers[task] for task in ("ctr", "cvr"))
    assert not {id(v) for v in ctr.weights} & {id(v) for v in cvr.weights}
    z = np.arange(18.0, dtype=np.float32).reshape(2, 9) / 9 - 0.8
    kernel, slope, bias = (np.array(v) for v in (ctr.layer.weights[0], *ctr.logit.weights))
    inner = z @ kernel
    first = ctr.layer.layers[0] if isinstance(ctr.layer, keras.Sequential) else None
    hidden = 2 * inner if first is None else np.maximum(inner + np.array(first.bias), 0)
    logit, last = ctr(tf.constant(z), training=False)
    np.testing.assert_allclose(last, hidden, rtol=1e-5)
    np.testing.assert_allclose(logit, (hidden @ slope + bias)[:, 0], rtol=1e-5)
    model.save(tmp_path / "model.keras")
    again = idefn_tf.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.towers["ctr"](tf.constant(z))[0], logit, rtol=1e-6)


def test_training_reaches_the_layers_inside():
    layers = [keras.layers.Dense(3), keras.layers.Dropout(0.5)]
    tower = get(keras.Sequential(layers)).for_task("ctr")
    z = tf.ones([200, 9])
    assert 0.3 < np.mean(np.array(tower(z, training=True)[1]) == 0) < 0.7
    assert np.ptp(np.array(tower(z, training=False)[1]), axis=0).max() == 0


def test_the_transport_compares_rows_by_its_hidden_layer(tiny_features):
    model = IdeFN(tiny_features(), sequential(), representation="hidden")
    model.build()
    assert model.representation.width(model.towers["cvr"].hidden_width) == 3


def test_errors(tiny_features):
    with pytest.raises(ValueError, match=r"or a layer of Keras, received <class"):
        get(MLP)
    with pytest.raises(ValueError, match=r"must give a last hidden layer \[B, h\], received"):
        LayerTower(keras.layers.Reshape((3, 3))).build((None, 9))
    with pytest.raises(ValueError, match="backbone: must be one that a trunk can give widths"):
        ESMM(tiny_features(), sequential(), trunk="mmoe")

    class NoConfig(keras.layers.Layer):
        def __init__(self, table, **kwargs):
            super().__init__(**kwargs)
            self.table = table

    with pytest.raises(ValueError, match="must be a layer that can be cloned for every task"):
        ESMM(tiny_features(), NoConfig(object()))
