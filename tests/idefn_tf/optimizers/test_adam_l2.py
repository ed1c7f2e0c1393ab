"""AdamL2 against the recurrences in float64, on dense and sparse gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.optimizers import AdamL2


def reference(w, gradients, l2, lr=0.1, b1=0.9, b2=0.999, epsilon=1e-8):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        g = g + l2 * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        rate = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
        w = w - rate * m / (np.sqrt(v) + epsilon)
    return w


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_follows_the_recurrences_row_by_row(l2):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(5, 3))
    gradients = np.zeros((4, 5, 3))
    gradients[:, [1, 3]] = rng.normal(size=(4, 2, 3))  # rows 0, 2 and 4 are never touched
    table = keras.Variable(start.astype(np.float32))
    optimizer = AdamL2(0.1, l2=l2)
    optimizer.build([table])
    for gradient in gradients:
        slices = tf.IndexedSlices(
            tf.constant(gradient[[1, 3]], tf.float32), tf.constant([1, 3]), tf.constant([5, 3])
        )
        optimizer.apply([slices], [table])
    np.testing.assert_allclose(table.numpy(), reference(start, gradients, l2), rtol=2e-4, atol=2e-6)


def test_an_untouched_row_shrinks_by_the_learning_rate():
    table = keras.Variable(np.array([[1.0], [-2.0]], np.float32))
    optimizer = AdamL2(0.01, l2=1e-5)
    optimizer.build([table])
    nothing = tf.IndexedSlices(tf.zeros([1, 1]), tf.constant([0]), tf.constant([2, 1]))
    optimizer.apply([nothing], [table])
    np.testing.assert_allclose(table.numpy(), [[0.99], [-1.99]], atol=4e-4)


def test_without_l2_it_is_keras_adam():
    variables = [keras.Variable(np.ones((2, 2), np.float32)) for _ in range(2)]
    gradient = tf.constant([[0.1, -0.2], [0.3, 0.4]])
    for optimizer, variable in zip(
        (AdamL2(0.1, l2=0.0), keras.optimizers.Adam(0.1, epsilon=1e-8)), variables, strict=True
    ):
        optimizer.build([variable])
        for _ in range(3):
            optimizer.apply([gradient], [variable])
    np.testing.assert_array_equal(variables[0].numpy(), variables[1].numpy())


def test_config_and_refusal():
    again = keras.optimizers.deserialize(keras.optimizers.serialize(AdamL2(0.1, l2=0.5)))
    assert again.l2 == 0.5
    with pytest.raises(ValueError, match="l2: must be a finite number at least 0, received -1"):
        AdamL2(l2=-1)
