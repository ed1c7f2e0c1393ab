"""NISE: entropy with its gradient, and a weight that is a constant of the batch."""

import numpy as np
import pytest


def entropy(s):
    p = 1 / (1 + np.exp(-s))
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


def parts(hand, s):
    ctr = hand.mean(hand.phi(hand.o, s["ctr"]))
    clicked = hand.mean(hand.phi(hand.r, s["cvr"]), hand.o)
    unclicked = hand.mean(entropy(s["cvr"]), 1 - hand.o)
    return ctr, clicked, unclicked


@pytest.mark.parametrize(("cap", "scale"), [(50.0, 1.0), (0.5, 3.0)])
def test_loss_and_gradients_match_float64(make_model, hand, cap, scale):
    def terms(s, frozen):
        held_ctr, held_clicked, held_unclicked = parts(hand, frozen)
        weight = scale * min(held_ctr / (held_clicked + held_unclicked), cap)
        ctr, clicked, unclicked = parts(hand, s)
        return {
            "ctr_loss": ctr,
            "cvr_clicked_loss": weight * clicked,
            "cvr_unclicked_loss": weight * unclicked,
        }

    hand.check(make_model("nise", cap=cap, scale=scale), terms)


def test_the_entropy_pushes_unclicked_rows_away_from_one_half(make_model, hand):
    _, gradients, monitor = hand.run(make_model("nise", adaptive=False))
    p = hand.sigmoid(hand.cvr)
    expected = -hand.cvr * p * (1 - p) * hand.w / hand.w.sum()
    unclicked = hand.o == 0
    np.testing.assert_allclose(gradients["cvr"][unclicked], expected[unclicked], rtol=1e-4)
    assert monitor["nise_weight"] == 1.0


def test_ablations_drop_their_terms(make_model, hand):
    losses, gradients, _ = hand.run(make_model("nise", ctr_weight=0.0, unclicked_weight=0.0))
    assert losses["ctr_loss"] == 0.0
    assert losses["cvr_unclicked_loss"] == 0.0
    assert np.all(gradients["ctr"] == 0)
    assert np.all(gradients["cvr"][hand.o == 0] == 0)


def test_a_vanishing_cvr_loss_meets_the_cap(make_model, hand):
    hand.cvr = np.where(hand.r == 1, 200.0, -200.0)
    losses, gradients, monitor = hand.run(make_model("nise"))
    assert monitor["nise_weight"] == 50.0
    assert losses["cvr_clicked_loss"] == 0.0
    assert np.all(np.isfinite(gradients["cvr"]))
