"""The one door: names, options, shapes and types."""

import numpy as np
import pytest

from idefn_tf.transport import TIGHT, SolverOptions, Status, match
from idefn_tf.transport.options import SOLVERS

pytestmark = pytest.mark.usefixtures("one_by_one")
COST = np.random.default_rng(0).random((4, 30)).astype(np.float32)


@pytest.mark.parametrize(
    "solver", ["newton", *(pytest.param(solver, marks=pytest.mark.xla) for solver in SOLVERS)]
)
def test_every_solver_fills_the_same_plan(solver):
    plan = match(COST, kappa=0.1, solver=solver, epsilon=0.1, max_iterations=20_000)
    assert plan.matrix.shape == (5, 30)
    assert plan.matched_fraction.shape == plan.argmax.shape == (30,)
    assert int(plan.status) == Status.CONVERGED
    assert float(plan.matched_mass) == pytest.approx(0.1, rel=2e-3)
    np.testing.assert_allclose(plan.matrix.numpy().sum(0), 1 / 30, rtol=5e-3)
    best = match(COST, kappa=0.1, solver="exact")
    assert float(plan.cost) >= float(best.cost) - 1e-4
    assert float(plan.cost) <= float(best.cost) + 0.1 * np.median(COST)


@pytest.mark.xla
def test_uncompiled_agrees_with_compiled():
    compiled = match(COST, kappa=0.2)
    plain = match(COST, kappa=0.2, jit_compile=False)
    np.testing.assert_allclose(plain.matched_fraction, compiled.matched_fraction, atol=1e-3)


@pytest.mark.xla
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (8, 128), (9, 129)])
def test_padding_to_size_classes_does_not_show(shape):
    cost = np.random.default_rng(1).random(shape).astype(np.float32)
    plan = match(cost, kappa=0.2)
    assert plan.matrix.shape == (shape[0] + 1, shape[1])
    assert plan.potential.shape == plan.fine.shape == (shape[0],)
    np.testing.assert_allclose(plan.matrix.numpy().sum(), 1, rtol=1e-5)


@pytest.mark.xla
def test_many_size_classes_are_no_reason_to_warn(caplog):
    """TensorFlow warns of a function that is traced five times, as if it were an accident."""
    for rows, columns in ((8, 128), (16, 128), (32, 128), (8, 256), (16, 256), (32, 256)):
        match(np.ones((rows, columns), np.float32), kappa=0.1, solver="proximal_literal")
    assert not [record for record in caplog.records if "retracing" in record.message]


def test_whole_numbers_and_lists_are_costs_too():
    plan = match([[1, 2, 3], [3, 2, 1]], kappa=2 / 3)
    assert plan.argmax.numpy().tolist() == [0, -1, 1]


def test_tight_is_sharper():
    default, tight = match(COST, kappa=0.2), match(COST, kappa=0.2, tight=True)
    assert float(tight.epsilon) == pytest.approx(float(default.epsilon) / 20, rel=1e-5)
    assert TIGHT.tolerance < SolverOptions().tolerance


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "simplex"}, r"solver: must be.*greenkhorn.*'simplex'"),
        ({"epsilon": 0.0}, r"epsilon: must be.*0"),
        ({"epsilon": "small"}, r"epsilon: must be.*'small'"),
        ({"epsilon": float("nan")}, r"epsilon: must be.*nan"),
        ({"tolerance": -1.0}, r"tolerance: must be.*-1"),
        ({"max_iterations": 0}, r"max_iterations: must be.*0"),
        ({"max_iterations": 2.5}, r"max_iterations: must be.*whole.*2\.5"),
        ({"options": SolverOptions(), "epsilon": 0.1}, r"options: must be given alone"),
        ({"options": SolverOptions(), "solver": "exact"}, r"options: must be given alone"),
        ({"options": SolverOptions(), "tight": True}, r"options: must be given alone"),
    ],
)
def test_bad_options_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        match(COST, kappa=0.1, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"scale": "max"}, r"scale: must be.*'max'"), ({"steps": 0}, r"steps: must be.*0")],
)
def test_bad_solver_options_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        SolverOptions(**options)
