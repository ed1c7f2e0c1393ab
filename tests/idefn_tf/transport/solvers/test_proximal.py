"""The default solver against hand-solved cases, the network simplex, and bad weather."""

import sys
from pathlib import Path

import numpy as np
import ot
import pytest
import tensorflow as tf

from idefn_tf.transport import Status, match, partial_problem, proximal
from idefn_tf.transport.options import SOLVERS

sys.path.insert(0, str(Path(__file__).parents[1]))
from problems import CLOUDS, exact_argmax, gaussian, true_error, whole_marginals

pytestmark = pytest.mark.usefixtures("one_by_one")
COMPILED = pytest.mark.xla


def test_two_by_three_by_hand():
    plan = match([[1.0, 2.0, 10.0], [8.0, 1.0, 3.0]], kappa=2 / 3)
    np.testing.assert_allclose(
        plan.matrix, np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]) / 3, atol=1e-3
    )
    assert plan.argmax.numpy().tolist() == [0, 1, -1]
    assert float(plan.cost) == pytest.approx(2 / 3, abs=2e-3)
    assert bool(plan.converged)


def test_three_by_four_by_hand_where_two_positives_want_one_column():
    """Row 0 yields column 0 to row 1, because its second choice is cheaper."""
    cost = [[0.0, 1.0, 9.0, 9.0], [0.0, 3.0, 9.0, 9.0], [9.0, 9.0, 1.0, 9.0]]
    plan = match(cost, kappa=0.75)
    expected = np.zeros((4, 4))
    expected[[1, 0, 2, 3], [0, 1, 2, 3]] = 0.25
    np.testing.assert_allclose(plan.matrix, expected, atol=1e-3)
    assert float(plan.cost) == pytest.approx(0.5, abs=2e-3)


def test_a_row_fills_its_nearest_column_before_the_next():
    plan = match([[1.0, 2.0, 3.0]], kappa=0.5, tight=True)
    np.testing.assert_allclose(plan.matrix[0], [1 / 3, 1 / 6, 0], atol=1e-3)
    np.testing.assert_allclose(plan.matched_fraction, [1, 0.5, 0], atol=2e-3)


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize("name", [*sorted(CLOUDS), pytest.param("zipf", marks=COMPILED)])
def test_labels_are_those_of_the_exact_plan(name, tight):
    labelled = alike = 0
    for seed, rows, columns, kappa in ((0, 64, 2048, 0.05), (1, 40, 1500, 0.1), (2, 60, 2000, 0.3)):
        cost = CLOUDS[name](rows, columns, seed)
        a, b = whole_marginals(rows, columns, kappa)
        whole = np.vstack([cost, np.zeros(columns)])
        best = ot.emd(a, b, whole, numItermax=10**7)
        plan = match(cost.astype(np.float32), kappa=kappa, tight=tight)
        assert int(plan.status) == Status.CONVERGED
        assert true_error(plan.matrix, a, b) <= 2e-3 * kappa
        chosen = exact_argmax(best) >= 0
        labelled += chosen.sum()
        alike += (plan.argmax.numpy()[chosen] >= 0).sum()
        # never dearer than exact by more than the entropy allows, never cheaper
        gap = (float(plan.cost) - (best * whole).sum()) / (kappa * np.median(cost))
        assert -1e-3 < gap < 1e-3
    assert alike >= (0.98 if tight else 0.95) * labelled


def test_steps_compose():
    """T steps at epsilon reach the entropic plan at epsilon / T."""
    problem = partial_problem(gaussian(6, 90), kappa=0.1)
    many = proximal(problem, epsilon=5.0, steps=40, scale=100.0, tolerance=1e-9)
    one = proximal(problem, epsilon=0.125, steps=1, scale=100.0, tolerance=1e-9)
    np.testing.assert_allclose(many.matrix, one.matrix, atol=1e-10)


def test_the_plan_tends_to_the_exact_one():
    cost = gaussian(8, 100)
    a, b = whole_marginals(8, 100, 0.2)
    best = ot.emd(a, b, np.vstack([cost, np.zeros(100)]))
    distance = []
    for epsilon in (1.0, 0.1, 0.01, 1e-3, 1e-4):
        plan = match(cost, kappa=0.2, solver="newton", epsilon=epsilon, tolerance=1e-8)
        distance.append(np.abs(plan.matrix.numpy() - best).sum())
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] < 1e-6


def test_the_virtual_rows_cost_changes_nothing():
    cost = gaussian(5, 60).astype(np.float32)
    plans = [
        proximal(partial_problem(cost, kappa=0.1, virtual_cost=xi), epsilon=0.05, scale=100.0)
        for xi in (0.0, 25.0, -3.0)
    ]
    for plan in plans[1:]:
        np.testing.assert_array_equal(plan.matrix, plans[0].matrix)
    assert float(plans[1].cost - plans[0].cost) == pytest.approx(25 * 0.9, rel=1e-4)


def test_padding_changes_nothing():
    cost = gaussian(5, 60).astype(np.float32)
    padded = np.full((9, 80), 1e3, np.float32)
    padded[:5, :60] = cost
    rows, columns = np.arange(9) < 5, np.arange(80) < 60
    alone = proximal(partial_problem(cost, kappa=0.1), epsilon=0.05, scale=100.0)
    beside = proximal(
        partial_problem(padded, kappa=0.1, row_mask=rows, column_mask=columns),
        epsilon=0.05,
        scale=100.0,
    )
    np.testing.assert_allclose(beside.real_rows[:5, :60], alone.real_rows, atol=1e-6)
    assert not beside.real_rows.numpy()[5:].any()
    assert not beside.matrix.numpy()[:, 60:].any()
    assert (beside.argmax.numpy()[60:] == -1).all()
    assert not beside.matched_fraction.numpy()[60:].any()


def test_float32_agrees_with_float64():
    cost = CLOUDS["zipf"](30, 400)
    single = match(cost.astype(np.float32), kappa=0.1)
    double = match(cost, kappa=0.1)
    np.testing.assert_allclose(single.matched_fraction, double.matched_fraction, atol=5e-3)
    assert float(single.cost) == pytest.approx(float(double.cost), rel=1e-3)


@COMPILED
@pytest.mark.parametrize("compiled", [False, True])
def test_it_works_inside_graphs(compiled):
    cost = tf.constant(gaussian(5, 60), tf.float32)

    @tf.function(jit_compile=compiled)
    def step(cost, kappa):
        plan = match(cost, kappa=kappa)
        return plan.matched_fraction, plan.argmax, plan.converged

    fraction, argmax, converged = step(cost, tf.constant(0.1))
    outside = match(cost, kappa=0.1, jit_compile=compiled)
    assert bool(converged)
    np.testing.assert_allclose(fraction, outside.matched_fraction, atol=2e-3)
    np.testing.assert_array_equal(argmax, outside.argmax)


def test_stopping_early_is_said_and_the_error_is_true():
    cost = gaussian(8, 100).astype(np.float32)
    plan = match(cost, kappa=0.2, max_iterations=3)
    assert int(plan.status) == Status.ITERATION_LIMIT
    assert "max_iterations" in plan.message
    matrix = plan.matrix.numpy()
    error = true_error(matrix, *whole_marginals(8, 100, 0.2))
    assert np.isfinite(matrix).all()
    assert error > 1e-3 * 0.2
    assert float(plan.marginal_error) == pytest.approx(error, rel=1e-3)


def odd_costs():
    rng = np.random.default_rng(0)
    cost = rng.random((6, 40))
    outlier_pairs = np.where(rng.random((6, 40)) < 0.1, 1e8, cost)
    outlier_row, outlier_column = cost.copy(), cost.copy()
    outlier_row[0] += 1e6
    outlier_column[:, 0] += 1e6
    return {
        "one row": cost[:1],
        "one column": cost[:, :1],
        "one pair": cost[:1, :1],
        "equal": np.ones((6, 40)),
        "zero": np.zeros((6, 40)),
        "far pairs": outlier_pairs,
        "far row": outlier_row,
        "far column": outlier_column,
        "repeated rows": np.repeat(cost[:2], 3, axis=0),
        "repeated columns": np.repeat(cost[:, :4], 10, axis=1),
        "small whole numbers": rng.integers(0, 3, (6, 40)).astype(float),
        "tiny": cost * 1e-20,
        "huge": cost * 1e20,
        "negative": cost - 5,
        "rows of every size": cost * 10.0 ** np.arange(-6, 6, 2)[:, None],
        "forbidden pairs": np.where(cost < 0.3, np.inf, cost),
        "a line": (np.arange(6)[:, None] / 6 - np.arange(40) / 40) ** 2,
    }


# Costs over ten orders of magnitude at an epsilon below their last digit: an honest limit will do.
BEYOND_FLOAT32 = [("rows of every size", {"tight": True})]


@COMPILED
@pytest.mark.parametrize("options", [{}, {"solver": "newton", "epsilon": 1e-4}, {"tight": True}])
@pytest.mark.parametrize("name", sorted(odd_costs()))
def test_odd_costs_get_the_right_plan(name, options):
    cost = odd_costs()[name].astype(np.float32)
    rows, columns = cost.shape
    for kappa in (0.01, 0.2, 0.6):
        plan = match(cost, kappa=kappa, **options)
        a, b = whole_marginals(rows, columns, kappa)
        matrix = plan.matrix.numpy()
        assert np.isfinite(matrix).all()
        error = true_error(matrix, a, b)
        if (name, options) in BEYOND_FLOAT32 and int(plan.status) == Status.ITERATION_LIMIT:
            assert float(plan.marginal_error) == pytest.approx(error, rel=1e-2)
            continue
        assert int(plan.status) == Status.CONVERGED
        assert error <= 2.1e-3 * kappa
        assert not matrix[:-1][np.isinf(cost)].any()
        finite = np.where(np.isinf(cost), 1e9, cost).astype(np.float64)
        finite -= finite.min(axis=1, keepdims=True)
        best = ot.emd2(a, b, np.vstack([finite, np.zeros(columns)]))
        scale = np.median(cost[np.isfinite(cost)]) or 1
        paid = (matrix[:-1].astype(np.float64) * finite).sum()
        assert paid - best < 5e-3 * kappa * abs(scale) + 2e-3 * best


def reason(cost, **options):
    plan = match(np.asarray(cost, np.float32), **options)
    matrix = plan.matrix.numpy()
    assert np.isfinite(matrix).all()
    assert np.isfinite(float(plan.marginal_error))
    assert np.isfinite(float(plan.cost))
    assert (plan.argmax.numpy() == -1).all()
    assert not plan.matched_fraction.numpy().any()
    return int(plan.status)


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_cannot_be_solved_says_why(solver):
    ones = np.ones((3, 4))
    assert reason(np.ones((0, 4)), kappa=0.1, solver=solver) == Status.NOTHING_TO_MATCH
    assert reason(np.ones((3, 0)), kappa=0.1, solver=solver) == Status.NOTHING_TO_MATCH
    assert reason(ones, kappa=0.0, solver=solver) == Status.NOTHING_TO_MATCH
    zero = ([0, 0, 0], [0.25] * 4)
    assert reason(ones, marginals=zero, solver=solver) == Status.NOTHING_TO_MATCH
    too_much = ([0.5, 0.5, 0.5], [0.25] * 4)
    assert reason(ones, marginals=too_much, solver=solver) == Status.INFEASIBLE
    negative = ([-0.1, 0.2, 0.2], [0.25] * 4)
    assert reason(ones, marginals=negative, solver=solver) == Status.INFEASIBLE
    walled_in = ones.copy()
    walled_in[1] = np.inf
    assert reason(walled_in, kappa=0.1, solver=solver) == Status.INFEASIBLE
    broken = ones.copy()
    broken[1, 2] = np.nan
    assert reason(broken, kappa=0.1, solver=solver) == Status.NOT_FINITE
    assert reason(-walled_in, kappa=0.1, solver=solver) == Status.NOT_FINITE
    assert reason(ones, kappa=tf.constant(np.nan), solver=solver) == Status.NOT_FINITE


def test_rows_and_columns_without_mass_take_no_part():
    cost = np.random.default_rng(0).random((3, 5)).astype(np.float32)
    cost[1] = np.finfo(np.float32).max  # the row has no mass, so its costs do not matter
    plan = match(cost, marginals=([0.2, 0, 0.1], [0.5, 0, 0.2, 0.3, 0]))
    matrix = plan.matrix.numpy()
    assert bool(plan.converged)
    assert not matrix[1].any()
    assert not matrix[:, [1, 4]].any()
    np.testing.assert_allclose(matrix.sum(1), [0.2, 0, 0.1, 0.7], atol=1e-3)
    np.testing.assert_allclose(matrix.sum(0), [0.5, 0, 0.2, 0.3, 0], atol=1e-6)


def test_literal_marginals_never_fire_below_one_over_kappa_positives():
    """R1: a positive label needs N_P > 1 / kappa - 1, whatever the costs."""
    kappa = 0.05
    for positives in (1, 10, 19):
        cost = np.ones((positives, 100), np.float32)
        cost[:, 0] = 0  # everyone wants column 0
        plan = match(cost, kappa=kappa, marginals="literal", tight=True)
        assert bool(plan.converged)
        assert (plan.argmax.numpy() == -1).all()
    cost = np.ones((25, 100), np.float32)
    cost[:, 0] = 0
    plan = match(cost, kappa=0.05, marginals="literal", tight=True)
    assert plan.argmax.numpy()[0] >= 0


@pytest.mark.parametrize("marginals", ["proportion", "literal"])
def test_as_kappa_vanishes_nothing_is_matched(marginals):
    cost = gaussian(8, 100).astype(np.float32)
    for kappa in (1e-2, 1e-4, 1e-8, 1e-30):
        plan = match(cost, kappa=kappa, marginals=marginals)
        assert bool(plan.converged)
        assert float(plan.matched_mass) <= 2 * max(kappa, kappa * 8 / 100)
    assert (plan.argmax.numpy() == -1).all()
