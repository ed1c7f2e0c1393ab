"""DFM: its weights give the gradient of the log-likelihood, computed anew in float64."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.models.feedback import Clicks, DFMFeedback

W = 7.0


def log_likelihood(s, h, y, e, d):
    """Of one click in float64: logit s, log hazard h, days e and d."""
    p, rate = 1 / (1 + np.exp(-s)), np.exp(h)
    cut = 1 - np.exp(-rate * W)
    if y:
        return np.log(p) + h - rate * d - np.log(cut)
    left = (np.exp(-rate * e) - np.exp(-rate * W)) / cut if e < W else 0.0
    return np.log(1 - p + p * left)


def derivative(function, at, step=1e-6):
    return (function(at + step) - function(at - step)) / (2 * step)


#: (logit, log hazard, conversion, elapsed, delay).
ROWS = [
    (-1.0, 0.3, 0, 2.0, 0.0),
    (0.7, -1.0, 0, 6.5, 0.0),
    (-3.0, -4.0, 0, 0.2, 0.0),
    (2.0, 0.3, 0, 8.0, 0.0),
    (-1.0, 0.3, 1, 5.0, 2.5),
    (0.4, 1.1, 1, 9.0, 0.1),
]


def given(rows):
    s, h, y, e, d = (tf.constant(column, tf.float32) for column in zip(*rows, strict=True))
    head = 12.0 * tf.atanh(h / 12.0)  # the head's logit is bounded softly
    return Clicks(y, s, {"elapsed": e, "conversion_delay": d}, {"hazard": head})


def test_fishers_identity():
    """b sigmoid(s) - a (1 - sigmoid(s)) is minus the derivative of the log-likelihood in s."""
    found = DFMFeedback(window=W).label_weights(given(ROWS))
    p = 1 / (1 + np.exp(-np.array([row[0] for row in ROWS])))
    gradient = found.negative.numpy() * p - found.positive.numpy() * (1 - p)
    for row, value in zip(ROWS, gradient, strict=True):
        s, *rest = row
        exact = -derivative(lambda t, rest=rest: log_likelihood(t, *rest), s)
        assert value == pytest.approx(exact, rel=2e-5, abs=2e-7)


def test_the_hazards_term_is_the_log_likelihood():
    rows = given(ROWS)
    with tf.GradientTape() as tape:
        tape.watch(rows.heads["hazard"])
        ((loss, mask),) = DFMFeedback(window=W).head_losses(rows, rows.heads)
        total = tf.reduce_sum(loss)
    slope = tape.gradient(total, rows.heads["hazard"]).numpy()
    assert mask.numpy().tolist() == [1] * len(ROWS)
    for i, (s, h, y, e, d) in enumerate(ROWS):
        exact = -derivative(lambda t, a=(s, y, e, d): log_likelihood(a[0], t, *a[1:]), h)
        exact *= 1 - np.tanh(np.arctanh(h / 12)) ** 2  # through the bound
        assert slope[i] == pytest.approx(exact, rel=2e-4, abs=1e-6)


def test_without_an_end_of_the_window_it_is_chapelles():
    """q = p exp(-l e) / (1 - p + p exp(-l e)) at p = .2689, l = 1, e = 2."""
    rows = given([(-1.0, 0.0, 0, 2.0, 0.0)])
    found = DFMFeedback(window=1e4).label_weights(rows)
    p = 1 / (1 + np.e)
    expected = p * np.exp(-2) / (1 - p + p * np.exp(-2))
    assert float(found.positive[0]) == pytest.approx(expected, rel=1e-5)  # .0474


def test_silence_of_many_mean_delays_is_a_negative():
    rows = given([(2.0, 5.0, 0, 3.0, 0.0)])  # 148 a day for three days
    found = DFMFeedback(window=W).label_weights(rows)
    assert (float(found.positive[0]), float(found.negative[0])) == (0.0, 1.0)


def test_a_late_negative_at_a_great_logit_is_finite():
    """log(1 - p + p exp(-l e)) is -infinity in float32 there, with a gradient that is no number."""
    rows = given([(40.0, -3.0, 0, 6.9, 0.0)])
    with tf.GradientTape() as tape:
        tape.watch(rows.heads["hazard"])
        ((loss, _),) = DFMFeedback(window=W).head_losses(rows, rows.heads)
    assert np.isfinite(loss.numpy()).all()
    assert np.isfinite(tape.gradient(loss, rows.heads["hazard"]).numpy()).all()
