"""ESCM2-IPS: Multi-IPW and the CTCVR."""

import numpy as np
import pytest


def terms_of(hand, floor, ctcvr_weight=1.0):
    def terms(s, frozen):
        inverse = 1 / np.maximum(hand.sigmoid(frozen["ctr"]), floor)
        ctcvr = hand.phi_product(hand.o * hand.r, s["ctr"], s["cvr"])
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_loss": hand.mean(hand.phi(hand.r, s["cvr"]), hand.o * inverse),
            "ctcvr_loss": ctcvr_weight * hand.mean(ctcvr),
        }

    return terms


def test_loss_and_gradients_match_float64(make_model, hand):
    hand.check(make_model("escm2_ips", ctcvr_weight=0.5), terms_of(hand, 0.05, 0.5))


def test_nise_code_floors_at_1e_15(make_model, hand):
    hand.ctr[2] = -12.0  # o^ = 6e-6 on a clicked row
    hand.check(make_model("escm2_ips", compatibility="nise_code"), terms_of(hand, 1e-15))


def test_an_explicit_floor_wins_over_the_compatibility_setting(make_model):
    model = make_model("escm2_ips", compatibility="nise_code", propensity_floor=0.1)
    assert model.propensity_floor == 0.1


def test_unknown_compatibility_is_refused(make_model):
    with pytest.raises(ValueError, match="compatibility"):
        make_model("escm2_ips", compatibility="nise")
