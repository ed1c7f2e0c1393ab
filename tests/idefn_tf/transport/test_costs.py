"""Costs against direct computation, and the scale against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.transport import COSTS, cosine, cost_scale, squared_euclidean


def test_squared_euclidean_by_hand():
    x, y = [[0.0, 0.0], [1.0, 2.0]], [[3.0, 4.0], [1.0, 2.0], [0.0, 0.0]]
    assert squared_euclidean(x, y).numpy().tolist() == [[25.0, 5.0, 0.0], [8.0, 0.0, 5.0]]


def test_squared_euclidean_keeps_its_digits_far_from_the_origin():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 8)), rng.normal(size=(7, 8))
    true = ((x[:, None] - y[None]) ** 2).sum(-1)
    shifted = squared_euclidean(
        (x + 1000).astype(np.float32), (y + 1000).astype(np.float32)
    ).numpy()
    np.testing.assert_allclose(shifted, true, rtol=2e-3)
    assert (squared_euclidean(x, x).numpy() >= 0).all()


def test_cosine_by_hand_and_at_the_zero_vector():
    found = cosine([[1.0, 0.0], [0.0, 0.0]], [[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0]]).numpy()
    np.testing.assert_allclose(found, [[0, 1, 2], [1, 1, 1]], atol=1e-6)


@pytest.mark.parametrize("name", sorted(COSTS))
def test_costs_take_empty_sides(name):
    assert COSTS[name](tf.zeros((0, 3)), tf.zeros((4, 3))).shape == (0, 4)
    assert COSTS[name](tf.zeros((2, 3)), tf.zeros((0, 3))).shape == (2, 0)


def all_true(cost):
    return tf.fill([cost.shape[0]], True), tf.fill([cost.shape[1]], True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 129)])
def test_median_and_mean_are_numpys(dtype, shape):
    cost = np.random.default_rng(1).exponential(size=shape).astype(dtype)
    masks = all_true(cost)
    lower_median = np.sort(cost.ravel())[(cost.size + 1) // 2 - 1]
    assert cost_scale(tf.constant(cost), *masks, "median").numpy() == lower_median
    mean = cost_scale(tf.constant(cost), *masks, "mean").numpy()
    assert mean == pytest.approx(cost.mean(), rel=1e-6)
    assert cost_scale(tf.constant(cost), *masks, "none").numpy() == 1


def test_the_scale_looks_at_real_rows_and_columns_only():
    cost = np.full((4, 6), 1e9, np.float32)
    cost[1:3, 2:5] = [[1, 2, 3], [4, 5, 6]]
    rows = tf.constant([False, True, True, False])
    columns = tf.constant([False, False, True, True, True, False])
    assert cost_scale(tf.constant(cost), rows, columns, "median").numpy() == 3
    assert cost_scale(tf.constant(cost), rows, columns, "mean").numpy() == 3.5


def test_one_far_outlier_moves_the_mean_but_not_the_median():
    cost = np.ones((8, 8), np.float32)
    cost[0, 0] = 1e6
    masks = all_true(cost)
    assert cost_scale(tf.constant(cost), *masks, "median").numpy() == 1
    assert cost_scale(tf.constant(cost), *masks, "mean").numpy() > 1e4


@pytest.mark.parametrize("how", ["median", "mean"])
def test_degenerate_costs_have_a_usable_scale(how):
    zeros = tf.zeros((3, 4))
    assert cost_scale(zeros, *all_true(zeros), how).numpy() == 1
    mostly = tf.constant([[0.0, 0.0, 0.0, 8.0]])
    assert cost_scale(mostly, *all_true(mostly), how).numpy() == 2  # the mean
    forbidden = tf.constant([[np.inf, 2.0, np.inf]], tf.float32)
    assert cost_scale(forbidden, *all_true(forbidden), how).numpy() == 2
    nothing = tf.ones((2, 2))
    none = tf.constant([False, False])
    assert cost_scale(nothing, none, none, how).numpy() == 1


def test_no_gradient_flows_through_the_scale():
    cost = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        scale = cost_scale(cost, *all_true(cost), "mean")
    assert tape.gradient(scale, cost) is None


def test_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match=r"scale:.*median.*'max'"):
        cost_scale(tf.ones((1, 1)), *all_true(tf.ones((1, 1))), "max")
