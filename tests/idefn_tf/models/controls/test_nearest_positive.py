"""NearestPositive: distances in z, checked one by one."""

import numpy as np


def nearest(hand, z, count, positives):
    distance = np.array([min(np.sum((z[i] - z[j]) ** 2) for j in positives) for i in range(9)])
    order = [i for i in np.argsort(distance, kind="stable") if hand.o[i] == 0][:count]
    return np.isin(np.arange(9), order).astype(float)


def test_loss_and_gradients_match_float64(make_model, hand):
    z = np.random.default_rng(2).normal(size=(9, 9))
    label = nearest(hand, z, 2, positives=[0, 2])  # row 8 converted too, but has weight 0

    def terms(s, frozen):
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_clicked_loss": 24 * hand.mean(hand.phi(hand.r, s["cvr"]), hand.o),
            "cvr_unclicked_loss": 6 * hand.mean(hand.phi(label, s["cvr"]), 1 - hand.o),
        }

    hand.check(make_model("nearest_positive", kappa=0.5), terms, z=z)


def test_conversions_beyond_the_capacity_are_counted(make_model, hand):
    z = np.random.default_rng(2).normal(size=(9, 9))
    _, _, monitor = hand.run(make_model("nearest_positive", kappa=0.5, capacity=1), z=z)
    assert monitor["transport_overflow"] == 1.0
    assert monitor["pseudo_positives"] == 2.0
    _, _, monitor = hand.run(make_model("nearest_positive", kappa=0.5), z=z)
    assert monitor["transport_overflow"] == 0.0
