"""Multi-IPW: inverse propensities, clipped and detached."""

import numpy as np
import pytest


def terms_of(hand, floor=0.05, weight=1.0, normalized=False):
    def terms(s, frozen):
        inverse = 1 / np.maximum(hand.sigmoid(frozen["ctr"]), floor)
        mean = hand.mean_within if normalized else hand.mean
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_loss": weight * mean(hand.phi(hand.r, s["cvr"]), hand.o * inverse),
        }

    return terms


def test_loss_and_gradients_match_float64(make_model, hand):
    hand.check(make_model("multi_ipw"), terms_of(hand))


def test_self_normalized_weights_sum_to_one(make_model, hand):
    model = make_model("multi_ipw", self_normalized=True, cvr_weight=2.0, propensity_floor=0.3)
    hand.check(model, terms_of(hand, 0.3, 2.0, True))


def test_the_cvr_term_leaves_the_ctr_tower_alone(make_model, hand):
    _, gradients, _ = hand.run(make_model("multi_ipw"))
    expected = hand.w * (hand.sigmoid(hand.ctr) - hand.o) / hand.w.sum()
    np.testing.assert_allclose(gradients["ctr"], expected, atol=1e-6)


def test_clipped_share_is_reported(make_model, hand):
    _, _, monitor = hand.run(make_model("multi_ipw"))
    # of clicked weight 1 + 2 + .5 + 1, only the row of weight .5 has o^ = .011 below .05
    assert monitor["clipped_share"] == pytest.approx(0.5 / 4.5)


@pytest.mark.parametrize("option", [{"propensity_floor": 0.0}, {"cvr_weight": 0.0}])
def test_bad_options_are_named(make_model, option):
    with pytest.raises(ValueError, match=next(iter(option))):
        make_model("multi_ipw", **option)
