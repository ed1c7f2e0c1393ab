"""ESCM2-DR: the method, and the published comparison's four defects behind one setting."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.models import Batch


def test_loss_and_gradients_match_float64(make_model, hand):
    def terms(s, frozen):
        inverse = 1 / np.maximum(hand.sigmoid(frozen["ctr"]), 0.05)
        actual, imputed = hand.phi(hand.r, s["cvr"]), np.log1p(np.exp(s["imputation"]))
        held_actual = hand.phi(hand.r, frozen["cvr"])
        held_imputed = np.log1p(np.exp(frozen["imputation"]))
        error = hand.mean(held_imputed) + hand.mean(actual - held_imputed, hand.o * inverse)
        ctcvr = hand.phi_product(hand.o * hand.r, s["ctr"], s["cvr"])
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_loss": error,
            "imputation_loss": hand.mean((held_actual - imputed) ** 2, hand.o * inverse),
            "ctcvr_loss": hand.mean(ctcvr),
        }

    hand.check(make_model("escm2_dr"), terms)


def test_nise_code_keeps_the_gradient_of_the_propensity(make_model, hand):
    def terms(s, frozen):
        ctr = hand.sigmoid(s["ctr"])
        weighted = hand.phi(hand.r, s["cvr"]) / hand.sigmoid(frozen["ctr"])
        low_variance = (ctr - hand.o) / ctr * hand.sigmoid(s["imputation"])
        ctcvr = hand.phi_product(hand.o * hand.r, s["ctr"], s["cvr"])
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_loss": hand.mean(weighted, hand.o) + hand.mean(low_variance),
            "imputation_loss": 0.0,
            "ctcvr_loss": hand.mean(ctcvr),
        }

    hand.check(make_model("escm2_dr", compatibility="nise_code"), terms)


def test_nise_code_moves_the_imputation_tower_by_a_fresh_adam_first(make_model, hand):
    model = make_model("escm2_dr", compatibility="nise_code")
    model.build()
    z = tf.random.stateless_normal([9, 9], seed=[1, 2])
    tower = model.towers["imputation"]
    before = [v.numpy() for v in tower.trainable_variables]
    others = [v.numpy() for v in model.towers["cvr"].trainable_variables]

    # numerical gradient of the last bias: the mean over clicked rows of (d^ - t)^2 / |D|
    outputs = model.forward(z, training=True)
    imputed = hand.sigmoid(outputs.logits["imputation"].numpy())
    probability = hand.sigmoid(outputs.logits["cvr"].numpy())
    target = np.log1p(np.exp(probability)) - hand.r * probability
    slope = hand.mean(2 * (imputed - target) * imputed * (1 - imputed), hand.o)
    assert abs(slope) > 1e-3

    model.before_step(z, hand.batch())
    moved = [v.numpy() - b for v, b in zip(tower.trainable_variables, before, strict=True)]
    assert moved[-1] == pytest.approx(-1e-3 * np.sign(slope), rel=1e-3)
    assert max(np.abs(m).max() for m in moved) == pytest.approx(1e-3, rel=1e-2)
    for variable, old in zip(model.towers["cvr"].trainable_variables, others, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


def test_the_method_itself_takes_no_extra_step(make_model, hand):
    model = make_model("escm2_dr")
    model.build()
    before = [v.numpy() for v in model.trainable_variables]
    ones = tf.ones([9])
    model.before_step(tf.ones([9, 9]), Batch(ones, ones, ones))
    for variable, old in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)
