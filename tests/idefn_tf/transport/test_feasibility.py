"""How much mass the allowed pairs carry: by hand, and against a linear program."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linprog

from idefn_tf.transport import Status, match, partial_problem, solve
from idefn_tf.transport.feasibility import lacking_share, reachable_mass
from idefn_tf.transport.options import SolverOptions

pytestmark = pytest.mark.usefixtures("one_by_one")


def problem(allowed, rows, columns):
    cost = np.where(np.asarray(allowed, bool), 1.0, np.inf)
    return partial_problem(cost, marginals=(rows, columns))


@pytest.mark.parametrize(
    ("allowed", "rows", "columns", "expected"),
    [
        ([[1, 1], [1, 1]], [0.3, 0.4], [0.5, 0.5], 0.7),
        ([[1, 0], [1, 0]], [0.3, 0.4], [0.5, 0.5], 0.5),  # both want the first column
        ([[1, 0], [1, 1]], [0.5, 0.5], [0.5, 0.5], 1.0),  # the second must leave it to the first
        ([[0, 0], [1, 1]], [0.2, 0.4], [0.5, 0.5], 0.4),  # a row that may go nowhere
        ([[0, 0], [1, 1]], [0.0, 0.4], [0.5, 0.5], 0.4),
        ([[1, 1], [1, 0], [1, 0]], [0.4, 0.3, 0.3], [0.5, 0.5], 0.9),
        ([[0, 0], [0, 0]], [0.2, 0.4], [0.5, 0.5], 0.0),
    ],
)
def test_by_hand(allowed, rows, columns, expected):
    asked = problem(allowed, rows, columns)
    assert reachable_mass(asked) == pytest.approx(expected, rel=1e-6)
    assert lacking_share(asked) == pytest.approx(1 - expected / sum(rows), abs=1e-6)


@pytest.mark.parametrize("seed", range(8, 20))  # half of them need a path that takes flow back
def test_against_a_linear_program(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(5, 9)), int(rng.integers(5, 10))
    allowed = rng.random(size) < 0.35
    rows, columns = rng.dirichlet(np.ones(size[0])) * 0.9, rng.dirichlet(np.ones(size[1]))
    limits = np.concatenate(
        [np.kron(np.eye(size[0]), np.ones(size[1])), np.tile(np.eye(size[1]), size[0])]
    )
    found = linprog(
        -np.ones(allowed.size),
        limits,
        np.concatenate([rows, columns]),
        bounds=[(0, 1 if pair else 0) for pair in allowed.ravel()],
    )
    assert reachable_mass(problem(allowed, rows, columns)) == pytest.approx(-found.fun, abs=1e-6)


def test_masses_and_costs_that_are_not_sound_have_no_answer():
    assert reachable_mass(problem([[1, 1]], [-0.1], [0.5, 0.5])) is None
    broken = partial_problem([[np.nan, 1.0]], marginals=([0.1], [0.5, 0.5]))
    assert reachable_mass(broken) is None
    assert lacking_share(broken) == 0.0


#: Three positives that may use one of eight columns: an eighth of the mass, where .5 are asked.
NARROW = np.where(np.arange(8) == 0, 1.0, np.inf) * np.ones((3, 1))


@pytest.mark.parametrize("solver", ["newton", "sinkhorn", "greenkhorn"])
def test_what_no_plan_can_satisfy_is_infeasible(solver):
    plan = match(NARROW, kappa=0.5, solver=solver, max_iterations=50, jit_compile=False)
    assert int(plan.status) == Status.INFEASIBLE
    assert plan.message.endswith("A plan can move 0.125 of the 0.5 asked for.")
    assert not plan.real_rows.numpy().any()
    assert (plan.argmax.numpy() == -1).all()
    assert float(plan.marginal_error) == pytest.approx(1.0)  # .5 at the rows, .5 at the virtual one


def test_what_a_plan_can_satisfy_is_not_called_infeasible():
    plan = match(NARROW, kappa=0.12, solver="newton", max_iterations=1, jit_compile=False)
    assert int(plan.status) in (Status.ITERATION_LIMIT, Status.CONVERGED)
    plan = match(NARROW, kappa=0.1, solver="newton", jit_compile=False)
    assert int(plan.status) == Status.CONVERGED


def test_solve_says_so_too_and_in_a_graph_gives_the_best_plan_reached():
    asked = partial_problem(NARROW, kappa=0.5)
    options = SolverOptions("newton", max_iterations=50)
    assert int(solve(asked, options).status) == Status.INFEASIBLE
    tf.config.run_functions_eagerly(False)
    status, mass = tf.function(lambda: _status_and_mass(solve(asked, options)))()
    assert int(status) == Status.ITERATION_LIMIT
    assert float(mass) == pytest.approx(0.125, rel=1e-3)


def _status_and_mass(plan):
    return plan.status, plan.matched_mass
