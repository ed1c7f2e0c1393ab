"""IdeFN: Eq. 15 with the transport's labels, and what it says when nothing can be relabelled."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP
from idefn_tf.features import FeatureColumns, Field
from idefn_tf.models import AllNegative, Batch, IdeFN, Outputs, explain_regime

pytestmark = pytest.mark.usefixtures("one_by_one")


def made_features():
    return FeatureColumns(
        [
            Field("user", "identity", "int64", 4, known=9, table="user", side="user"),
            Field("item", "identity", "int64", 4, known=9, table="item", side="item"),
        ]
    )


def small_backbone():
    return MLP((4,))


def outputs_of(z, seed=0, training=False):
    rng = np.random.default_rng(seed)
    logits = {t: tf.constant(rng.normal(size=len(z)).astype(np.float32)) for t in ("ctr", "cvr")}
    hidden = {t: tf.constant(rng.normal(size=(len(z), 4)).astype(np.float32)) for t in logits}
    return Outputs(z=tf.constant(z), logits=logits, hidden=hidden, training=training)


def batch_of(click, conversion):
    click = np.asarray(click, np.float32)
    conversion = np.asarray(conversion, np.float32) * click
    return Batch(tf.constant(click), tf.constant(conversion), tf.ones(len(click)))


@pytest.fixture
def clustered():
    """Four positives at the origin, 16 unclicked rows near them, 180 far away, some clicked."""
    rng = np.random.default_rng(1)
    features = made_features()
    width = features.output_width
    near = rng.normal(0, 0.01, (20, width))
    far = rng.normal(5, 0.5, (200, width))
    z = np.concatenate([near, far]).astype(np.float32)
    click = np.r_[np.ones(4), np.zeros(16), np.zeros(180), np.ones(20)]
    conversion = np.r_[np.ones(4), np.zeros(216)]
    return features, z, batch_of(click, conversion)


def model_of(features, **options):
    model = IdeFN(features, small_backbone(), **options)
    model.build()
    return model


@pytest.mark.parametrize(
    ("rule", "solver"),
    [
        ("argmax", "proximal"),
        ("matched_fraction", "proximal"),
        ("top_k", "proximal"),
        pytest.param("argmax", "sinkhorn", marks=pytest.mark.xla),
        pytest.param("matched_fraction", "sinkhorn", marks=pytest.mark.xla),
    ],
)
def test_the_rows_beside_the_conversions_are_relabelled(clustered, rule, solver):
    features, z, batch = clustered
    model = model_of(features, kappa=16 / 196, rule=rule, transport={"solver": solver})
    labels = model.pseudo_labels(outputs_of(z), batch).numpy()
    assert labels[4:20].sum() >= 14
    assert labels[20:].sum() <= 2
    assert labels[:4].sum() == 0, "clicked rows carry no pseudo-label"


def test_prices_follow_the_models_own_click_probability():
    """Rows at costs 1 and 4 from a conversion, others at 100; prices 10 (1 - c)."""
    features = made_features()
    z = np.zeros((20, features.output_width), np.float32)
    z[2:4, 0], z[4:6, 0], z[6:, 1] = 1.0, 2.0, 10.0
    batch = batch_of([1, 1] + [0] * 18, [1, 1] + [0] * 18)
    model = model_of(features, rule="matched_fraction", transport={"rejection_price": 0.1})
    outputs = outputs_of(z)
    likely = np.log(7.0)  # c is 7/8 and the price 1.25; at logit 0 it is 5
    outputs.logits["ctr"] = tf.constant([0, 0, 0, likely, 0, likely] + [0] * 14, tf.float32)
    labels = model.pseudo_labels(outputs, batch).numpy()
    np.testing.assert_array_equal(labels, [0, 0, 1, 1, 1, 0] + [0] * 14)


def test_prices_need_a_trained_click_probability():
    with pytest.raises(ValueError, match=r"transport.rejection_price: must be left out .* 0\.1"):
        IdeFN(made_features(), small_backbone(), ctr_weight=0, transport={"rejection_price": 0.1})


def test_eq_15_with_the_transports_labels_equals_a_numpy_computation(clustered):
    features, z, batch = clustered
    model = model_of(features, kappa=16 / 196, alpha=0.7, gamma=5.0)
    outputs = outputs_of(z)
    losses = model.compute_losses(outputs, batch)
    label = model.pseudo_labels(outputs_of(z), batch).numpy().astype(np.float64)
    s, o, r = (
        np.asarray(v, np.float64) for v in (outputs.logits["cvr"], batch.click, batch.conversion)
    )

    def phi(y, x):
        return np.logaddexp(0, x) - y * x

    n = len(o)
    ctr = phi(o, np.asarray(outputs.logits["ctr"], np.float64)).sum() / n
    assert float(losses["ctr_loss"]) == pytest.approx(ctr, rel=1e-5)
    clicked = 5.0 * 0.7 * (o * phi(r, s)).sum() / n
    assert float(losses["cvr_clicked_loss"]) == pytest.approx(clicked, rel=1e-5)
    unclicked = 5.0 * 0.3 * ((1 - o) * phi(label, s)).sum() / n
    assert float(losses["cvr_unclicked_loss"]) == pytest.approx(unclicked, rel=1e-5)


def test_no_gradient_flows_through_the_plan(clustered):
    features, z, batch = clustered
    model = model_of(features, kappa=16 / 196)
    outputs = outputs_of(z)
    with tf.GradientTape() as tape:
        tape.watch(outputs.z)
        loss = tf.add_n(list(model.compute_losses(outputs, batch).values()))
    assert tape.gradient(loss, outputs.z) is None


def test_kappa_zero_is_all_negative(clustered):
    features, z, batch = clustered
    ours = model_of(features, kappa=0.0).compute_losses(outputs_of(z), batch)
    plain = AllNegative(made_features(), small_backbone()).compute_losses(outputs_of(z), batch)
    for name, value in plain.items():
        assert float(ours[name]) == pytest.approx(float(value))


def test_the_literal_reading_relabels_nothing_below_fifty_positives():
    rng = np.random.default_rng(0)
    features = made_features()
    for positives in (1, 8, 30, 49):
        z = rng.normal(size=(400, features.output_width)).astype(np.float32)
        click = np.r_[np.ones(positives), np.zeros(400 - positives)]
        for rule in ("argmax", "matched_fraction", "top_k"):
            model = model_of(features, kappa=0.02, marginals="literal", rule=rule)
            found = model.match(outputs_of(z), batch_of(click, click))
            assert float(found.pseudo_positives) == 0.0, (positives, rule)


@pytest.mark.parametrize(
    ("click", "conversion"),
    [
        (np.zeros(12), np.zeros(12)),
        (np.ones(12), np.zeros(12)),
        (np.ones(12), np.ones(12)),
        (np.r_[1, np.zeros(11)], np.zeros(12)),
        (np.ones(1), np.ones(1)),
        (np.zeros(1), np.zeros(1)),
    ],
    ids=[
        "no click",
        "no unclicked row, no conversion",
        "no unclicked row",
        "no conversion",
        "one converted row",
        "one unclicked row",
    ],
)
def test_odd_batches_give_finite_losses_and_no_label(click, conversion):
    features = made_features()
    z = np.random.default_rng(0).normal(size=(len(click), features.output_width))
    model = model_of(features, kappa=0.1)
    outputs = outputs_of(z.astype(np.float32))
    losses = model.compute_losses(outputs, batch_of(click, conversion))
    assert all(np.isfinite(float(v)) for v in losses.values())
    assert float(outputs.monitor["pseudo_positives"]) == 0.0


@pytest.mark.parametrize(
    ("setting", "silent"),
    [
        ((0.02, 30, 1127, "literal", "argmax"), False),
        ((0.02, 30, 1127, "literal", "top_k"), False),
        ((0.02, 60, 1127, "literal", "argmax"), True),
        ((0.005, 30, 1127, "proportion", "argmax"), False),
        ((0.005, 30, 1127, "proportion", "matched_fraction"), False),
        ((0.005, 30, 1127, "proportion", "top_k"), True),
        ((0.05, 30, 1127, "proportion", "argmax"), True),
        (("auto", 30, 1127, "proportion", "argmax"), True),
    ],
)
def test_a_setting_that_cannot_relabel_is_said_in_words(setting, silent):
    said = explain_regime(*setting)
    assert (said is None) == silent
    if said:
        assert "relabelled" in said


@pytest.mark.parametrize(
    ("options", "floor"),
    [
        ({"rule": "top_k", "transport": {"label_value": 0.1}}, 0.0),
        ({"rule": "soft"}, 0.5),
        ({"rule": "soft", "transport": {"label_value": 0.2}}, 0.1),
        pytest.param(
            {"rule": "soft", "transport": {"solver": "sinkhorn"}}, 0.5, marks=pytest.mark.xla
        ),
    ],
)
def test_labels_worth_little_are_counted_all_the_same(clustered, options, floor):
    features, z, batch = clustered
    model = model_of(features, kappa=16 / 196, **options)
    assert model.label_floor == pytest.approx(floor)
    relabelled = np.asarray(model.pseudo_labels(outputs_of(z), batch)) > model.label_floor
    assert relabelled[4:20].sum() >= 14
    assert relabelled[20:].sum() <= 2
