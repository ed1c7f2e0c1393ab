"""Folds and order statistics against NumPy, at sizes that do not divide evenly."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.transport.reductions import (
    fold_all,
    fold_columns,
    fold_rows,
    log_sum_exp_columns,
    order_statistic,
)

FOLDS = {
    "add": (tf.add, np.sum, 0.0),
    "maximum": (tf.maximum, np.max, float("-inf")),
    "minimum": (tf.minimum, np.min, float("inf")),
}


@pytest.mark.parametrize("name", sorted(FOLDS))
@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (17, 3), (64, 130), (257, 1000)])
def test_folds_are_reductions(name, shape):
    ours, theirs, identity = FOLDS[name]
    matrix = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(fold_rows(ours, matrix, identity), theirs(matrix, axis=0))
    np.testing.assert_allclose(
        fold_columns(ours, tf.constant(matrix), identity), theirs(matrix, axis=1)
    )
    np.testing.assert_allclose(fold_all(ours, matrix, identity), theirs(matrix), atol=1e-12)


@pytest.mark.parametrize("name", sorted(FOLDS))
def test_an_empty_side_gives_the_identity(name):
    combine, _, identity = FOLDS[name]
    assert (fold_rows(combine, tf.zeros((0, 3)), identity).numpy() == identity).all()
    assert (fold_columns(combine, tf.zeros((3, 0)), identity).numpy() == identity).all()


def test_an_unknown_number_of_columns_is_reduced_too():
    @tf.function(input_signature=[tf.TensorSpec([3, None])])
    def total(matrix):
        return fold_columns(tf.add, matrix, 0)

    np.testing.assert_allclose(total(tf.ones((3, 11))), [11.0] * 3)


def test_log_sum_exp_survives_what_overflows_and_what_is_forbidden():
    matrix = tf.constant([[1e4, 1e4], [-1e4, -np.inf], [-np.inf, -np.inf]], tf.float64)
    found = log_sum_exp_columns(matrix).numpy()
    np.testing.assert_allclose(found[:2], [1e4 + np.log(2), -1e4])
    assert found[2] == -np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_statistics_are_those_of_a_sort(dtype):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 6, (7, 13)).astype(dtype) * 0.3  # many ties, some zeros
    mask = rng.random((7, 13)) < 0.6
    chosen = np.sort(values[mask])
    find = tf.function(order_statistic)
    for rank in range(1, chosen.size + 1):
        found = find(tf.constant(values), tf.constant(mask), tf.constant(rank))
        assert found.numpy() == chosen[rank - 1]
    assert order_statistic(tf.constant(values), tf.constant(mask), tf.constant(0)).numpy() == 0
