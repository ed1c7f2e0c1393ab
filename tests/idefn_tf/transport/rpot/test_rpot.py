"""RPOT inside a train step: capacity, memory, warm-up, kappa's three forms, held-out positives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.transport import RPOT, PositiveMemory, Status

pytestmark = pytest.mark.usefixtures("one_by_one")
WIDTH = 6


def made(positives=4, near=8, far=60, seed=0):
    """Positives at the origin, unclicked rows near them, and far ones."""
    rng = np.random.default_rng(seed)
    z = np.concatenate(
        [
            rng.normal(0, 0.01, (positives + near, WIDTH)),
            rng.normal(6, 0.5, (far, WIDTH)),
        ]
    ).astype(np.float32)
    click = np.r_[np.ones(positives), np.zeros(near + far)].astype(np.float32)
    return tf.constant(z), tf.constant(click), tf.constant(click)


def at_distances():
    """Four positives at the origin, unclicked rows at costs 1 to 8 from them, 60 at cost 100."""
    z = np.zeros((72, WIDTH), np.float32)
    z[4:12, 0] = np.sqrt(np.arange(1, 9))
    z[12:, 1] = 10.0
    click = np.r_[np.ones(4), np.zeros(68)].astype(np.float32)
    return tf.constant(z), tf.constant(click), tf.constant(click)


def layer_of(**options):
    layer = RPOT(**{"kappa": 8 / 68, **options})
    layer.build((None, WIDTH))
    return layer


def test_rows_beside_the_positives_are_relabelled():
    found = layer_of()(*made())
    labels = found.labels.numpy()
    assert labels[4:12].sum() >= 7
    assert labels[:4].sum() == 0
    assert labels[12:].sum() <= 1
    assert int(found.status) == Status.CONVERGED
    assert float(found.positives) == 4


def test_what_does_not_fit_the_capacity_is_counted():
    found = layer_of(capacity=3)(*made(positives=5))
    assert float(found.positives) == 3
    assert float(found.overflow) == 2


def test_a_batch_smaller_than_the_capacity_works():
    z, click, conversion = made(positives=1, near=1, far=1)
    found = layer_of(capacity=128, kappa=0.5)(z, click, conversion)
    assert found.labels.shape == (3,)
    assert float(found.labels[1]) == 1.0


@pytest.mark.xla
@pytest.mark.parametrize("compiled", [False, True])
def test_the_compiled_layer_finds_the_same(compiled):
    layer = layer_of(memory=4, jit_compile=compiled)
    step = tf.function(lambda *a: layer(*a, training=True).labels, jit_compile=compiled)
    first, second = step(*made()), step(*made(seed=1))
    assert first.numpy()[4:12].sum() >= 7
    assert second.numpy()[4:12].sum() >= 7


def test_the_memory_is_first_in_first_out():
    memory = PositiveMemory(3)
    memory.build((None, 1))
    for step, values in enumerate([[1.0, 2.0], [3.0, 9.0], [], [4.0, 5.0]]):
        z = tf.constant([[v] for v in values] or [[0.0]])
        mask = tf.constant([v != 9.0 for v in values] or [False])
        memory(z, mask, tf.constant(step))
    entries, alive = memory.read(tf.constant(4))
    assert entries.numpy().ravel().tolist() == [4.0, 5.0, 3.0]
    assert alive.numpy().all()
    assert memory.born.numpy().tolist() == [3, 3, 1]


def test_more_new_entries_than_places_keep_the_first():
    memory = PositiveMemory(2)
    memory.build((None, 1))
    memory(tf.constant([[1.0], [2.0], [3.0]]), tf.constant([True] * 3), tf.constant(0))
    assert memory.read(tf.constant(0))[0].numpy().ravel().tolist() == [1.0, 2.0]


def test_entries_past_the_age_limit_no_longer_take_part():
    memory = PositiveMemory(2, age_limit=2)
    memory.build((None, 1))
    memory(tf.constant([[1.0]]), tf.constant([True]), tf.constant(0))
    assert memory.read(tf.constant(2))[1].numpy().tolist() == [True, False]
    assert memory.read(tf.constant(3))[1].numpy().tolist() == [False, False]


def test_a_batch_without_a_positive_is_matched_from_memory():
    layer = layer_of(memory=16)
    layer(*made(), training=True)
    z, click, _ = made(seed=3)
    nothing = tf.zeros_like(click)
    found = layer(z, nothing, nothing, training=True)
    assert float(found.positives) == 4
    assert found.labels.numpy()[:12].sum() >= 6
    without = layer_of()(z, nothing, nothing)
    assert float(without.pseudo_positives) == 0
    assert int(without.status) == Status.NOTHING_TO_MATCH


def test_evaluation_moves_nothing():
    layer = layer_of(memory=4, label_value="calibrated", kappa="auto")
    before = [v.numpy().copy() for v in layer.weights]
    layer(*made(), rate=tf.constant(0.2), training=False)
    for a, b in zip(before, layer.weights, strict=True):
        np.testing.assert_array_equal(a, b.numpy())


def test_warm_up_labels_nothing_before_its_steps_are_over():
    layer = layer_of(warmup_steps=2)
    counts = [float(layer(*made(), training=True).pseudo_positives) for _ in range(4)]
    assert counts[:2] == [0, 0]
    assert min(counts[2:]) >= 7


def test_kappa_may_follow_a_schedule():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.0, 8 / 68])
    layer = layer_of(kappa=schedule)
    first, second = (layer(*made(), training=True) for _ in range(2))
    assert (float(first.kappa), float(first.pseudo_positives)) == (0, 0)
    assert float(second.pseudo_positives) >= 7


def test_kappa_auto_is_the_running_mean_of_the_rates():
    layer = layer_of(kappa="auto")
    assert float(layer.kappa_now()) == pytest.approx(0.01)
    for rate in (0.1, 0.3):
        layer(*made(), rate=tf.constant(rate), training=True)
    weights = np.array([layer.prior.decay, 1.0])
    expected = (weights * [0.1, 0.3]).sum() / weights.sum()
    assert float(layer.kappa_now()) == pytest.approx(expected, rel=1e-5)
    low, high = layer.prior.interval
    assert float(low) < expected < float(high)
    layer(*made(), rate=tf.constant(float("nan")), training=True)
    assert float(layer.kappa_now()) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"rate.*auto"):
        layer(*made())


def test_a_calibrated_label_is_recall_times_prior_over_match_rate():
    layer = layer_of(label_value="calibrated", holdout_positives=0.5)
    for seed in range(6):
        found = layer(*made(positives=20, seed=seed), rate=tf.constant(0.05), training=True)
    recall, prior = float(layer.recall.mean), float(layer.prior.mean)
    rate = float(layer.match_rate.mean)
    assert 0 < recall <= 1
    assert prior == pytest.approx(0.05)
    expected = min(1.0, recall * prior / rate)
    assert float(found.label_value) == pytest.approx(expected, rel=1e-5)
    values = found.labels.numpy()
    assert values[values > 0] == pytest.approx(expected, rel=1e-5)
    assert values[:20].sum() == 0, "held-out positives are clicked rows and keep their own label"


def test_memory_and_estimates_are_saved_with_the_weights(tmp_path):
    def model_of():
        inputs = keras.Input((WIDTH,))
        model = keras.Model(inputs, inputs)
        model.rpot = layer_of(memory=8, kappa="auto")
        return model

    first, second = model_of(), model_of()
    first.rpot(*made(), rate=tf.constant(0.2), training=True)
    first.save_weights(tmp_path / "w.weights.h5")
    second.load_weights(tmp_path / "w.weights.h5")
    for a, b in zip(first.rpot.weights, second.rpot.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert float(second.rpot.kappa_now()) == pytest.approx(0.2)


def test_the_config_rebuilds_the_layer():
    schedule = keras.optimizers.schedules.PolynomialDecay(0.1, 10, 0.01)
    for options in (
        {"kappa": schedule, "memory": 5, "memory_age": 3, "normalize": True},
        {"kappa": "auto", "label_value": "calibrated", "rule": "argmax", "cost": "cosine"},
        {"rejection_price": "auto", "rule": "matched_fraction"},
    ):
        layer = RPOT(**options)
        config = layer.get_config()
        assert RPOT.from_config(config).get_config() == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kappa": 1.5}, r"kappa: must be a finite number from 0 to 1.*1\.5"),
        ({"kappa": "some"}, r"kappa: must be"),
        ({"marginals": "r3"}, r"marginals: must be.*proportion"),
        ({"rule": "best"}, r"rule: must be.*top_k"),
        ({"cost": "manhattan"}, r"cost: must be"),
        ({"capacity": 0}, r"capacity: must be"),
        ({"memory": -1}, r"memory: must be"),
        ({"label_value": 0}, r"label_value: must be"),
        ({"label_value": "calibrated", "holdout_positives": 0}, r"holdout_positives: must be"),
        ({"epsilon": 0}, r"epsilon: must be"),
        ({"rejection_price": 0}, r"rejection_price: must be.*above 0.*'auto'"),
        ({"rejection_price": "dear"}, r"rejection_price: must be.*'dear'"),
        ({"memory": 4, "memory_age": 0}, r"memory_age: must be"),
    ],
)
def test_bad_options_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        RPOT(**options)


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("clicked", ["none", "all", "all converted"])
def test_odd_batches_are_answered_with_a_status(rows, clicked):
    z = tf.constant(np.random.default_rng(0).normal(size=(rows, WIDTH)).astype(np.float32))
    click = tf.zeros(rows) if clicked == "none" else tf.ones(rows)
    conversion = click if clicked == "all converted" else tf.zeros(rows)
    found = layer_of(memory=2)(z, click, conversion, training=True)
    assert int(found.status) == Status.NOTHING_TO_MATCH
    assert float(found.pseudo_positives) == 0
    assert np.isfinite(float(found.marginal_error))


@pytest.mark.parametrize("clicked", [0.1, 0.3, 0.6, 1.0, pytest.param(0.1, marks=pytest.mark.xla)])
def test_training_on_the_unclicked_rows_alone_finds_what_the_whole_batch_does(clicked):
    """Batches of 512 and more gather their unclicked rows, where those fit five eighths."""
    rng = np.random.default_rng(4)
    z = tf.constant(rng.normal(size=(600, WIDTH)).astype(np.float32))
    click = (np.arange(600) % 100 < 100 * clicked).astype(np.float32)
    conversion = tf.constant(click * (rng.random(600) < 0.1).astype(np.float32))
    click = tf.constant(click)
    options = {"kappa": 0.1, "scale": "mean"}  # the median's sample would differ
    whole = layer_of(**options)(z, click, conversion)
    narrow = layer_of(**options)(z, click, conversion, training=True)
    assert int(narrow.status) == int(whole.status)
    assert float(narrow.pseudo_positives) == float(whole.pseudo_positives)
    np.testing.assert_allclose(narrow.matched_fraction, whole.matched_fraction, atol=1e-2)
    assert narrow.plan.matrix.shape == whole.plan.matrix.shape == (65, 600)
    np.testing.assert_allclose(narrow.plan.matrix, whole.plan.matrix, atol=1e-2 / 60)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.xla)])
@pytest.mark.parametrize("training", [False, True])
def test_a_likely_click_that_was_not_made_is_rejected_and_an_unlikely_one_matched(
    compiled, training
):
    # the median cost is 100, so prices are 13 (1 - c), 6.5 and 1.3, for costs of 1 to 8
    near = [0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5, 0.9]
    propensity = tf.constant([0.5] * 4 + near + [0.5] * 60)
    layer = layer_of(rejection_price=0.13, rule="matched_fraction", jit_compile=compiled)
    found = layer(*at_distances(), training=training, propensity=propensity)
    np.testing.assert_array_equal(found.labels, [0] * 4 + [1, 0, 0, 1, 1, 1, 0, 0] + [0] * 60)
    assert int(found.status) == Status.CONVERGED
    assert found.plan.matrix.shape == (65, 72)


def test_the_level_by_kappa_accepts_that_share_of_the_unclicked_rows():
    options = {"rejection_price": "auto", "rule": "matched_fraction"}
    found = layer_of(kappa=5 / 68, **options)(*at_distances(), propensity=tf.fill([72], 0.5))
    np.testing.assert_array_equal(found.labels, [0] * 4 + [1] * 5 + [0] * 63)
    without = layer_of(kappa=0.0, **options)(*at_distances(), propensity=tf.fill([72], 0.5))
    assert float(without.pseudo_positives) == 0


@pytest.mark.parametrize("clicked", ["none", "all"])
@pytest.mark.parametrize("price", [0.1, "auto"])
def test_with_prices_odd_batches_are_answered_with_a_status_too(clicked, price):
    z, click = tf.zeros([3, WIDTH]), tf.zeros(3) if clicked == "none" else tf.ones(3)
    layer = layer_of(rejection_price=price, rule="matched_fraction")
    found = layer(z, click, click, propensity=tf.fill([3], 0.5), training=True)
    assert int(found.status) == Status.NOTHING_TO_MATCH
    assert float(found.pseudo_positives) == 0
    assert np.isfinite(float(found.marginal_error))


def test_prices_need_a_propensity():
    with pytest.raises(ValueError, match="propensity: must be given under rejection_price"):
        layer_of(rejection_price=0.1)(*made())


def test_an_earlier_releases_word_is_translated_where_saved_and_refused_where_written():
    saved = {**layer_of(holdout_positives=0.25).get_config()}
    saved["spies"] = saved.pop("holdout_positives")
    assert RPOT.from_config(saved).holdout_positives == 0.25
    with pytest.raises(ValueError, match=r"spies: must be called 'holdout_positives'.*: 0\.25"):
        layer_of(spies=0.25)
