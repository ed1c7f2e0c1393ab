"""ESMM, AllNegative and ClickOnly against float64."""

import numpy as np
import pytest


@pytest.mark.parametrize("stopped", [False, True])
def test_esmm(make_model, hand, stopped):
    def terms(s, frozen):
        ctr = frozen["ctr"] if stopped else s["ctr"]
        ctcvr = hand.phi_product(hand.o * hand.r, ctr, s["cvr"])
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "ctcvr_loss": 3 * hand.mean(ctcvr),
        }

    hand.check(make_model("esmm", ctcvr_weight=3.0, stop_ctr_gradient=stopped), terms)


def test_all_negative(make_model, hand):
    def terms(s, frozen):
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_clicked_loss": 24 * hand.mean(hand.phi(hand.r, s["cvr"]), hand.o),
            "cvr_unclicked_loss": 6 * hand.mean(hand.phi(0.0, s["cvr"]), 1 - hand.o),
        }

    hand.check(make_model("all_negative"), terms)


@pytest.mark.parametrize("divisor", ["exposures", "clicks"])
def test_click_only(make_model, hand, divisor):
    mean = hand.mean if divisor == "exposures" else hand.mean_within

    def terms(s, frozen):
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_loss": 24 * mean(hand.phi(hand.r, s["cvr"]), hand.o),
        }

    hand.check(make_model("click_only", divisor=divisor), terms)


def test_the_ctcvr_keeps_its_digits_where_the_product_is_tiny(make_model, hand):
    hand.ctr, hand.cvr = np.full(9, -9.0), np.full(9, -9.0)
    losses, gradients, _ = hand.run(make_model("esmm"))
    p = hand.sigmoid(-9.0) ** 2  # 1.5e-8, lost in 1 - p in float32
    label = hand.o * hand.r
    expected = hand.mean(-label * np.log(p) - (1 - label) * np.log1p(-p))
    assert losses["ctcvr_loss"] == pytest.approx(expected, rel=1e-6)
    slope = p * (1 - hand.sigmoid(-9.0)) / (1 - p) * hand.w / hand.w.sum()
    np.testing.assert_allclose(gradients["cvr"][label == 0], slope[label == 0], rtol=1e-3)
