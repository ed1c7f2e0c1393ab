"""Potentials from column prices: a hub's price by hand, and plans that Newton need not touch."""

import sys
from pathlib import Path

import numpy as np
import ot
import pytest
import tensorflow as tf

from idefn_tf.transport import Status, partial_problem, proximal
from idefn_tf.transport.solvers.column_prices import priced_potential
from idefn_tf.transport.solvers.kernel import absorb, rows_at

sys.path.insert(0, str(Path(__file__).parents[1]))
from problems import CLOUDS, distances, true_error, whole_marginals


def market(cost, kappa, beta, limit=300):
    """Potentials, rounds and the relative L1 error of the rows of their plan."""
    problem = partial_problem(cost, kappa=kappa)
    beta = tf.constant(beta, problem.cost.dtype)
    potential, rounds = priced_potential(problem, problem.reduced_cost, beta, limit)
    kernel = absorb(problem, problem.reduced_cost, beta, potential)
    found = rows_at(kernel, tf.zeros_like(potential))
    return potential.numpy(), int(rounds), float(found.error), found.fraction.numpy()


def test_a_hubs_price_is_what_its_marginal_row_would_pay():
    """Three rows of .4 want column 0; the one that gains least by it (10) takes half elsewhere."""
    cost = np.ones((3, 10)) * 100.0
    cost[:, 0] = 0
    cost[[0, 1, 2], [1, 2, 3]] = [10, 20, 30]
    potential, rounds, error, fraction = market(cost, 0.12, 1.0)
    assert rounds <= 3
    assert error < 1e-2
    assert fraction[0] == pytest.approx(1, abs=1e-3)
    # .4 of row 0 fills up what the others leave of column 0; the rest is a fifth of column 1
    np.testing.assert_allclose(fraction[1:4], [0.2, 0, 0], atol=5e-3)
    # phi_i = log a_i - log b_j + price: rows 1 and 2 pay the price of column 0 for all of it
    price = potential[1] - np.log(0.4)
    assert price == pytest.approx(10 - np.log(1 - 0.2), abs=0.03)


def test_columns_with_room_need_one_look():
    """Every row its own column, of which it takes a quarter: phi = log(.25 / .75)."""
    cost = 50.0 * (1 - np.eye(4, 9))
    potential, rounds, error, fraction = market(cost, 1 / 9, 1.0)
    assert rounds == 1
    assert error < 2e-5
    np.testing.assert_allclose(fraction, [0.25] * 4 + [0] * 5, atol=1e-5)
    np.testing.assert_allclose(potential, np.log(1 / 3), atol=1e-4)


@pytest.mark.parametrize("name", sorted(CLOUDS))
def test_light_rows_on_few_hubs_need_no_newton_step(name):
    """The exact plan at a sharp epsilon after a few rounds and one look at the finished kernel."""
    rows, columns, kappa = 300, 700, 0.02
    cost = CLOUDS[name](rows, columns).astype(np.float32)
    scale = float(np.median(cost))
    problem = partial_problem(cost, kappa=kappa)
    plan = proximal(problem, epsilon=tf.constant(1e-4 * scale), scale=scale)
    _, rounds, error, _ = market(cost, kappa, 1e4 / scale)
    assert error < 1e-3
    assert int(plan.iterations) == rounds + 1
    a, b = whole_marginals(rows, columns, kappa)
    whole = np.vstack([cost.astype(float), np.zeros(columns)])
    best = ot.emd2(a, b, whole, numItermax=10**7)
    assert int(plan.status) == Status.CONVERGED
    assert true_error(plan.matrix, a, b) <= 2e-3 * kappa
    assert abs(float(plan.cost) - best) < 1e-3 * kappa * scale


def hub(rows=200, columns=300, copies=1):
    """Everyone is nearest to the centroid, which `copies` columns share."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, 32)), rng.normal(size=(columns, 32))
    y[:copies] = x.mean(0)
    return distances(x, y)


@pytest.mark.parametrize("copies", [1, 2, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_column_that_everyone_wants(copies, dtype):
    """Most rows must be turned away, also where equal columns bid against each other."""
    cost = hub(copies=copies).astype(dtype)
    assert (cost.argmin(1) < copies).sum() == 100  # room for 30 at most
    scale, kappa = float(np.median(cost)), 0.05
    plan = proximal(partial_problem(cost, kappa=kappa), epsilon=1e-4 * scale, scale=scale)
    assert int(plan.iterations) <= 5
    a, b = whole_marginals(*cost.shape, kappa)
    best = ot.emd2(a, b, np.vstack([cost.astype(float), np.zeros(300)]), numItermax=10**7)
    assert int(plan.status) == Status.CONVERGED
    assert true_error(plan.matrix, a, b) <= 2e-3 * kappa
    assert abs(float(plan.cost) - best) < 1e-3 * kappa * scale


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_rounds_end_where_they_must(limit):
    cost = hub(copies=5)
    potential, rounds, _, _ = market(cost, 0.05, 1e4 / np.median(cost), limit)
    assert 1 <= rounds <= limit
    assert np.isfinite(potential).all()


def test_an_equal_share_goes_to_the_virtual_row():
    """Rows ask for a little less than their mass, so rounding decides no tie for them."""
    cost = np.ones((19, 100), np.float32)
    cost[:, 0] = 0
    problem = partial_problem(cost, kappa=0.05, marginals="literal")
    plan = proximal(problem, epsilon=1e-4, scale=1.0)
    assert (plan.argmax.numpy() == -1).all()
    assert float(plan.matched_fraction[0]) == pytest.approx(0.95, abs=1e-4)


def test_no_value_is_compiled_in():
    """XLA compiles a program anew for every value of an index in brackets (StridedSlice)."""

    @tf.function(autograph=False)
    def solve(cost):
        plan = proximal(partial_problem(cost, kappa=0.05), epsilon=1e-4)
        return plan.matched_fraction

    concrete = solve.get_concrete_function(tf.TensorSpec([40, 300], tf.float32))
    graph = concrete.graph.as_graph_def()
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        constants = {node.name for node in nodes if node.op == "Const"}
        for node in nodes:
            if node.op == "StridedSlice":
                assert node.input[1].split(":")[0] in constants
