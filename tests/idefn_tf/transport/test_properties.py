"""Properties that hold for every cost: what hypothesis finds no exception to."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idefn_tf.transport import Status, match, partial_problem, proximal

pytestmark = pytest.mark.usefixtures("one_by_one")
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
KINDS = ("uniform", "normal", "few values", "outliers", "clusters", "huge", "tiny")


@st.composite
def costs(draw, least_rows=1):
    """Cost matrices of many tempers; all sizes share one compiled program."""
    rows = draw(st.integers(least_rows, 8))
    columns = draw(st.integers(1, 128))
    kind = draw(st.sampled_from(KINDS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cost = rng.random((rows, columns))
    if kind == "normal":
        cost = rng.normal(size=(rows, columns)) ** 2
    elif kind == "few values":
        cost = rng.integers(0, 3, (rows, columns)).astype(float)
    elif kind == "outliers":
        cost = np.where(rng.random((rows, columns)) < 0.05, 1e5, cost)
    elif kind == "clusters":
        cost = cost * 0.01 + rng.integers(0, 2, (1, columns))
    elif kind in ("huge", "tiny"):
        cost = cost * (1e15 if kind == "huge" else 1e-15)
    return cost.astype(np.float32)


kappas = st.floats(1e-3, 0.95)


@pytest.mark.xla
@FEW
@given(costs(), kappas, st.sampled_from([("proximal", None), ("newton", 0.01), ("newton", 1e-4)]))
def test_marginals_hold_within_the_tolerance(cost, kappa, how):
    solver, epsilon = how
    plan = match(cost, kappa=kappa, solver=solver, epsilon=epsilon)
    matrix = plan.matrix.numpy().astype(np.float64)
    rows, columns = cost.shape
    assert np.isfinite(matrix).all()
    assert (matrix >= 0).all()
    assert int(plan.status) == Status.CONVERGED
    off = np.abs(matrix[:-1].sum(1) - kappa / rows).sum()
    assert off <= 1.1e-3 * kappa
    np.testing.assert_allclose(matrix.sum(0), 1 / columns, rtol=1e-5)
    fraction = plan.matched_fraction.numpy()
    assert ((fraction >= 0) & (fraction <= 1)).all()


@pytest.mark.xla
@FEW
@given(costs(), kappas, st.integers(0, 2**32 - 1))
def test_permuting_rows_and_columns_permutes_the_plan(cost, kappa, seed):
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(cost.shape[0]), rng.permutation(cost.shape[1])
    options = {"kappa": kappa, "solver": "newton", "epsilon": 0.05, "tolerance": 1e-5}
    plan = match(cost, **options)
    permuted = match(cost[rows][:, columns], **options)
    np.testing.assert_allclose(
        permuted.matched_fraction, plan.matched_fraction.numpy()[columns], atol=2e-3
    )
    np.testing.assert_allclose(
        permuted.real_rows, plan.real_rows.numpy()[rows][:, columns], atol=1e-3 / cost.shape[1]
    )


@FEW
@given(costs(), kappas, st.floats(-100, 100), st.floats(-100, 100))
def test_a_constant_per_row_changes_nothing(cost, kappa, xi, shift):
    """The virtual row's cost xi is such a constant."""
    if cost.max() > 1e6 or cost.max() < 1e-6:
        return  # the shift would drown the digits, or the cost the shift
    plain = partial_problem(cost, kappa=kappa)
    shifted = partial_problem(cost, kappa=kappa, virtual_cost=xi)
    assert np.array_equal(shifted.reduced_cost, plain.reduced_cost)
    moved = partial_problem(cost.astype(np.float64) + shift, kappa=kappa).reduced_cost
    np.testing.assert_allclose(moved, plain.reduced_cost, atol=1e-6 * cost.max())


@FEW
@given(costs(), st.sampled_from(["proportion", "literal"]))
def test_as_kappa_vanishes_so_do_the_labels(cost, marginals):
    plan = match(cost, kappa=1e-6, marginals=marginals)
    assert bool(plan.converged)
    assert (plan.argmax.numpy() == -1).all()
    assert float(plan.matched_mass) < 2e-6 * cost.shape[0]


@FEW
@given(costs(), st.floats(1e-3, 0.5))
def test_the_literal_reading_never_fires_below_one_over_kappa_positives(cost, kappa):
    if cost.shape[0] > 1 / kappa - 1:
        kappa = 1 / (cost.shape[0] + 1.5)
    if cost.shape[0] * kappa > cost.shape[1]:
        return
    plan = match(cost, kappa=kappa, marginals="literal")
    assert bool(plan.converged)
    assert (plan.argmax.numpy() == -1).all()


@pytest.mark.xla
@settings(FEW, max_examples=12)
@given(costs(), st.floats(0.01, 0.6))
def test_newton_sinkhorn_and_greenkhorn_agree(cost, kappa):
    options = {"kappa": kappa, "epsilon": 0.3, "tolerance": 1e-4}
    plans = [
        match(cost.astype(np.float64), solver=solver, max_iterations=limit, **options)
        for solver, limit in (("newton", 300), ("sinkhorn", 5000), ("greenkhorn", 20_000))
    ]
    for plan in plans:
        assert int(plan.status) in (Status.CONVERGED, Status.ITERATION_LIMIT)
        if bool(plan.converged) and bool(plans[0].converged):
            np.testing.assert_allclose(plan.real_rows, plans[0].real_rows, atol=1e-3 * kappa)
    assert bool(plans[0].converged)


@pytest.mark.xla
@settings(FEW, max_examples=12)
@given(costs(), st.floats(0.05, 0.6))
def test_the_sharp_plan_costs_no_more_than_the_exact_one(cost, kappa):
    cost = cost.astype(np.float64)
    best = match(cost, kappa=kappa, solver="exact")
    plan = match(cost, kappa=kappa, tight=True)
    assert bool(plan.converged)
    spread = float(np.median(cost)) or float(cost.mean())
    paid, least = float(plan.cost), float(best.cost)
    assert paid - least <= kappa * (2e-4 * spread + 2e-4 * cost.max())
    assert paid - least >= -kappa * 2e-4 * max(cost.max(), 1e-30)


def test_proximal_steps_sharpen_the_plan():
    cost = np.random.default_rng(0).random((6, 80))
    best = match(cost, kappa=0.3, solver="exact").matrix.numpy()
    problem = partial_problem(cost, kappa=0.3)
    distance = [
        np.abs(proximal(problem, epsilon=0.05, steps=steps, tolerance=1e-8).matrix - best).sum()
        for steps in (1, 10, 100, 1000, 10_000)
    ]
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] == pytest.approx(0, abs=1e-6)
