"""TopKCVR: the highest scored unclicked rows, and no other."""

import numpy as np
import pytest


def test_loss_and_gradients_match_float64(make_model, hand):
    # four unclicked rows; kappa .5 takes two: those with logits .9 (row 4) and 1.7 (row 7)
    label = np.isin(np.arange(9), [4, 7]).astype(float)

    def terms(s, frozen):
        return {
            "ctr_loss": 0.5 * hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_clicked_loss": 10 * 0.6 * hand.mean(hand.phi(hand.r, s["cvr"]), hand.o),
            "cvr_unclicked_loss": 10 * 0.4 * hand.mean(hand.phi(label, s["cvr"]), 1 - hand.o),
        }

    model = make_model("top_k_cvr", kappa=0.5, alpha=0.6, gamma=10.0, ctr_weight=0.5)
    hand.check(model, terms)
    _, _, monitor = hand.run(model)
    assert monitor == {"pseudo_positives": 2.0, "pseudo_positive_rate": 0.5}


def test_rows_of_weight_zero_are_no_candidates(make_model, hand):
    hand.w[7] = 0.0  # the best unclicked row
    model = make_model("top_k_cvr", kappa=1 / 3)
    _, _, monitor = hand.run(model)
    assert monitor == pytest.approx({"pseudo_positives": 1.0, "pseudo_positive_rate": 1 / 3})


def test_a_batch_without_conversion_relabels_nothing(make_model, hand):
    hand.r[:] = 0
    _, _, monitor = hand.run(make_model("top_k_cvr", kappa=1.0))
    assert monitor["pseudo_positives"] == 0


def test_kappa_outside_zero_to_one_is_refused(make_model):
    with pytest.raises(ValueError, match="kappa"):
        make_model("top_k_cvr", kappa=1.1)
