"""Sequence encoders: hand-computed values, independent implementations, padding, no event."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf import encoders
from idefn_tf.encoders import (
    ENCODERS,
    DINEncoder,
    MeanEncoder,
    SequenceEncoder,
    TargetAttentionEncoder,
    TransformerEncoder,
)
from idefn_tf.encoders.packed import PackedEvents

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


@pytest.mark.parametrize("blocks", [1, 2])
def test_transformer_equals_whole_blocks_whose_last_place_is_read(batch, blocks):
    """The item's output of every place's, computed row by row without padding."""
    events, item, _ = batch
    encoder = TransformerEncoder(blocks, heads=2, head_width=3, feed_forward=5, recency=3)
    encoder.build(WIDTH)
    for row in (1, 2, 4):
        n = COUNTS[row]
        recency = np.minimum(np.arange(n, -1, -1), 3)
        x = (
            np.concatenate([events[row, :n], item[row : row + 1]])
            + encoder.positions.numpy()[recency]
        )
        x = tf.constant(x[None])
        for part in encoder.parts:
            normal = part["norm_1"](x)
            x += part["attention"](normal, normal, use_causal_mask=True)
            x += part["outer"](part["inner"](part["norm_2"](x)))
        np.testing.assert_allclose(encoder(*batch)[row], encoder.norm(x)[0, -1], atol=1e-5)


def test_an_encoder_of_ones_own_may_write_the_padded_form(batch):
    class Newest(SequenceEncoder):
        def encode(self, events, item, there):
            last = tf.maximum(tf.reduce_sum(tf.cast(there, tf.int32), 1) - 1, 0)
            return tf.gather(events, last, batch_dims=1)

    events, _, _ = batch
    found = Newest()(*batch)
    np.testing.assert_array_equal(found[1:], [events[r, COUNTS[r] - 1] for r in range(1, 5)])
    assert not np.any(found[0])


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"encoder: must be one of \['din', 'mean'.*'gru'"):
        encoders.get("gru")


def test_packed_events_go_to_rows_and_back():
    """Sums and softmax by row, their gradients, rows without events at both ends, no event."""
    there = np.array([[0, 0, 0], [1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0]], bool)
    events = np.arange(15.0, dtype="float32").reshape(5, 3, 1) * there[..., None]
    packed = PackedEvents.of(tf.constant(events), tf.constant(there))
    assert packed.rows.numpy().tolist() == [1, 1, 3]
    whole, again = packed.unpack()
    np.testing.assert_array_equal(whole, events)
    np.testing.assert_array_equal(again, there)
    of_rows, of_events = tf.range(5.0)[:, None], tf.constant([[1.0], [2.0], [5.0]])
    with tf.GradientTape() as tape:
        tape.watch([of_rows, of_events])
        spread, total = packed.spread(of_rows), packed.total(of_events)
        weighed = tf.reduce_sum(spread * [[1.0], [10.0], [100.0]])
        weighed += tf.reduce_sum(total * [[1.0], [2.0], [3.0], [4.0], [5.0]])
    assert spread.numpy().ravel().tolist() == [1.0, 1.0, 3.0]
    assert total.numpy().ravel().tolist() == [0.0, 3.0, 0.0, 5.0, 0.0]
    rows, back = tape.gradient(weighed, [of_rows, of_events])
    assert rows.numpy().ravel().tolist() == [0.0, 11.0, 0.0, 100.0, 0.0]
    assert back.numpy().ravel().tolist() == [2.0, 2.0, 4.0]
    shares = packed.softmax(tf.math.log(tf.constant([[1.0], [3.0], [7.0]])))
    np.testing.assert_allclose(shares, [[0.25], [0.75], [1.0]], rtol=1e-6)
    none = PackedEvents.of(tf.zeros([2, 3, 1]), tf.zeros([2, 3], tf.bool))
    assert none.total(none.vectors).numpy().tolist() == [[0.0], [0.0]]
