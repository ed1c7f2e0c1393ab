"""ESCIM-ratio: k rows by the prior's score, and a prior that teaches nobody else."""

import numpy as np
import tensorflow as tf


def labels_of(hand, prior):
    """8 rows of weight, 4 clicks, 2 conversions: k = 2 * floor(8 / 4) = 4 rows of weight."""
    order = [i for i in np.argsort(-prior, kind="stable") if hand.w[i] > 0][:4]
    return np.isin(np.arange(len(prior)), order) * (1 - hand.o)


def test_loss_and_gradients_match_float64(make_model, hand):
    def terms(s, frozen):
        inverse = 1 / np.maximum(hand.sigmoid(frozen["ctr"]), 0.05)
        label = labels_of(hand, frozen["prior"])
        factual = hand.mean(hand.phi(hand.r, s["cvr"]), hand.o * inverse)
        counterfactual = hand.mean_within(inverse * hand.phi(label, s["cvr"]), 1 - hand.o)
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "ctcvr_loss": hand.mean(hand.phi_product(hand.o * hand.r, s["ctr"], s["cvr"])),
            "cvr_clicked_loss": 0.3 * factual,
            "cvr_unclicked_loss": 0.7 * counterfactual,
            "prior_loss": hand.mean_within(hand.phi(hand.r, s["prior"]), hand.o),
        }

    hand.third[[4, 5]] = [1.9, 1.6]  # two unclicked rows among the first four
    model = make_model("escim_ratio", factual_weight=0.3, counterfactual_weight=0.7)
    assert labels_of(hand, hand.third).tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0]
    hand.check(model, terms)
    _, _, monitor = hand.run(model)
    assert monitor == {"pseudo_positives": 2.0, "pseudo_positive_rate": 0.5}


def test_no_conversion_labels_nothing(make_model, hand):
    hand.r[:] = 0
    _, _, monitor = hand.run(make_model("escim_ratio"))
    assert monitor["pseudo_positives"] == 0


def test_the_prior_teaches_no_embedding(make_model, hand):
    for trunk in (None, "mmoe"):
        model = make_model("escim_ratio", trunk=trunk)
        model.build()
        z = tf.random.stateless_normal([9, 9], seed=[1, 1])
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = model.compute_losses(model.forward(z, training=True), hand.batch())["prior_loss"]
        variables = [v.value for v in model.towers["prior"].trainable_variables]
        gradient, *own = tape.gradient(loss, [z, *variables])
        assert gradient is None
        assert any(np.any(g.numpy() != 0) for g in own)
