"""DCNv2: the cross of TensorFlow Recommenders, and that its variables train in a Keras 3 model."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from idefn_tf.backbones import DCNv2
from idefn_tf.models import ESMM

Z = np.random.default_rng(2).normal(size=(6, 9)).astype(np.float32)


def built(**options):
    layer = DCNv2((5,), batch_norm=False, **options)
    layer.build((None, 9))
    return layer


def cross_weights(layer, i=0):
    return [w.numpy().astype(np.float64) for w in layer.crosses[i].trainable_variables]


@pytest.mark.parametrize("crosses", [1, 3])
def test_stacked_crosses_match_the_formula(crosses):
    layer = built(cross_layers=crosses)
    assert all(isinstance(c, tfrs.layers.dcn.Cross) for c in layer.crosses)
    _, hidden = layer(tf.constant(Z))
    x0 = x = Z.astype(np.float64)
    for i in range(crosses):
        kernel, bias = cross_weights(layer, i)
        x = x0 * (x @ kernel + bias) + x
    dense = layer.blocks[0]
    expected = np.maximum(x @ dense.kernel.numpy() + dense.bias.numpy(), 0)
    np.testing.assert_allclose(hidden, expected, rtol=1e-4, atol=1e-5)


def test_a_low_rank_cross():
    layer = built(projection_dim=2)
    assert tuple(w.shape for w in cross_weights(layer)) == ((9, 2), (2, 9), (9,))


def test_published_kernels_start_uniform():
    kernel = cross_weights(built(parity="published"))[0]
    assert np.abs(kernel).max() <= 1 / 3
    assert np.abs(kernel).max() > 0.25


def test_an_expert_ends_in_a_dense_layer():
    expert = DCNv2((5,)).for_expert("e", (4,))
    expert.build((None, 9))
    assert expert(tf.constant(Z)).shape == (6, 4)
    assert expert.expand.kernel.shape == (4, 4)


def test_the_variables_of_cross_are_tracked_and_trained(tiny_features):
    rng = np.random.default_rng(0)
    rows = {
        "user": rng.integers(0, 20, 64),
        "item": rng.integers(0, 10, 64),
        "price": rng.normal(size=64).astype(np.float32),
    }
    click = (rng.random(64) < 0.5).astype(np.float32)
    labels = {"click": click, "conversion": click * (rows["item"] < 5)}
    data = tf.data.Dataset.from_tensor_slices((rows, labels, np.ones(64, np.float32))).batch(32)
    model = ESMM(tiny_features(), DCNv2((4,)))
    model.compile()
    model.build()
    tracked = {id(v) for v in model.trainable_variables}
    crosses = [c for tower in model.towers.values() for c in tower.crosses]
    variables = [v for c in crosses for v in c.trainable_variables]
    assert len(variables) == 4
    assert all(id(v) in tracked for v in variables)
    before = [v.numpy() for v in variables]
    model.fit(data, epochs=2, verbose=0)
    for variable, old in zip(variables, before, strict=True):
        assert np.mean(variable.numpy() != old) > 0.9


@pytest.mark.parametrize("option", ["cross_layers", "projection_dim"])
def test_bad_options_are_named(option):
    with pytest.raises(ValueError, match=f"{option}: must"):
        DCNv2((4,), **{option: 0})
