"""The transport benchmark's judge by hand, and what its report calls missed."""

import numpy as np
import pytest

from benchmarks.transport import cells, report


def test_the_judge_counts_both_sides_and_pays_the_real_rows():
    cost = np.array([[2.0, 4.0]], np.float32)
    plan = np.array([[0.02, 0.0], [0.48, 0.5]])  # kappa .02, columns 1/2
    found = cells.plan_metrics(plan, cost)
    assert found == {"error": pytest.approx(0, abs=1e-12), "cost": pytest.approx(0.04)}
    plan[0, 1] = 0.01
    assert cells.plan_metrics(plan, cost)["error"] == pytest.approx(0.02)


def test_costs_are_in_units_of_their_mean_and_never_negative():
    cost = cells.problem(4, 300)
    assert cost.shape == (4, 300)
    assert cost.dtype == np.float32
    assert cost.mean() == pytest.approx(1, rel=1e-5)
    assert cost.min() >= 0
    np.testing.assert_array_equal(cost, cells.problem(4, 300))


def cell(solver, milliseconds, error=1e-6, rows=64, columns=2048, epsilon=0.05):
    place = {"solver": solver, "rows": rows, "columns": columns, "epsilon": epsilon}
    return {**place, "ms": milliseconds, "error": error, "first_ms": 1.0, "peak_mib": 1}


def verdicts(*made):
    """The lines about 64 x 2048 at epsilon .05; all other cells are missing."""
    lines = report.verdicts({"cells": list(made)})
    return [line for line in lines if "64 x 2048, epsilon 0.05" in line]


def test_a_faster_rival_that_reached_the_error_is_a_miss():
    ours, log = cell("idefn_tf newton", 3.0), cell("OTT lse", 2.0)
    assert verdicts(ours, log) == [
        "* 64 x 2048, epsilon 0.05: 3.00 ms, OTT lse 2.00 ms",
        "* 64 x 2048, epsilon 0.05: 3.00 ms, OTT lse 2.00 ms",
    ]
    assert not verdicts(ours, cell("OTT lse", 2.0, error=1e-3))
    assert not verdicts(cell("idefn_tf newton", 1.0), log)


def test_ours_without_the_error_is_a_miss_whatever_its_time():
    (line,) = verdicts(cell("idefn_tf newton", 0.1, error=1e-3))
    assert "did not reach the error" in line


def test_a_time_that_missed_the_error_stands_in_brackets():
    assert report.text(cell("x", 3.456)) == "3.46"
    assert report.text(cell("x", 3.456, error=1e-3)) == "(3.46; error 1e-03)"
    assert report.text({"skipped": "over 10 s"}) == "over 10 s"
    assert report.text(None) == "-"
