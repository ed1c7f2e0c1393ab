"""The network simplex against hand-solved cases and POT's own partial transport."""

import sys
from pathlib import Path

import numpy as np
import ot
import pytest
import tensorflow as tf

from idefn_tf.transport import SolverOptions, Status, exact, match, partial_problem

sys.path.insert(0, str(Path(__file__).parents[1]))
from problems import CLOUDS, true_error, whole_marginals

pytestmark = pytest.mark.usefixtures("one_by_one")


def test_two_by_three_by_hand():
    plan = match([[1.0, 2.0, 10.0], [8.0, 1.0, 3.0]], kappa=2 / 3, solver="exact")
    np.testing.assert_allclose(plan.matrix, np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]) / 3)
    assert float(plan.cost) == pytest.approx(2 / 3)
    assert float(plan.epsilon) == 0


def test_three_by_four_by_hand():
    cost = [[0.0, 1.0, 9.0, 9.0], [0.0, 3.0, 9.0, 9.0], [9.0, 9.0, 1.0, 9.0]]
    plan = match(cost, kappa=0.75, solver="exact")
    assert plan.argmax.numpy().tolist() == [1, 0, 2, -1]
    assert float(plan.cost) == pytest.approx(0.5)
    assert plan.matched_fraction.numpy().tolist() == pytest.approx([1, 1, 1, 0])


@pytest.mark.parametrize("name", sorted(CLOUDS))
@pytest.mark.parametrize("kappa", [0.02, 0.3])
def test_cost_and_plan_are_those_of_partial_wasserstein(name, kappa):
    rows, columns = 12, 150
    cost = CLOUDS[name](rows, columns)
    a, b = whole_marginals(rows, columns, kappa)
    theirs = ot.partial.partial_wasserstein(a[:-1], b, cost, m=kappa * (1 - 1e-9), nb_dummies=1)
    for options in ({"solver": "exact"}, {"tight": True}):
        plan = match(cost, kappa=kappa, **options)
        assert bool(plan.converged)
        assert true_error(plan.matrix, a, b) < 1e-3 * kappa
        assert float(plan.cost) == pytest.approx((theirs * cost).sum(), rel=1e-3, abs=1e-3)
        if "solver" in options and name != "zipf":  # where rows repeat, plans of one cost differ
            np.testing.assert_allclose(plan.real_rows, theirs, atol=1e-6 * kappa)


def test_rows_columns_and_pairs_that_may_not_move():
    cost = np.random.default_rng(0).random((4, 6))
    cost[0, :3] = np.inf
    marginals = ([0.2, 0.0, 0.1, 0.1], [0.2, 0.2, 0.0, 0.2, 0.2, 0.2])
    plan = match(cost, marginals=marginals, solver="exact")
    matrix = plan.matrix.numpy()
    assert bool(plan.converged)
    np.testing.assert_allclose(matrix.sum(1), [0.2, 0, 0.1, 0.1, 0.6])
    np.testing.assert_allclose(matrix.sum(0), marginals[1])
    assert not matrix[0, :3].any()


def test_a_problem_that_only_forbidden_pairs_could_solve_is_infeasible():
    cost = np.full((2, 3), np.inf)
    cost[:, 0] = 1.0  # two rows of .3 each, one allowed column of 1/3
    plan = match(cost, kappa=0.6, solver="exact")
    assert int(plan.status) == Status.INFEASIBLE
    assert not plan.real_rows.numpy().any()


def test_a_simplex_that_was_stopped_says_so():
    cost = CLOUDS["gaussian"](20, 200)
    plan = match(cost, kappa=0.5, solver="exact", max_iterations=1)
    assert int(plan.status) == Status.ITERATION_LIMIT
    assert np.isfinite(plan.matrix.numpy()).all()


@pytest.mark.xla  # for its programs
def test_it_works_inside_a_graph_with_masks():
    @tf.function
    def run(cost):
        problem = partial_problem(
            cost, kappa=0.5, row_mask=[True, False], column_mask=[True, True, False]
        )
        plan = exact(problem)
        return plan.matrix, plan.status

    matrix, status = run(tf.constant([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    assert int(status) == Status.CONVERGED
    np.testing.assert_allclose(matrix, [[0, 0.5, 0], [0, 0, 0], [0.5, 0, 0]])


def test_without_pot_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ImportError, match=r"pip install .idefn-tf\[transport-exact\]"):
        match(np.ones((2, 3)), kappa=0.1, options=SolverOptions(solver="exact"))
