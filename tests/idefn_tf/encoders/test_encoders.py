"""Sequence encoders: hand-computed values, independent implementations, padding, no event."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf import encoders
from idefn_tf.encoders import ENCODERS, DINEncoder, MeanEncoder, TargetAttentionEncoder

WIDTH = 6
COUNTS = np.array([0, 1, 4, 2, 3])


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    there = np.arange(4) < COUNTS[:, None]
    events = rng.normal(size=(5, 4, WIDTH)).astype("float32") * there[..., None]
    return events, rng.normal(size=(5, WIDTH)).astype("float32"), there


@pytest.fixture(scope="module", params=sorted(ENCODERS))
def encoder(request):
    keras.utils.set_random_seed(1)
    made = encoders.get(request.param).for_sequence("clicks")
    made.build(WIDTH)
    return made


def test_padding_changes_nothing(encoder, batch):
    events, item, there = batch
    more = np.pad(events, ((0, 0), (0, 3), (0, 0))), np.pad(there, ((0, 0), (0, 3)))
    np.testing.assert_allclose(encoder(*batch), encoder(more[0], item, more[1]), atol=1e-6)


def test_rows_without_an_event_get_the_learned_vector_and_gradients_are_finite(encoder, batch):
    events, item, there = (tf.constant(part) for part in batch)
    before = encoder.empty.numpy()
    encoder.empty.assign(np.arange(WIDTH, dtype="float32"))
    values = [v.value for v in encoder.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([events, item])
        encoded = encoder(events, item, there)
        loss = tf.reduce_sum(tf.square(encoded))
    np.testing.assert_array_equal(encoded[0], np.arange(WIDTH))
    gradients = tape.gradient(loss, [events, item, *values])
    encoder.empty.assign(before)
    for gradient in gradients:
        if gradient is not None:
            assert np.isfinite(tf.convert_to_tensor(gradient)).all()
    assert not np.any(gradients[0][0])


def test_a_batch_without_any_event(encoder):
    none = tf.zeros([2, 3, WIDTH]), tf.ones([2, WIDTH]), tf.zeros([2, 3], tf.bool)
    np.testing.assert_array_equal(encoder(*none), np.zeros([2, WIDTH]))


def test_order_matters_where_the_encoder_says_so(encoder, batch):
    events, item, there = (part[2:3] for part in batch)
    turned = events[:, ::-1].copy()
    same = np.allclose(encoder(events, item, there), encoder(turned, item, there), atol=1e-5)
    assert same is not encoder.ordered


def test_a_clone_has_its_settings_and_its_own_variables():
    first = DINEncoder((5, 3), "relu", True).for_sequence("a")
    second = first.for_sequence("b")
    assert (second.units, second.activation, second.normalize) == ((5, 3), "relu", True)
    first.build(4)
    second.build(4)
    assert first.empty is not second.empty


def test_mean_by_hand():
    events = tf.constant([[[2.0, 0.0], [4.0, 1.0], [0.0, 0.0]]])
    there = tf.constant([[True, True, False]])
    np.testing.assert_array_equal(MeanEncoder()(events, events[:, 0], there), [[3.0, 0.5]])


def test_din_is_the_published_network_with_its_first_layer_folded(batch):
    events, item, there = batch
    encoder = DINEncoder((8,))
    encoder.build(WIDTH)
    rng = np.random.default_rng(3)
    of_item, of_event, of_difference, of_product = rng.normal(size=(4, WIDTH, 8))
    encoder.of_item.assign(of_item + of_difference)
    encoder.of_event.assign(of_event - of_difference)
    encoder.of_product.assign(of_product)
    encoder.bias.assign(rng.normal(size=8))
    whole = np.concatenate([of_item, of_event, of_difference, of_product])
    (kernel, bias) = encoder.deeper[0]
    for row in range(1, 5):
        expected = 0.0
        for event in events[row, : COUNTS[row]]:
            joined = np.concatenate([item[row], event, item[row] - event, item[row] * event])
            hidden = 1 / (1 + np.exp(-(joined @ whole + encoder.bias.numpy())))
            expected += (hidden @ kernel.numpy() + bias.numpy())[0] * event
        np.testing.assert_allclose(encoder(events, item, there)[row], expected, rtol=1e-4)


def test_target_attention_equals_keras_multi_head_attention(batch):
    events, item, there = batch
    encoder = TargetAttentionEncoder(heads=2, head_width=3)
    encoder.build(WIDTH)
    other = keras.layers.MultiHeadAttention(2, 3, use_bias=False)
    other.build((None, 1, WIDTH), (None, None, WIDTH))
    other.query_dense.kernel.assign(tf.transpose(encoder.query_kernel.value, [1, 0, 2]))
    other.key_dense.kernel.assign(tf.transpose(encoder.key_kernel.value, [1, 0, 2]))
    other.value_dense.kernel.assign(tf.transpose(encoder.value_kernel.value, [1, 0, 2]))
    other.output_dense.kernel.assign(tf.reshape(encoder.output_kernel.value, [2, 3, WIDTH]))
    expected = other(item[:, None], events, attention_mask=there[:, None, :])[:, 0]
    np.testing.assert_allclose(encoder(*batch)[1:], expected[1:], atol=1e-5)


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"encoder: must be one of \['din', 'mean'.*'gru'"):
        encoders.get("gru")
