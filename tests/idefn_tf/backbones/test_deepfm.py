"""DeepFM against every pair of fields written out, and where its fields lie in z."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import DeepFM
from idefn_tf.features import FeatureColumns
from idefn_tf.features.field import Field


def embedded(name, width=3):
    return Field(name, "identity", "int64", width, known=5, table=name)


@pytest.fixture
def features():
    """a, b | number | c | multi-hot of 4 | d: fields to pair are not all adjacent."""
    hot = Field("hot", "identity", "int64", 0, known=4, combiner="sum", table="hot")
    number = Field("number", "numeric", "float32", 1, table="number")
    fields = [embedded("a"), embedded("b"), number, embedded("c"), hot, embedded("d")]
    return FeatureColumns(fields)


Z = np.random.default_rng(1).normal(size=(7, 17)).astype(np.float32)
STARTS = (0, 3, 7, 14)


def bound(features, **options):
    layer = DeepFM((5,), batch_norm=False, **options)
    layer.bind(features)
    layer.build((None, 17))
    return layer


def pairs():
    vectors = [Z[:, s : s + 3].astype(np.float64) for s in STARTS]
    return sum(v * u for v, u in itertools.combinations(vectors, 2))


def test_second_order_is_the_sum_over_pairs_of_fields(features):
    np.testing.assert_allclose(bound(features).second_order(tf.constant(Z)), pairs(), rtol=1e-4)


def test_the_logit_is_linear_plus_pairs_plus_perceptron(features):
    layer = bound(features)
    logit, hidden = layer(tf.constant(Z))
    linear = Z @ layer.linear.kernel.numpy()[:, 0] + layer.linear.bias.numpy()
    deep = hidden.numpy() @ layer.logit.kernel.numpy()[:, 0] + layer.logit.bias.numpy()
    np.testing.assert_allclose(logit, linear + pairs().sum(1) + deep, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("units", [(5,), (3,)])
def test_an_expert_sums_three_vectors_of_the_embedding_width(features, units):
    layer = DeepFM((5,), batch_norm=False).for_expert("e", units)
    layer.bind(features)
    layer.build((None, 17))
    x = np.maximum(Z @ layer.blocks[0].kernel.numpy() + layer.blocks[0].bias.numpy(), 0)
    if units == (5,):
        x = x @ layer.deep.kernel.numpy() + layer.deep.bias.numpy()
    else:
        assert layer.deep is None
    linear = Z @ layer.linear.kernel.numpy() + layer.linear.bias.numpy()
    assert layer.output_width == 3
    np.testing.assert_allclose(layer(tf.constant(Z)), linear + pairs() + x, rtol=1e-4, atol=1e-5)


def test_fields_of_two_widths_or_a_single_field_are_refused():
    for fields in ([embedded("a"), embedded("b", 4)], [embedded("a")]):
        with pytest.raises(ValueError, match="features: DeepFM pairs"):
            DeepFM().bind(FeatureColumns(fields))


def test_an_unbound_layer_says_so():
    with pytest.raises(ValueError, match="bound"):
        DeepFM((4,)).build((None, 9))
