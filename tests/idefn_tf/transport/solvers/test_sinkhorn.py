"""Sinkhorn's two modes against each other and against POT."""

import sys
from pathlib import Path

import numpy as np
import ot
import pytest
import tensorflow as tf

from idefn_tf.transport import Status, partial_problem, proximal, sinkhorn

sys.path.insert(0, str(Path(__file__).parents[1]))
from problems import gaussian, true_error, whole_marginals

COST = gaussian(7, 90) / 128


def solve(cost, kappa, epsilon, mode, limit, tolerance):
    """One program for each mode and type: numbers go in as tensors."""
    number = cost.dtype.type
    return program(cost, number(kappa), number(epsilon), mode, np.int32(limit), number(tolerance))


@tf.function(reduce_retracing=True)
def program(cost, kappa, epsilon, mode, limit, tolerance):
    problem = partial_problem(cost, kappa=kappa)
    return sinkhorn(problem, epsilon=epsilon, mode=mode, max_iterations=limit, tolerance=tolerance)


@pytest.mark.parametrize("mode", ["log", "kernel"])
@pytest.mark.parametrize("epsilon", [0.5, 0.05, 0.02])
def test_the_plan_is_pots(mode, epsilon):
    a, b = whole_marginals(7, 90, 0.1)
    whole = np.vstack([COST, np.zeros(90)])
    theirs = ot.sinkhorn(
        a, b, whole, epsilon, method="sinkhorn_log", stopThr=1e-12, numItermax=20_000
    )
    ours = solve(COST, 0.1, epsilon, mode, 20_000, 1e-10)
    assert int(ours.status) == Status.CONVERGED
    np.testing.assert_allclose(ours.matrix, theirs, atol=1e-9)


def test_both_modes_make_the_same_iterates():
    for limit in (10, 30):
        log = solve(COST, 0.3, 0.01, "log", limit, 1e-15)
        kernel = solve(COST, 0.3, 0.01, "kernel", limit, 1e-15)
        assert int(log.iterations) == int(kernel.iterations) == limit
        np.testing.assert_allclose(log.potential, kernel.potential, atol=1e-8)


def test_newton_finds_sinkhorns_plan():
    slow = solve(COST, 0.1, 0.02, "kernel", 20_000, 1e-10)
    fast = proximal(partial_problem(COST, kappa=0.1), epsilon=0.02, tolerance=1e-10)
    np.testing.assert_allclose(fast.matrix, slow.matrix, atol=1e-10)
    assert int(fast.iterations) < int(slow.iterations)


@pytest.mark.parametrize("mode", ["log", "kernel"])
def test_extreme_epsilon_ends_with_a_status_and_a_true_error(mode):
    found = solve(COST.astype(np.float32), 0.3, 1e-4, mode, 200, 1e-3)
    matrix = found.matrix.numpy()
    assert np.isfinite(matrix).all()
    assert int(found.status) == Status.ITERATION_LIMIT
    error = true_error(matrix, *whole_marginals(7, 90, 0.3))
    assert float(found.marginal_error) == pytest.approx(error, rel=1e-2, abs=1e-5)


def test_a_warm_start_needs_fewer_sweeps():
    problem = partial_problem(COST, kappa=0.2)
    cold = sinkhorn(problem, epsilon=0.02, tolerance=1e-6)
    warm = sinkhorn(problem, epsilon=0.02, tolerance=1e-6, potential=cold.potential)
    assert int(warm.iterations) < int(cold.iterations)
    np.testing.assert_allclose(warm.matrix, cold.matrix, atol=1e-7)


def test_bad_options_are_refused():
    problem = partial_problem(COST, kappa=0.2)
    with pytest.raises(ValueError, match=r"mode:.*'exp'"):
        sinkhorn(problem, epsilon=0.1, mode="exp")
    with pytest.raises(ValueError, match=r"check_every:.*0"):
        sinkhorn(problem, epsilon=0.1, check_every=0)


def test_blocks_of_rows_that_do_not_divide_evenly_change_nothing():
    cost = gaussian(150, 40) / 128  # two blocks of 64 and one of 22
    cost[3, 5:] = np.inf
    mask = np.arange(150) != 7
    plans = [
        tf.function(
            lambda mode=mode: sinkhorn(
                partial_problem(cost, kappa=0.1, row_mask=mask),
                epsilon=0.1,
                mode=mode,
                tolerance=1e-9,
            )
        )()
        for mode in ("log", "kernel")
    ]
    for plan in plans:
        assert int(plan.status) == Status.CONVERGED
    np.testing.assert_allclose(plans[0].matrix, plans[1].matrix, atol=1e-12)
    np.testing.assert_allclose(plans[0].matched_fraction, plans[1].matched_fraction, atol=1e-9)
    assert float(plans[0].marginal_error) < 1e-9
