"""DCMT: the counterfactual tower's labels, both propensities detached."""

import numpy as np
import pytest


def terms_of(hand, floor=0.05, normalized=False, prior_weight=1e-3):
    def terms(s, frozen):
        click = 1 / np.maximum(hand.sigmoid(frozen["ctr"]), floor)
        no_click = 1 / np.maximum(1 - hand.sigmoid(frozen["ctr"]), floor)
        mean = hand.mean_within if normalized else hand.mean
        opposite = hand.phi(1 - hand.r, s["counterfactual"])
        gap = np.abs(1 - hand.sigmoid(s["cvr"]) - hand.sigmoid(s["counterfactual"]))
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_loss": mean(hand.phi(hand.r, s["cvr"]), hand.o * click),
            "counterfactual_loss": mean(opposite, (1 - hand.o) * no_click),
            "prior_loss": prior_weight * hand.mean(gap),
            "ctcvr_loss": hand.mean(hand.phi_product(hand.o * hand.r, s["ctr"], s["cvr"])),
        }

    return terms


def test_loss_and_gradients_match_float64(make_model, hand):
    hand.check(make_model("dcmt"), terms_of(hand))


def test_self_normalized_and_a_heavy_prior(make_model, hand):
    model = make_model("dcmt", self_normalized=True, prior_weight=2.0, propensity_floor=0.2)
    hand.check(model, terms_of(hand, 0.2, True, 2.0))


def test_nise_code_floors_at_1e_15(make_model, hand):
    hand.check(make_model("dcmt", compatibility="nise_code"), terms_of(hand, 1e-15))


def test_without_the_prior_unclicked_rows_do_not_reach_the_factual_tower(make_model, hand):
    model = make_model("dcmt", prior_weight=0.0)
    _, gradients, _ = hand.run(model)
    p, q = hand.sigmoid(hand.ctr), hand.sigmoid(hand.cvr)
    ctcvr_alone = hand.w * p * q * (1 - q) / (1 - p * q) / hand.w.sum()
    unclicked = hand.o == 0
    np.testing.assert_allclose(gradients["cvr"][unclicked], ctcvr_alone[unclicked], rtol=1e-4)


def test_bad_options_are_named(make_model):
    with pytest.raises(ValueError, match="prior_weight"):
        make_model("dcmt", prior_weight=-1.0)
