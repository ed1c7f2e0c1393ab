"""OracleRelabel: the truth on unclicked rows, in training only."""

import numpy as np
import pytest
import tensorflow as tf


def test_loss_and_gradients_match_float64(make_model, hand):
    truth = np.array([0, 1, 0, 1, 0, 1, 0, 0, 0.0])  # on clicked rows it must not matter

    def terms(s, frozen):
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_clicked_loss": 24 * hand.mean(hand.phi(hand.r, s["cvr"]), hand.o),
            "cvr_unclicked_loss": 6 * hand.mean(hand.phi(truth, s["cvr"]), 1 - hand.o),
        }

    model = make_model("oracle_relabel")
    hand.check(model, terms, oracle_conversion=truth)
    _, _, monitor = hand.run(model, oracle_conversion=truth)
    assert monitor == {"pseudo_positives": 2.0, "pseudo_positive_rate": 0.5}


def test_training_without_the_oracle_is_refused(make_model, tiny_dataset):
    def hide(features, labels, weight):
        return features, {k: labels[k] for k in ("click", "conversion")}, weight

    model = make_model("oracle_relabel")
    model.compile(jit_compile=False, run_eagerly=True)
    with pytest.raises(ValueError, match="oracle_conversion"):
        model.fit(tiny_dataset.map(hide), verbose=0)


def test_without_the_oracle_evaluation_reckons_with_negatives(make_model, hand):
    model, negative = make_model("oracle_relabel"), make_model("all_negative")
    assert hand.run(model)[0] == hand.run(negative)[0]


def test_no_other_method_sees_the_oracle(make_model, tiny_dataset):
    model = make_model("all_negative")
    model.build()
    _, batch = model._unpack(next(iter(tiny_dataset)), training=True)
    assert batch.extra == {}
    assert tf.reduce_sum(batch.conversion) > 0
