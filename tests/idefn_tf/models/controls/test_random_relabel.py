"""RandomRelabel: the right number of unclicked rows, another draw each step."""

import numpy as np
import tensorflow as tf

from idefn_tf.models import Batch, Outputs


def draw(model, seed=0, rows=400):
    rng = np.random.default_rng(seed)
    click = (rng.random(rows) < 0.25).astype(np.float32)
    conversion = click * (rng.random(rows) < 0.2)
    zeros = tf.zeros([rows])
    outputs = Outputs(tf.zeros([rows, 2]), {"cvr": zeros, "ctr": zeros}, {})
    batch = Batch(tf.constant(click), tf.constant(conversion, tf.float32), tf.ones([rows]))
    return model.pseudo_labels(outputs, batch).numpy(), click


def test_round_kappa_n_u_unclicked_rows_are_drawn(make_model):
    model = make_model("random_relabel", kappa=0.1)
    labels, click = draw(model)
    assert labels.sum() == np.round(0.1 * (1 - click).sum())
    assert np.all(labels[click == 1] == 0)


def test_draws_are_uniform_over_unclicked_rows(make_model):
    model = make_model("random_relabel", kappa=0.1, seed=7)
    draws = np.stack([draw(model)[0] for _ in range(60)])
    _, click = draw(model)
    share = draws[:, click == 0].mean(0)
    # binomial(60, .1) / 60 has standard deviation .039: every row within six of them
    assert np.all(np.abs(share - 0.1) < 6 * 0.039)
    assert len({tuple(d) for d in draws}) == 60


def test_a_seed_repeats_the_draws(make_model):
    first, second = (make_model("random_relabel", kappa=0.1, seed=3) for _ in range(2))
    np.testing.assert_array_equal(draw(first)[0], draw(second)[0])


def test_eq_15_with_the_drawn_labels(make_model, hand):
    model = make_model("random_relabel", kappa=1.0)  # every unclicked row is drawn

    def terms(s, frozen):
        return {
            "ctr_loss": hand.mean(hand.phi(hand.o, s["ctr"])),
            "cvr_clicked_loss": 24 * hand.mean(hand.phi(hand.r, s["cvr"]), hand.o),
            "cvr_unclicked_loss": 6 * hand.mean(hand.phi(1.0, s["cvr"]), 1 - hand.o),
        }

    hand.check(model, terms)
