"""Marginals as printed, as meant, and as given; caps and refusals."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.transport import partial_problem

COST = np.arange(12.0).reshape(3, 4).astype(np.float32)


def test_proportion_shares_kappa_among_the_positives():
    problem = partial_problem(COST, kappa=0.3)
    np.testing.assert_allclose(problem.row_mass, [0.1] * 3, rtol=1e-6)
    np.testing.assert_allclose(problem.column_mass, [0.25] * 4)
    assert float(problem.virtual_mass) == pytest.approx(0.7)
    assert not bool(problem.capped)


def test_literal_gives_each_positive_kappa_over_unclicked():
    problem = partial_problem(COST, kappa=0.2, marginals="literal")
    np.testing.assert_allclose(problem.row_mass, [0.05] * 3, rtol=1e-6)
    assert float(problem.virtual_mass) == pytest.approx(1 - 0.2 * 3 / 4)


def test_masks_leave_out_padding():
    problem = partial_problem(
        COST, kappa=0.3, row_mask=[True, False, True], column_mask=[True, True, False, False]
    )
    np.testing.assert_allclose(problem.row_mass, [0.15, 0, 0.15], rtol=1e-6)
    np.testing.assert_allclose(problem.column_mass, [0.5, 0.5, 0, 0])
    reduced = problem.reduced_cost.numpy()
    assert reduced.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_explicit_masses_leave_the_rest_to_the_virtual_row():
    problem = partial_problem(COST, marginals=([0.1, 0.0, 0.3], [0.4, 0.0, 0.2, 0.4]))
    assert float(problem.virtual_mass) == pytest.approx(0.6)
    assert problem.column_mask.numpy().tolist() == [True, False, True, True]


def test_a_fully_matched_problem_has_no_virtual_mass_in_spite_of_rounding():
    problem = partial_problem(np.ones((7, 11), np.float32), kappa=1.0)
    assert float(problem.virtual_mass) == 0


@pytest.mark.parametrize("marginals", ["proportion", "literal"])
def test_a_wish_beyond_the_columns_mass_is_cut_to_half_and_reported(marginals):
    problem = partial_problem(COST, kappa=tf.constant(1.7), marginals=marginals)
    assert bool(problem.capped)
    assert float(problem.matched_mass) == pytest.approx(0.5)
    assert float(problem.virtual_mass) == pytest.approx(0.5)


def test_python_numbers_keep_their_digits_in_float64():
    problem = partial_problem(COST.astype(np.float64), kappa=0.1)
    assert float(problem.matched_mass) == pytest.approx(0.1, abs=1e-16)


def test_the_reduced_cost_keeps_forbidden_pairs_forbidden():
    cost = np.array([[np.inf, 5.0], [np.inf, np.inf]], np.float32)
    reduced = partial_problem(cost, kappa=0.1).reduced_cost.numpy()
    assert np.isposinf(reduced[0, 0])
    assert reduced[0, 1] == 0
    assert np.isposinf(reduced[1]).all()


@pytest.mark.parametrize(
    ("cost", "options", "message"),
    [
        (np.ones(4), {"kappa": 0.1}, r"cost: must be a matrix.*\(4,\)"),
        (COST, {}, r"kappa: must be given"),
        (COST, {"kappa": 1.5}, r"kappa:.*\[0, 1\].*1\.5"),
        (COST, {"kappa": -0.1}, r"kappa: must be"),
        (COST, {"kappa": float("nan")}, r"kappa:.*nan"),
        (COST, {"kappa": np.float32(2)}, r"kappa:.*2\.0"),
        (COST, {"kappa": "some"}, r"kappa:.*'some'.*0\.02"),
        (COST, {"kappa": [0.1, 0.2]}, r"kappa:.*one number"),
        (COST, {"kappa": True}, r"kappa:.*True"),
        (COST, {"kappa": tf.constant([0.1])}, r"kappa:.*shape \(1,\)"),
        (COST, {"kappa": 0.1, "row_mask": [True]}, r"row_mask:.*\[3\].*\(1,\)"),
        (COST, {"kappa": 0.1, "column_mask": [[True] * 4]}, r"column_mask:.*\[4\]"),
        ([[1.0, 2.0], [3.0]], {"kappa": 0.1}, r"cost: must be a rectangular matrix.*asarray"),
        ([["a", "b"]], {"kappa": 0.1}, r"cost:.*string.*asarray"),
        (COST * 1j, {"kappa": 0.1}, r"cost:.*real.*complex"),
        (np.array([[None, 1.0]]), {"kappa": 0.1}, r"cost: must be a rectangular matrix"),
        (np.ones((2, 2, 2)), {"kappa": 0.1}, r"cost: must be a matrix.*\(2, 2, 2\)"),
        (COST, {"kappa": 0.1, "marginals": "r2"}, r"marginals:.*'r2'"),
        (COST, {"marginals": 3}, r"marginals:.*pair"),
        (COST, {"kappa": 0.1, "marginals": ([1, 1, 1], [1, 1, 1, 1])}, r"kappa: must be left out"),
        (COST, {"marginals": ([0.1] * 4, [0.25] * 4)}, r"row_mass:.*\[3\].*virtual"),
        (COST, {"marginals": ([0.1] * 3, [0.25] * 5)}, r"column_mass:.*\[4\]"),
    ],
)
def test_bad_problems_are_refused_by_name(cost, options, message):
    with pytest.raises(ValueError, match=message):
        partial_problem(cost, **options)
