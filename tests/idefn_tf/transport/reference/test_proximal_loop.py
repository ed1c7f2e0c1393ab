"""The paper's loops taken literally: the same plans as the fast solvers, only later."""

import sys
from pathlib import Path

import numpy as np
import ot
import pytest
import tensorflow as tf

from idefn_tf.transport import (
    SolverOptions,
    Status,
    greenkhorn,
    match,
    partial_problem,
    proximal,
    proximal_literal,
    sinkhorn,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
from problems import gaussian, true_error, whole_marginals

COST = gaussian(5, 40) / 128
KAPPA = 0.2


@pytest.fixture(scope="module")
def problem():
    return partial_problem(COST, kappa=KAPPA)


@pytest.fixture(scope="module")
def greedy(problem):
    """Algorithm 1's plan at epsilon .05, solved to the last digits."""
    return compiled(greenkhorn, problem, epsilon=0.05, tolerance=1e-8, max_iterations=100_000)


def compiled(solver, problem, **options):
    """One program per call: faster than running loops of a thousand turns eagerly."""
    return tf.function(lambda: solver(problem, **options))()


def test_greenkhorn_and_sinkhorn_agree(problem, greedy):
    sweeps = compiled(sinkhorn, problem, epsilon=0.05, tolerance=1e-9, max_iterations=20_000)
    assert int(greedy.status) == int(sweeps.status) == Status.CONVERGED
    np.testing.assert_allclose(greedy.matrix, sweeps.matrix, atol=1e-9)


def test_greenkhorn_reaches_pots(greedy):
    a, b = whole_marginals(5, 40, KAPPA)
    whole = np.vstack([COST, np.zeros(40)])
    theirs = ot.bregman.greenkhorn(a, b, whole, 0.05, numItermax=200_000, stopThr=1e-11)
    np.testing.assert_allclose(greedy.matrix, theirs, atol=1e-8)


def test_greedy_proximal_steps_compose(problem):
    greedy = compiled(
        greenkhorn, problem, epsilon=0.4, steps=4, tolerance=1e-7, max_iterations=100_000
    )
    newton = proximal(problem, epsilon=0.1, tolerance=1e-10)
    np.testing.assert_allclose(greedy.matrix, newton.matrix, atol=1e-7)
    assert float(greedy.epsilon) == pytest.approx(0.1)


def test_algorithm_1_stopped_early_says_so_and_its_error_is_true(problem):
    found = compiled(greenkhorn, problem, epsilon=0.01, max_iterations=10)
    assert int(found.status) == Status.ITERATION_LIMIT
    assert int(found.iterations) == 10
    error = true_error(found.matrix, *whole_marginals(5, 40, KAPPA))
    assert float(found.marginal_error) == pytest.approx(error, rel=1e-6)
    assert error > 1e-3 * KAPPA


def test_literal_steps_solved_well_are_the_fast_solvers_plan(problem):
    literal = compiled(proximal_literal, problem, epsilon=0.4, steps=8, sweeps=5000, tolerance=1e-8)
    fast = proximal(problem, epsilon=0.4, steps=8, tolerance=1e-10)
    assert int(literal.status) == Status.CONVERGED
    np.testing.assert_allclose(literal.matrix, fast.matrix, atol=1e-8)


def test_one_sweep_per_step_comes_to_the_exact_plan_where_no_column_fills_up():
    cost = COST.copy()
    cost[np.arange(5), 7 * np.arange(5)] -= 1  # each row has a favourite of its own
    a, b = whole_marginals(5, 40, 0.1)
    best = ot.emd(a, b, np.vstack([cost, np.zeros(40)]))
    problem = partial_problem(cost, kappa=0.1)
    distance = [
        np.abs(
            compiled(proximal_literal, problem, epsilon=0.5, steps=steps).matrix.numpy() - best
        ).sum()
        for steps in (1, 5, 50)
    ]
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] < 1e-6


def test_one_sweep_per_step_cannot_follow_full_columns_at_small_epsilon(problem):
    found = compiled(proximal_literal, problem, epsilon=0.05, steps=300)
    assert int(found.status) == Status.ITERATION_LIMIT
    more = compiled(proximal_literal, problem, epsilon=0.05, steps=300, sweeps=300)
    assert float(more.marginal_error) < float(found.marginal_error) / 10


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("solver", ["greenkhorn", "proximal_literal"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_epsilon_gives_an_honest_status(solver, dtype):
    found = match(
        COST.astype(dtype),
        kappa=KAPPA,
        options=SolverOptions(solver=solver, epsilon=1e-4, steps=3, max_iterations=50),
    )
    matrix = found.matrix.numpy()
    assert np.isfinite(matrix).all()
    assert int(found.status) in (Status.ITERATION_LIMIT, Status.NOT_FINITE)
    if int(found.status) == Status.ITERATION_LIMIT:
        error = true_error(matrix, *whole_marginals(5, 40, KAPPA))
        assert float(found.marginal_error) == pytest.approx(error, rel=1e-3)
