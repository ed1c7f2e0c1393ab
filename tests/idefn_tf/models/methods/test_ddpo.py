"""DDPO: soft labels from the conversion propensity, weights that sum to one."""

import numpy as np
import pytest
import tensorflow as tf


def terms_of(hand, floor=0.05, again=1.0):
    def terms(s, frozen):
        click = 1 / np.maximum(hand.sigmoid(frozen["ctr"]), floor)
        no_click = 1 / np.maximum(1 - hand.sigmoid(frozen["ctr"]), floor)
        soft = hand.sigmoid(frozen["conversion"])
        clicked = hand.phi(np.minimum(hand.r + soft, 1), s["cvr"])
        unclicked = hand.phi(soft, s["cvr"])
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "ctcvr_loss": hand.mean(hand.phi_product(hand.o * hand.r, s["ctr"], s["cvr"])),
            "conversion_loss": hand.mean(hand.phi(hand.r, s["conversion"]), hand.o),
            "cvr_clicked_loss": hand.mean_within(clicked, hand.o * click) / again,
            "cvr_unclicked_loss": hand.mean_within(unclicked, (1 - hand.o) * no_click) / again,
        }

    return terms


def test_loss_and_gradients_match_float64(make_model, hand):
    hand.check(make_model("ddpo"), terms_of(hand))


def test_ddpo_code_divides_by_the_batch_once_more(make_model, hand):
    model = make_model("ddpo", compatibility="ddpo_code")
    hand.check(model, terms_of(hand, 1e-6, hand.w.sum()))


def test_the_conversion_tower_learns_from_clicked_rows_alone(make_model, hand):
    _, gradients, _ = hand.run(make_model("ddpo"))
    expected = hand.o * hand.w * (hand.sigmoid(hand.third) - hand.r) / hand.w.sum()
    np.testing.assert_allclose(gradients["conversion"], expected, atol=1e-6)


def test_the_transfer_adds_what_the_other_towers_tell(make_model):
    model = make_model("ddpo")
    model.build()
    z = tf.random.stateless_normal([7, 9], seed=[3, 4])
    outputs = model.forward(z, training=False)
    own, hidden = model.towers["cvr"](z, training=False)
    t = model.transfer
    told = []
    for i, sender in enumerate(("ctr", "conversion")):
        pair = [t.tells[i](outputs.hidden[sender]).numpy(), hidden.numpy()]
        q, k, v = (
            [layer(x).numpy().astype(np.float64) for x in pair]
            for layer in (t.queries[i], t.keys[i], t.values[i])
        )
        scores = np.exp([np.sum(a * b, 1) / 2.0 for a, b in zip(q, k, strict=True)])  # sqrt(4)
        share = scores / scores.sum(0)
        told.append(share[0][:, None] * v[0] + share[1][:, None] * v[1])
    heard = t.logit(t.fuse(np.concatenate(told, 1))).numpy()[:, 0]
    np.testing.assert_allclose(outputs.logits["cvr"], own.numpy() + heard, rtol=1e-4, atol=1e-6)


def test_without_transfer_the_towers_are_apart(make_model):
    model = make_model("ddpo", transfer=False)
    model.build()
    z = tf.random.stateless_normal([3, 9], seed=[3, 4])
    own, _ = model.towers["cvr"](z, training=False)
    np.testing.assert_array_equal(model.forward(z, training=False).logits["cvr"], own)


def test_bad_options_are_named(make_model):
    with pytest.raises(ValueError, match="propensity_floor"):
        make_model("ddpo", propensity_floor=1.5)
