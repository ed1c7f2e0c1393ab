"""Multi-DR: which tower learns from which part."""

import numpy as np
import pytest


def terms_of(hand, joint, floor=0.05, weight=1.0):
    def terms(s, frozen):
        inverse = 1 / np.maximum(hand.sigmoid(frozen["ctr"]), floor)
        actual, imputed = hand.phi(hand.r, s["cvr"]), np.log1p(np.exp(s["imputation"]))
        held_actual = actual if joint else hand.phi(hand.r, frozen["cvr"])
        held_imputed = imputed if joint else np.log1p(np.exp(frozen["imputation"]))
        error = hand.mean(held_imputed) + hand.mean(actual - held_imputed, hand.o * inverse)
        residual = hand.mean((held_actual - imputed) ** 2, hand.o * inverse)
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_loss": weight * error,
            "imputation_loss": weight * residual,
        }

    return terms


@pytest.mark.parametrize("imputation", ["alternate", "joint"])
def test_loss_and_gradients_match_float64(make_model, hand, imputation):
    model = make_model("multi_dr", imputation=imputation, cvr_weight=0.7)
    hand.check(model, terms_of(hand, imputation == "joint", weight=0.7))


def test_alternate_pulls_the_imputation_towards_the_error_on_clicked_rows_only(make_model, hand):
    _, gradients, _ = hand.run(make_model("multi_dr"))
    assert np.all(gradients["imputation"][hand.o == 0] == 0)
    imputed = np.log1p(np.exp(hand.third))
    gap = imputed - hand.phi(hand.r, hand.cvr)
    clicked = (hand.o == 1) & (hand.w > 0)
    assert np.all(np.sign(gradients["imputation"][clicked]) == np.sign(gap[clicked]))


def test_the_estimate_is_doubly_robust_in_its_imputation(make_model, hand):
    """With d^ = d the estimate is the mean of d over all exposures, whatever the propensity."""
    exact = hand.phi(hand.r, hand.cvr)
    hand.third = np.log(np.expm1(exact))
    losses, _, _ = hand.run(make_model("multi_dr"))
    assert losses["cvr_loss"] == pytest.approx(hand.mean(exact), rel=1e-5)
    assert losses["imputation_loss"] == pytest.approx(0, abs=1e-9)
