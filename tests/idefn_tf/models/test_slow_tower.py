"""A copy that follows a tower: by hand, through training, saved, and refused where it cannot."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP
from idefn_tf.models import Batch
from idefn_tf.models.slow_tower import SlowTower
from idefn_tf.optimizers import RowSparseAdam

pytestmark = pytest.mark.job


@pytest.fixture(scope="module")
def average(make_model):
    def make(**options):
        return make_model("idefn", representation="hidden_average", kappa=0.2, **options)

    return make


@pytest.fixture(scope="module")
def trained(average, tiny_dataset):
    """A model after two epochs."""
    model = average(average_decay=0.9)
    model.compile(RowSparseAdam(0.05))
    model.fit(tiny_dataset, epochs=2, verbose=0)
    return model


def test_a_weight_moves_a_share_of_the_way_by_hand(tiny_features):
    tower = MLP((2,), batch_norm=False, name="cvr_tower")
    slow = SlowTower(tower, tiny_features(), decay=0.75)
    for layer in (tower, slow):
        layer.build((None, 3))
    slow.start_from(tower)
    kernel, own = tower.blocks[0].kernel, slow.copy.blocks[0].kernel
    kernel.assign([[4.0, 0.0], [0.0, 0.0], [0.0, -8.0]])
    own.assign([[0.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    slow.follow(tower)
    # .75 of the old, .25 of the tower's
    np.testing.assert_allclose(own, [[1.0, 3.0], [0.0, 0.0], [0.0, -2.0]])
    slow.follow(tower)
    np.testing.assert_allclose(own, [[1.75, 2.25], [0.0, 0.0], [0.0, -3.5]])
    # relu(z W + b), b = 0, of z = (1, 1, 1)
    np.testing.assert_allclose(slow(tf.ones([1, 3])), [[1.75, 0.0]])


def test_before_any_step_the_copy_is_the_tower(average):
    model = average()
    model.build()
    z = tf.random.normal([6, model.features.output_width])
    hidden = model.forward(z, training=False).hidden["cvr"]
    np.testing.assert_array_equal(model.slow(z), hidden)
    own, followed = model.slow.copy.weights, model.towers["cvr"].weights
    assert not {id(v) for v in own} & {id(v) for v in followed}


@pytest.mark.parametrize(
    "backbone", ["deepfm", "dcnv2", pytest.param("mlp", marks=pytest.mark.xla)]
)
def test_training_moves_the_copy_behind_the_tower_and_no_gradient_does(
    average, tiny_dataset, backbone
):
    model = average(backbone=backbone, average_decay=0.5)
    model.build()
    trained = {id(v) for v in model.trainable_variables}
    assert not trained & {id(v) for v in model.slow.copy.weights}
    start = [np.array(w) for w in model.towers["cvr"].weights]
    model.compile(RowSparseAdam(0.05))
    one_batch = tiny_dataset.take(1)
    model.fit(one_batch, epochs=1, verbose=0)
    # the first step compares with what the tower was before its own update
    for own, first in zip(model.slow.copy.weights, start, strict=True):
        np.testing.assert_array_equal(own, first)
    after = [np.array(w) for w in model.towers["cvr"].weights]
    model.fit(one_batch, epochs=1, verbose=0)
    for own, first, then in zip(model.slow.copy.weights, start, after, strict=True):
        np.testing.assert_allclose(own, (first + then) / 2, rtol=1e-5, atol=1e-7)
    assert any(np.any(first != then) for first, then in zip(start, after, strict=True))


def test_evaluation_moves_nothing(trained, tiny_dataset):
    before = [np.array(w) for w in trained.slow.copy.weights]
    trained.evaluate(tiny_dataset, verbose=0)
    for own, kept in zip(trained.slow.copy.weights, before, strict=True):
        np.testing.assert_array_equal(own, kept)


def test_a_saved_model_keeps_its_copy(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_config()["average_decay"] == 0.9
    assert again.get_config()["representation"] == "hidden_average"
    for own, kept in zip(again.slow.copy.weights, trained.slow.copy.weights, strict=True):
        np.testing.assert_array_equal(own, kept)


@pytest.mark.usefixtures("one_by_one")
def test_rows_are_compared_by_the_copy(average):
    model = average()
    model.build()
    rows = {"user": tf.range(6), "item": tf.constant([1, 2, 1, 2, 3, 4]), "price": tf.zeros(6)}
    outputs = model.forward(model.features(model.features.encode(rows)), training=False)
    batch = Batch(tf.constant([1.0] + [0.0] * 5), tf.constant([1.0] + [0.0] * 5), tf.ones(6))
    for weight in model.towers["cvr"].weights:  # the tower's own layer tells nothing any more
        weight.assign(tf.zeros_like(weight))
    labels = model.match(outputs, batch).labels
    hidden = model.slow(outputs.z).numpy()
    nearest = 1 + int(np.argmin(np.sum((hidden[1:] - hidden[0]) ** 2, axis=1)))
    np.testing.assert_array_equal(np.flatnonzero(labels), [nearest])


def test_under_a_trunk_it_is_refused_with_the_cure(average):
    with pytest.raises(ValueError, match=r"representation: .*trunk.*choose 'hidden'"):
        average(trunk="mmoe")


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0, float("nan")])
def test_a_decay_out_of_range_is_named(average, decay):
    with pytest.raises(ValueError, match=r"average_decay: must be a finite number at least 0"):
        average(average_decay=decay)
