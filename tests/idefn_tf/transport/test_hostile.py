"""What a hostile caller may bring: a right answer, a ValueError, or a status; never NaN.

POT's `emd` is the judge: a converged plan pays at most two thousandths of a typical cost more than
the exact one and meets both marginals.
"""

import numpy as np
import ot
import pytest
import tensorflow as tf

from idefn_tf.transport import Status, match, partial_problem, proximal

pytestmark = pytest.mark.usefixtures("one_by_one")
RNG = np.random.default_rng(0)
PLAIN = RNG.random((6, 100))

RIGHT = {
    "scale 1e30": (PLAIN * 1e30).astype(np.float32),
    "scale 3e38": (PLAIN * 3e38).astype(np.float32),
    "scale 1e-30": (PLAIN * 1e-30).astype(np.float32),
    "scale -1e30": (PLAIN * -1e30).astype(np.float32),
    "differences beyond the largest number": ((PLAIN - 0.5) * 6e38).astype(np.float32),
    "negative": (PLAIN - 0.5).astype(np.float32),
    "all zero": np.zeros((5, 40), np.float32),
    "all equal, huge": np.full((5, 40), 1e30, np.float32),
    "duplicated rows": np.repeat(PLAIN[:1], 8, 0).astype(np.float32),
    "duplicated columns": np.repeat(PLAIN[:, :6], 20, 1).astype(np.float32),
    "one pair": PLAIN[:1, :1].astype(np.float32),
    "one row": PLAIN[:1].astype(np.float32),
    "one column": PLAIN[:, :1].astype(np.float32),
    "two values": RNG.integers(0, 2, (6, 100)),
    "large whole numbers": RNG.integers(0, 2**40, (6, 100)),
    "booleans": RNG.random((6, 100)) < 0.5,
    "bytes": RNG.integers(0, 255, (6, 100)).astype(np.uint8),
    "float16": PLAIN.astype(np.float16),
    "float64 1e200": PLAIN * 1e200,
    "float64 1e-200": PLAIN * 1e-200,
    "every other entry": np.repeat(np.repeat(PLAIN, 2, 0), 2, 1).astype(np.float32)[::2, ::2],
    "Fortran order": np.asfortranarray(PLAIN.astype(np.float32)),
    "forbidden pairs": np.where(RNG.random((6, 100)) < 0.3, np.inf, PLAIN).astype(np.float32),
    "far outliers": np.where(RNG.random((6, 100)) < 0.1, 1e20, PLAIN).astype(np.float32),
    "everyone wants the same columns": np.tile(np.arange(100.0) ** 2, (8, 1)).astype(np.float32),
    "a line": np.abs(np.subtract.outer(np.arange(8), np.arange(120))).astype(np.float32),
}


def judged(plan, cost):
    """Asserts that a converged plan is as good as the exact one."""
    matrix = plan.matrix.numpy().astype(float)
    assert np.isfinite(matrix).all()
    assert np.isfinite(plan.matched_fraction).all()
    assert int(plan.status) == Status.CONVERGED
    cost = np.asarray(cost, float)
    allowed = np.isfinite(cost)
    cost = cost / max(np.abs(cost[allowed]).max(), 1e-300)
    cost = cost - np.where(allowed, cost, np.inf).min(1, keepdims=True)
    unit = np.median(cost[allowed]) or cost[allowed].mean() or 1.0
    cost = np.where(allowed, cost / unit, 1e6)
    a = np.append(plan.problem.row_mass, plan.problem.virtual_mass).astype(float)
    b = plan.problem.column_mass.numpy().astype(float)
    a *= b.sum() / a.sum()
    exact = ot.emd(a, b, np.vstack([cost, np.zeros(b.size)]), numItermax=10**7)
    moved = a[:-1].sum()
    assert matrix[:-1][~allowed].sum() == 0
    assert np.abs(matrix[:-1].sum(1) - a[:-1]).sum() <= 3e-3 * moved
    np.testing.assert_allclose(matrix.sum(0), b, rtol=1e-4)
    paid = (matrix[:-1] * np.where(allowed, cost, 0)).sum()
    assert paid - (exact[:-1] * cost).sum() <= 2e-3 * moved


@pytest.mark.parametrize(
    "name", ["far outliers", *(pytest.param(name, marks=pytest.mark.xla) for name in sorted(RIGHT))]
)
def test_the_sharp_plan_is_the_exact_one_up_to_ties(name):
    judged(match(RIGHT[name], kappa=0.1), RIGHT[name])


def test_bfloat16_is_taken():
    cost = tf.cast(PLAIN, tf.bfloat16)
    judged(match(cost, kappa=0.1), tf.cast(cost, tf.float32).numpy())


ANY_KAPPA = ("scale 1e30", "all zero", "duplicated rows", "a line")


@pytest.mark.xla
@pytest.mark.parametrize("kappa", [1e-3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("name", ANY_KAPPA)
def test_kappa_may_lie_anywhere(name, kappa):
    judged(match(RIGHT[name], kappa=kappa), RIGHT[name])


@pytest.mark.parametrize("kappa", [1e-30, 1e-7])
@pytest.mark.parametrize("name", ANY_KAPPA)
def test_a_kappa_near_zero_moves_that_much(name, kappa):
    plan = match(RIGHT[name], kappa=kappa)  # below what `emd` tells from zero
    assert int(plan.status) == Status.CONVERGED
    moved = plan.real_rows.numpy().astype(float)
    assert moved.sum() == pytest.approx(kappa, rel=3e-3)
    assert (plan.argmax.numpy() == -1).all()


def test_a_virtual_cost_that_is_no_number_has_a_status():
    problem = partial_problem(PLAIN, kappa=0.1, virtual_cost=np.nan)
    plan = proximal(problem, epsilon=0.1)
    assert int(plan.status) == Status.NOT_FINITE


def with_entry(value):
    cost = PLAIN.astype(np.float32)
    cost[2, 3] = value
    return cost


@pytest.mark.parametrize(
    ("solver", "dtype"),
    [
        ("proximal", np.float64),
        ("exact", np.float64),
        *(
            pytest.param(solver, np.float32, marks=pytest.mark.xla)
            for solver in ("proximal", "newton", "sinkhorn", "greenkhorn")
        ),
    ],
)
@pytest.mark.parametrize(
    ("cost", "kappa", "status"),
    [
        (with_entry(np.nan), 0.1, Status.NOT_FINITE),
        (with_entry(-np.inf), 0.1, Status.NOT_FINITE),
        (np.where(np.arange(6)[:, None] == 2, np.inf, PLAIN), 0.1, Status.INFEASIBLE),
        (np.zeros((0, 5)), 0.1, Status.NOTHING_TO_MATCH),
        (np.zeros((3, 0)), 0.1, Status.NOTHING_TO_MATCH),
        (PLAIN, 0.0, Status.NOTHING_TO_MATCH),
        (PLAIN, tf.constant(np.nan), Status.NOT_FINITE),
    ],
)
def test_what_has_no_answer_has_a_status(cost, kappa, status, solver, dtype):
    plan = match(cost.astype(dtype), kappa=kappa, solver=solver, max_iterations=100)
    assert int(plan.status) == status
    assert np.isfinite(plan.matrix).all()
    assert np.isfinite(float(plan.marginal_error))
    assert (plan.matched_fraction.numpy() == 0).all()
