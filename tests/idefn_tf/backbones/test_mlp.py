"""The perceptron: its arithmetic, its clones, and the published initializers."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf import backbones
from idefn_tf.backbones import MLP, PublishedDense

Z = np.random.default_rng(0).normal(size=(64, 9)).astype(np.float32)


def built(layer, width=9):
    layer.build((None, width))
    return layer


def test_hidden_layers_and_logit_match_numpy():
    tower = built(MLP((5, 3), batch_norm=False, activation="tanh"))
    logit, hidden = tower(tf.constant(Z))
    x = Z.astype(np.float64)
    for layer in tower.blocks[0], tower.blocks[2]:
        x = np.tanh(x @ layer.kernel.numpy() + layer.bias.numpy())
    np.testing.assert_allclose(hidden, x, rtol=1e-4, atol=1e-6)
    expected = x @ tower.logit.kernel.numpy()[:, 0] + tower.logit.bias.numpy()
    np.testing.assert_allclose(logit, expected, rtol=1e-4, atol=1e-6)
    assert logit.dtype == tf.float32


def test_published_kernel_and_bias_are_uniform_in_one_over_root_fan_in():
    layer = PublishedDense(400)
    layer.build((None, 25))
    for values in layer.kernel.numpy(), layer.bias.numpy():
        assert np.abs(values).max() <= 0.2
        assert np.abs(values).max() > 0.19
        # a uniform variable on +-a has standard deviation a / sqrt(3)
        assert values.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.1)


def test_published_parity_reaches_every_layer():
    tower = built(MLP((5, 3), batch_norm=True, parity="published"))
    dense = [b for b in tower.blocks if isinstance(b, PublishedDense)]
    assert len(dense) == 2
    assert isinstance(tower.logit, PublishedDense)
    assert tower.logit.bias.numpy() != 0
    norm = tower.blocks[1]
    assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)


def test_batch_norm_and_dropout_follow_the_mode():
    tower = built(MLP((8,), batch_norm=True, dropout=0.5))
    z = tf.constant(Z)
    still = [tower(z, training=False)[0].numpy() for _ in range(2)]
    np.testing.assert_array_equal(*still)
    moving = [tower(z, training=True)[0].numpy() for _ in range(2)]
    assert np.abs(moving[0] - moving[1]).max() > 1e-3


def test_an_expert_has_no_head():
    expert = built(MLP((5, 3)).for_expert("e", (7,)))
    assert expert.logit is None
    assert expert(tf.constant(Z)).shape == (64, 7)
    assert expert.output_width == 7


def test_clones_share_nothing():
    tower = MLP((5,))
    first, second = built(tower.for_task("ctr")), built(tower.for_task("cvr"))
    assert not set(map(id, first.variables)) & set(map(id, second.variables))
    assert np.any(first.blocks[0].kernel.numpy() != second.blocks[0].kernel.numpy())


def test_backbones_by_name():
    assert {name: type(backbones.get(name)) for name in backbones.BACKBONES} == backbones.BACKBONES
    assert sorted(backbones.BACKBONES) == ["dcnv2", "deepfm", "mlp"]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: MLP(()), "units"),
        (lambda: MLP((4, 0)), "units"),
        (lambda: MLP((4,), parity="torch"), "parity"),
        (lambda: backbones.get("dcn"), "backbone"),
    ],
)
def test_bad_options_are_named(make, word):
    with pytest.raises(ValueError, match=f"{word}: must"):
        make()
