"""Cross-entropies against float64 by hand, their gradients, and logits at the edge."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf import losses

LOGITS = st.floats(-80, 80, width=32)


def value_and_slopes(function, label, *logits):
    """The loss and its derivatives in each logit, as Python floats."""
    at = [tf.constant([s], tf.float32) for s in logits]
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = function(tf.constant([label], tf.float32), *at)
    return float(value[0]), [float(g[0]) for g in tape.gradient(value, at)]


def log_sigmoid(s):
    return -math.log1p(math.exp(-s)) if s > 0 else s - math.log1p(math.exp(s))


def log_one_minus_product(a, b):
    """log(1 - sigmoid(a) sigmoid(b)) = log(sigmoid(-a) + sigmoid(a) sigmoid(-b))."""
    p = math.exp(log_sigmoid(a) + log_sigmoid(b))
    if p < 0.5:
        return math.log1p(-p)
    first, second = log_sigmoid(-a), log_sigmoid(a) + log_sigmoid(-b)
    top = max(first, second)
    return top + math.log(math.exp(first - top) + math.exp(second - top))


def test_cross_entropy_by_hand():
    # sigmoid(ln 3) = 3/4
    for label, expected in ((1.0, -math.log(0.75)), (0.0, -math.log(0.25))):
        value, (slope,) = value_and_slopes(losses.cross_entropy, label, math.log(3))
        assert value == pytest.approx(expected, rel=1e-6)
        assert slope == pytest.approx(0.75 - label, rel=1e-6)
    value, (slope,) = value_and_slopes(losses.cross_entropy, 0.3, math.log(3))
    assert value == pytest.approx(-0.3 * math.log(0.75) - 0.7 * math.log(0.25), rel=1e-6)
    assert slope == pytest.approx(0.45, rel=1e-6)


@pytest.mark.parametrize(("label", "logit", "loss"), [(1, 100, 0), (0, 100, 100), (1, -100, 100)])
def test_cross_entropy_is_linear_where_the_sigmoid_is_flat(label, logit, loss):
    value, (slope,) = value_and_slopes(losses.cross_entropy, label, logit)
    assert value == pytest.approx(loss, abs=1e-6)
    assert slope == pytest.approx(1 / (1 + math.exp(-logit)) - label, abs=1e-6)


@settings(max_examples=150, deadline=None)
@given(LOGITS, LOGITS, st.sampled_from([0.0, 1.0]))
def test_product_cross_entropy_equals_float64_with_its_gradient(a, b, label):
    value, slopes = value_and_slopes(losses.product_cross_entropy, label, a, b)
    log_p, log_q = log_sigmoid(a) + log_sigmoid(b), log_one_minus_product(a, b)
    expected = -log_p if label else -log_q
    assert value == pytest.approx(expected, rel=3e-5, abs=1e-30)
    for slope, own in zip(slopes, (a, b), strict=True):
        away = math.exp(log_sigmoid(-own))  # 1 - sigmoid(own)
        # d(-log p) = -(1 - sigmoid); d(-log(1 - p)) = p (1 - sigmoid) / (1 - p)
        exact = -away if label else math.exp(log_p - log_q) * away
        assert slope == pytest.approx(exact, rel=6e-5, abs=1e-30)


def test_a_wrong_certain_product_still_learns():
    """Both towers sure of a conversion that was none: the gradient must not vanish."""
    for s in (20.0, 40.0, 80.0):
        value, slopes = value_and_slopes(losses.product_cross_entropy, 0.0, s, s)
        assert value == pytest.approx(s - math.log(2), rel=1e-6)
        assert slopes == pytest.approx([0.5, 0.5], rel=1e-5)


def test_a_tiny_product_keeps_its_digits():
    value, _ = value_and_slopes(losses.product_cross_entropy, 0.0, -12.0, -13.0)
    p = 1 / (1 + math.exp(12)) / (1 + math.exp(13))  # 1.4e-11, lost in 1 - p in float32
    assert value == pytest.approx(p, rel=1e-5)


@pytest.mark.parametrize("logit", [0.0, 1.7, -2.3, 30.0, -100.0])
def test_entropy_and_its_gradient(logit):
    with tf.GradientTape() as tape:
        s = tf.constant([logit])
        tape.watch(s)
        value = losses.entropy(s)
    slope = float(tape.gradient(value, s)[0])
    p = 1 / (1 + math.exp(-logit)) if logit > -50 else math.exp(logit)
    entropy = -p * math.log(p) - (1 - p) * math.log1p(-p) if 0 < p < 1 - 1e-12 else 0.0
    assert float(value[0]) == pytest.approx(entropy, rel=1e-5, abs=2e-6)
    assert slope == pytest.approx(-logit * p * (1 - p), rel=1e-5, abs=1e-10)
    assert np.isfinite(slope)


def test_losses_run_inside_xla():
    program = tf.function(losses.product_cross_entropy, jit_compile=True)
    label, a = tf.constant([0.0, 1.0, 0.0]), tf.constant([90.0, -90.0, -3.0])
    plain = losses.product_cross_entropy(label, a, a)
    np.testing.assert_allclose(program(label, a, a), plain, rtol=1e-6)
