"""Closed forms of Eq. 15 and of down-sampled logs, against Eq. 15 itself and by counting."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from idefn_tf.rates import (
    apply_downsampling,
    click_space_cvr,
    correct_downsampling,
    correct_funnel_downsampling,
    entire_space_cvr,
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


CELLS = [  # rows, clicks, conversions, pseudo-positives among the unclicked rows
    (400, 160, 40, 0),
    (500, 50, 30, 3),
    (1000, 20, 1, 7),
]


@pytest.mark.parametrize("alpha", [0.5, 0.8, 1.0])
def test_closed_form_is_the_minimum_of_eq_15(alpha):
    """Eq. 15's CVR part, summed row by row over a log of three kinds of rows, minimised."""
    cell, click, conversion, pseudo = [], [], [], []
    for k, (rows, clicks, conversions, positives) in enumerate(CELLS):
        cell += [k] * rows
        click += [1.0] * clicks + [0.0] * (rows - clicks)
        conversion += [1.0] * conversions + [0.0] * (rows - conversions)
        pseudo += [0.0] * (rows - positives) + [1.0] * positives
    cell, click, conversion, pseudo = map(np.array, (cell, click, conversion, pseudo))

    def eq_15(logit):
        z = logit[cell]
        on_clicked = np.sum(click * (np.logaddexp(0, z) - conversion * z))
        on_unclicked = np.sum((1 - click) * (np.logaddexp(0, z) - pseudo * z))
        return (alpha * on_clicked + (1 - alpha) * on_unclicked) / len(cell)

    best = sigmoid(minimize(eq_15, np.zeros(3), tol=1e-14, options={"gtol": 1e-9}).x)
    rows, clicks, conversions, positives = np.array(CELLS, float).T
    ctr, p_o, q = clicks / rows, conversions / clicks, positives / (rows - clicks)
    np.testing.assert_allclose(entire_space_cvr(p_o, ctr, alpha, q), best, atol=1e-5)
    np.testing.assert_allclose(click_space_cvr(best, ctr, alpha, q), p_o, atol=1e-3)
    # Taken for 0, q adds its share of the loss.
    surplus = (1 - alpha) * (1 - ctr) * q / (alpha * ctr)
    np.testing.assert_allclose(click_space_cvr(best, ctr, alpha), p_o + surplus, atol=1e-3)


def test_closed_form_by_hand():
    assert click_space_cvr(0.01, 0.04, 0.8) == pytest.approx(0.07)
    assert entire_space_cvr(0.07, 0.04, 0.8) == pytest.approx(0.01)
    # alpha .5: r is CTCVR plus the unclicked share of q
    assert entire_space_cvr(0.3, 0.2, 0.5, 0.1) == pytest.approx(0.2 * 0.3 + 0.8 * 0.1)
    assert click_space_cvr(0.5, 0.01, 0.8) == 1.0
    assert click_space_cvr(0.3, 0.0, 1.0) == pytest.approx(0.3)


chance = st.floats(0, 1)


@settings(max_examples=200, deadline=None)
@given(chance, st.floats(1e-4, 1), st.floats(0.05, 1), st.floats(0, 0.2))
def test_closed_form_round_trip(p_o, ctr, alpha, q):
    r = entire_space_cvr(p_o, ctr, alpha, q)
    assert min(p_o, q) - 1e-12 <= r <= max(p_o, q) + 1e-12
    assert click_space_cvr(r, ctr, alpha, q) == pytest.approx(p_o, abs=1e-7)
    tensors = [tf.constant(value, tf.float64) for value in (p_o, ctr, q)]
    in_graph = entire_space_cvr(tensors[0], tensors[1], alpha, tensors[2])
    assert float(in_graph) == pytest.approx(float(r), abs=1e-14)
    back = click_space_cvr(in_graph, tensors[1], alpha, tensors[2])
    assert float(back) == pytest.approx(p_o, abs=1e-7)


def test_closed_form_keeps_float32_tensors_and_compiles():
    ctr, p_o = tf.constant([0.04, 0.5, 0.0]), tf.constant([0.07, 0.2, 0.1])
    there = tf.function(lambda p, c: entire_space_cvr(p, c, 0.8), jit_compile=True)(p_o, ctr)
    assert there.dtype == tf.float32
    back = click_space_cvr(there, ctr, 0.8)
    np.testing.assert_allclose(back, p_o, rtol=1e-4)


@settings(max_examples=100, deadline=None)
@given(chance, st.floats(1e-3, 1))
def test_downsampling_round_trip(p, rate):
    assert correct_downsampling(apply_downsampling(p, rate), rate) == pytest.approx(p, abs=1e-12)
    assert correct_downsampling(p, rate) <= p
    assert float(correct_downsampling(tf.constant(p, tf.float64), rate)) == pytest.approx(
        float(correct_downsampling(p, rate)), abs=1e-14
    )


def test_downsampling_by_counting():
    """1000 exposures, 100 clicks, 20 conversions; a tenth of the unclicked rows kept."""
    sampled = 100 + 90
    ctr, ctcvr = correct_funnel_downsampling(100 / sampled, 20 / sampled, 0.1)
    assert ctr == pytest.approx(0.1)
    assert ctcvr == pytest.approx(0.02)
    assert correct_downsampling(100 / sampled, 0.1) == pytest.approx(0.1)
    # The probability formula on CTCVR would not count the 80 clicked rows that were kept.
    assert abs(correct_downsampling(20 / sampled, 0.1) - 0.02) > 0.005
    assert apply_downsampling(0.1, 0.1) == pytest.approx(100 / sampled)
    tensors = correct_funnel_downsampling(tf.constant([0.0, 1.0]), tf.constant([0.0, 0.5]), 0.1)
    assert [t.numpy().tolist() for t in tensors] == [[0.0, 1.0], [0.0, 0.5]]
