"""Rejection prices: by hand, against a linear program of their own form, and at the edges."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linprog

from idefn_tf.transport import SolverOptions, Status, partial_problem
from idefn_tf.transport.rejection_prices import level_of_share, propensity_weights, solve_priced
from tests.idefn_tf.transport.problems import clustered, gaussian

pytestmark = pytest.mark.usefixtures("one_by_one")
#: Costs as they are: prices are then in the same unit.
RAW = SolverOptions(scale="none", epsilon=1e-3, steps=10)


def asked(cost, kappa=1.0, **masks):
    return partial_problem(np.asarray(cost, np.float32), kappa=kappa, **masks)


def accepted(cost, prices, options=RAW, **asking):
    return np.round(solve_priced(asked(cost, **asking), prices, options).matched_fraction, 2)


def test_a_row_is_matched_where_it_costs_less_than_its_own_price():
    # one positive that may fill all three: 0 < 2 and 4 < 5, but 1 is not below .5
    plan = solve_priced(asked([[0, 1, 4]]), [2.0, 0.5, 5.0], RAW)
    np.testing.assert_allclose(plan.matched_fraction, [1, 0, 1], atol=1e-2)
    assert int(plan.status) == Status.CONVERGED
    assert float(plan.matched_mass) == pytest.approx(2 / 3, abs=1e-3)
    np.testing.assert_allclose(tf.reduce_sum(plan.matrix, 0), [1 / 3] * 3, atol=1e-5)
    assert float(plan.problem.matched_mass) == pytest.approx(2 / 3, abs=1e-3)
    assert plan.argmax.numpy().tolist() == [0, -1, 0]


def test_where_capacity_binds_the_greatest_saving_goes_first():
    # one third of the mass fills one column: it saves 2 at the first and 1 at the last
    np.testing.assert_array_equal(accepted([[0, 1, 4]], [2.0, 0.5, 5.0], kappa=1 / 3), [1, 0, 0])
    np.testing.assert_array_equal(accepted([[0, 1, 4]], [2.0, 0.5, 7.0], kappa=1 / 3), [0, 0, 1])


def test_equal_prices_are_one_threshold():
    np.testing.assert_array_equal(accepted([[1, 2, 3], [4, 1, 9]], [1.5] * 3), [1, 1, 0])


def test_no_price_rejects_every_row():
    np.testing.assert_array_equal(accepted([[0.5, 1, 4]], [0.0, 0.0, 0.0]), [0, 0, 0])


@pytest.mark.parametrize("solver", ["proximal", "sinkhorn", "greenkhorn", "exact"])
@pytest.mark.parametrize(
    ("rows", "columns", "near"),
    [(2, 6, 6), (20, 280, 154)],
    ids=["all at distance 0", "more than kappa at distance 0"],
)
def test_where_more_than_kappa_lie_at_distance_0_nothing_moves(rows, columns, near, solver):
    # the level is the ratio of the row at rank .3 U, 0: every price is 0, and M - p = 0 a tie
    cost = np.where(np.arange(columns) < near, 0.0, 4.0) * np.ones([rows, 1])
    weights = tf.constant(np.random.default_rng(0).uniform(0.3, 1, columns), tf.float32)
    problem = asked(cost)
    level = level_of_share(problem, weights, tf.constant(0.3))
    assert float(level) == 0
    plan = solve_priced(problem, level * weights, SolverOptions(solver=solver))
    assert int(plan.status) == Status.CONVERGED
    np.testing.assert_array_equal(plan.matched_fraction, np.zeros(columns))
    np.testing.assert_allclose(tf.reduce_sum(plan.matrix, 0), np.full(columns, 1 / columns), 1e-6)
    assert set(plan.argmax.numpy().tolist()) == {-1}


def test_a_row_at_price_0_leaves_the_others_their_matches():
    np.testing.assert_array_equal(accepted([[0, 0, 0, 1]], [0.0, 1.0, -1.0, 2.0]), [0, 1, 0, 1])


@pytest.mark.parametrize("cloud", [gaussian, clustered])
@pytest.mark.parametrize(("kappa", "marginals"), [(1.0, "proportion"), (1.0, "literal")])
def test_the_plan_costs_what_the_linear_program_does(cloud, kappa, marginals):
    """min sum pi (M - p), rows at most a, columns at most b: inequalities, no rejection column."""
    rows, columns = 6, 30
    cost = cloud(rows, columns, seed=2, width=4)
    prices = np.quantile(cost, 0.3) * np.random.default_rng(0).uniform(0.2, 1.5, columns)
    problem = partial_problem(cost, kappa=kappa, marginals=marginals)  # float64
    plan = solve_priced(problem, prices, SolverOptions(steps=2000, tolerance=1e-5))
    saving = cost - prices
    upper = np.r_[problem.row_mass, problem.column_mass]
    at_most = np.r_[
        np.kron(np.eye(rows), np.ones(columns)), np.kron(np.ones(rows), np.eye(columns))
    ]
    best = linprog(saving.ravel(), A_ub=at_most, b_ub=upper)
    assert best.status == 0
    own = float(np.sum(plan.real_rows * saving))
    assert own == pytest.approx(best.fun, rel=2e-3)
    assert best.fun < 0
    fraction = best.x.reshape(rows, columns).sum(0) * columns
    np.testing.assert_allclose(plan.matched_fraction, fraction, atol=0.03)
    assert 3 < fraction.sum() < columns - 3


def test_prices_are_in_the_costs_unit_whatever_the_scale():
    for factor in (1.0, 1e4):
        cost = factor * np.array([[0.0, 1, 8], [3, 2, 4]])
        found = accepted(cost, factor * np.array([1.0, 0.5, 9.0]), SolverOptions())
        np.testing.assert_array_equal(found, [1, 0, 1])


def test_padding_and_masked_columns_take_no_part():
    masks = {"row_mask": [True, False], "column_mask": [True, True, False]}
    found = accepted([[0, 1, 0], [0, 0, 0]], [2.0, 0.5, 5.0], **masks)
    np.testing.assert_array_equal(found, [1, 0, 0])


@pytest.mark.parametrize(
    "masks",
    [{"row_mask": [False]}, {"column_mask": [False, False]}],
    ids=["no positive", "no unclicked row"],
)
def test_nothing_to_match_is_said(masks):
    plan = solve_priced(asked([[0, 1]], **masks), [1.0, 1.0], RAW)
    assert int(plan.status) == Status.NOTHING_TO_MATCH
    np.testing.assert_array_equal(plan.matched_fraction, [0, 0])


def test_one_row_and_one_column():
    np.testing.assert_array_equal(accepted([[0.2]], [0.5]), [1])
    np.testing.assert_array_equal(accepted([[0.8]], [0.5]), [0])


def test_a_forbidden_pair_is_not_matched_at_any_price():
    np.testing.assert_array_equal(accepted([[np.inf, 1.0]], [9.0, 9.0]), [0, 1])


def test_a_cost_that_is_no_number_is_said():
    plan = solve_priced(asked([[np.nan, 1.0]]), [1.0, 1.0], RAW)
    assert int(plan.status) == Status.NOT_FINITE
    np.testing.assert_array_equal(plan.matched_fraction, [0, 0])


def test_weights_are_the_chances_of_no_click():
    found = propensity_weights(tf.constant([0.0, 0.25, 1.0]))
    np.testing.assert_allclose(found, [1.0, 0.75, 1e-6], rtol=1e-4)


@pytest.mark.parametrize(("share", "level"), [(0.0, 0.5), (0.25, 1.5), (0.5, 3.0), (1.0, 20.0)])
def test_the_level_parts_the_ratios_within_the_share_from_those_beyond(share, level):
    # nearest positives at 1, 2, 2, 5; weights 1, 1, .5, .25: ratios 1, 2, 4, 20
    problem = asked([[1, 9, 2, 5], [3, 2, 9, 9]])
    weights = tf.constant([1.0, 1.0, 0.5, 0.25])
    assert float(level_of_share(problem, weights, tf.constant(share))) == level


def test_the_level_reads_real_rows_and_columns_alone():
    masks = {"row_mask": [True, False], "column_mask": [True, True, True, False]}
    problem = asked([[1, 9, 2, 0], [0, 0, 0, 0]], **masks)
    assert float(level_of_share(problem, tf.ones(4), tf.constant(1 / 3))) == 1.5
    none = asked([[1, 9]], row_mask=[False])
    assert float(level_of_share(none, tf.ones(2), tf.constant(0.5))) == 0.0


def test_at_the_shares_level_so_many_rows_are_accepted():
    problem = asked(gaussian(5, 40, width=4))
    weights = tf.constant(np.random.default_rng(1).uniform(0.3, 1, 40), tf.float32)
    level = level_of_share(problem, weights, tf.constant(0.25))
    plan = solve_priced(problem, level * weights, SolverOptions())
    assert np.sum(np.asarray(plan.matched_fraction) > 0.5) == 10
