"""What a plan says about itself, for plans kept as potentials and plans kept as a matrix."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.transport import Plan, Status, match, partial_problem
from idefn_tf.transport.full_problem import finish_whole

pytestmark = pytest.mark.usefixtures("one_by_one")
COST = np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 2.0]], np.float32)


def given(matrix, **options):
    """A plan whose whole matrix is given; column masses are 1/3."""
    problem = partial_problem(COST, kappa=0.5, **options)
    zero, one = tf.constant(0.0), tf.constant(1.0)
    matrix = tf.constant(matrix, tf.float32)
    return finish_whole(problem, matrix, zero, one, tf.constant(7), tf.constant(0))


def test_reading_a_matrix_by_hand():
    plan = given(np.array([[3, 0, 0], [0, 2, 1], [1, 2, 3]]) / 12, virtual_cost=10.0)
    np.testing.assert_allclose(plan.real_rows, np.array([[3, 0, 0], [0, 2, 1]]) / 12, rtol=1e-6)
    np.testing.assert_allclose(plan.virtual_row, np.array([1, 2, 3]) / 12, rtol=1e-6)
    np.testing.assert_allclose(plan.matched_fraction, [0.75, 0.5, 0.25], rtol=1e-6)
    assert plan.argmax.numpy().tolist() == [0, -1, -1]  # the virtual row wins the tie
    row, share = plan.best_match
    assert row.numpy().tolist() == [0, -1, -1]
    np.testing.assert_allclose(share, [0.75, 0.5, 0.75], rtol=1e-6)
    assert float(plan.matched_mass) == pytest.approx(0.5)
    assert float(plan.cost) == pytest.approx((3 * 1 + 2 * 1 + 1 * 2 + 10 * 6) / 12)
    assert int(plan.iterations) == 7
    assert bool(plan.converged)
    assert plan.message.startswith("Both marginals hold")


def test_the_lower_row_wins_among_real_ones():
    plan = given(np.array([[4, 1, 0], [0, 1, 1], [0, 1, 3]]) / 12)
    assert plan.argmax.numpy().tolist() == [0, -1, -1]
    plan = given(np.array([[2, 2, 0], [2, 2, 0], [0, 0, 4]]) / 12)
    assert plan.argmax.numpy().tolist() == [0, 0, -1]


def test_a_matrix_that_is_not_finite_is_never_passed_on():
    plan = given(np.array([[np.nan, 0, 0], [0, 2, 1], [1, 2, 3]]) / 12)
    assert int(plan.status) == Status.NOT_FINITE
    assert not plan.real_rows.numpy().any()
    np.testing.assert_allclose(plan.virtual_row, [1 / 3] * 3)


def test_properties_agree_with_the_matrix_of_a_plan_kept_as_potentials():
    cost = np.random.default_rng(0).random((6, 50)).astype(np.float32)
    plan = match(cost, kappa=0.3)
    matrix = plan.matrix.numpy()
    real, virtual = matrix[:-1], matrix[-1]
    np.testing.assert_allclose(plan.real_rows, real)
    np.testing.assert_allclose(plan.virtual_row, virtual)
    np.testing.assert_allclose(matrix.sum(0), 1 / 50, rtol=1e-5)
    np.testing.assert_allclose(plan.matched_fraction, real.sum(0) * 50, atol=1e-6)
    expected = np.where(real.max(0) > virtual, real.argmax(0), -1)
    np.testing.assert_array_equal(plan.argmax, expected)
    row, share = plan.best_match
    np.testing.assert_array_equal(row, expected)
    np.testing.assert_allclose(share, matrix.max(0) * 50, atol=1e-6)
    assert float(plan.matched_mass) == pytest.approx(0.3, rel=1e-3)
    assert float(plan.cost) == pytest.approx((real * cost).sum(), rel=1e-5)


@pytest.mark.xla  # for its programs
def test_a_plan_crosses_the_border_of_a_graph():
    plan = tf.function(lambda cost: match(cost, kappa=0.3))(tf.constant(COST))
    assert isinstance(plan, Plan)
    assert plan.matrix.shape == (3, 3)


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_message_with_a_cure(status):
    assert len(status.message) > 30
