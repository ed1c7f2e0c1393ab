"""Metrics of hours and relative improvements, by hand."""

import numpy as np
import pytest

from pipelines.streaming import curves

ONE = np.ones(4)


def rows(click, conversion, cvr, ctcvr=None):
    cvr = np.array(cvr, float)
    return {
        "click": np.array(click), "conversion": np.array(conversion), "weight": np.ones(len(cvr)),
        "cvr": cvr, "ctcvr": cvr / 2 if ctcvr is None else np.array(ctcvr, float),
    }  # fmt: skip


def test_average_precision():
    """Positives on ranks 1 and 3: (1/1 + 2/3) / 2; all tied: the share of positives."""
    y, s = np.array([0, 1, 1, 0]), np.array([0.8, 0.9, 0.4, 0.2])
    assert curves.pr_auc(y, s, ONE) == pytest.approx((1 + 2 / 3) / 2)
    assert curves.pr_auc(y, np.full(4, 0.5), ONE) == pytest.approx(0.5)
    assert curves.pr_auc(y, s, np.array([1, 1, 1, 7])) == pytest.approx((1 + 2 / 3) / 2)
    assert curves.pr_auc(y, s, np.array([3, 1, 1, 1])) == pytest.approx((1 + 2 / 5) / 2)
    assert np.isnan(curves.pr_auc(np.zeros(4), s, ONE))


def test_an_hour_in_two_spaces():
    found = curves.measure(rows([1, 1, 0, 0], [1, 0, 0, 0], [0.5, 0.25, 0.9, 0.9]))
    assert found["clicked"] == {
        "rows": 2, "conversions": 1, "auc": 1.0, "pr_auc": 1.0, "pcoc": 0.75,
        "log_loss": pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2),
    }  # fmt: skip
    assert found["all_funnel"]["rows"] == 4
    assert found["all_funnel"]["auc"] == pytest.approx(1 / 3)
    assert found["all_funnel"]["pr_auc"] == pytest.approx(1 / 3)


def test_what_is_not_defined_is_none():
    quiet = curves.measure(rows([1, 0], [0, 0], [0.5, 0.5]))["clicked"]
    assert (quiet["auc"], quiet["pr_auc"], quiet["pcoc"]) == (None, None, None)
    assert quiet["log_loss"] == pytest.approx(np.log(2))
    empty = curves.measure(rows([], [], []))["all_funnel"]
    assert empty == {"rows": 0, "conversions": 0, "auc": None, "pr_auc": None,
                     "log_loss": None, "pcoc": None}  # fmt: skip


def test_improvement_is_relative_to_the_two_controls():
    def hour(scores):
        return rows([1, 1, 1], [1, 0, 0], scores)

    hours = [{"method": hour([0.5, 0.6, 0.2]), "pretrained": hour([0.1, 0.2, 0.3]),
              "oracle": hour([0.9, 0.1, 0.1])}] * 2  # fmt: skip
    found = curves.summarize(hours)
    assert [h["method"]["clicked"]["auc"] for h in found["hours"]] == [0.5, 0.5]
    ri = found["ri"]["mean"]
    assert ri["method"]["clicked"]["auc"] == pytest.approx(0.5)  # (.5 - 0) / (1 - 0)
    assert ri["method"]["clicked"]["pr_auc"] == pytest.approx((1 / 2 - 1 / 3) / (1 - 1 / 3))
    assert set(ri["oracle"]["clicked"].values()) == {1.0}
    assert set(ri["pretrained"]["clicked"].values()) == {0.0}
    assert found["pooled"]["method"]["clicked"]["rows"] == 6
    assert "ri" not in curves.summarize([{"method": hour([0.5, 0.6, 0.2])}])


def test_beside_an_oracle_that_is_no_better_there_is_no_improvement():
    """As a ratio of two losses a better method would have a negative one."""

    def hour(auc, loss):
        return {s: {"auc": auc, "pr_auc": 0.5, "log_loss": loss} for s in ("clicked", "all_funnel")}

    pretrained, worse, better = hour(0.7, 0.30), hour(0.6, 0.31), hour(0.8, 0.28)
    none = {"auc": None, "pr_auc": None, "log_loss": None}
    assert curves.improvement(better, pretrained, worse)["clicked"] == none
    found = curves.improvement(worse, pretrained, better)["clicked"]
    assert found == {"auc": pytest.approx(-1), "pr_auc": None, "log_loss": pytest.approx(-0.5)}


def test_hours_count_by_their_rows():
    good = curves.measure(rows([1, 1], [1, 0], [0.9, 0.1]))
    bad = curves.measure(rows([1] * 4, [1, 0, 0, 0], [0.1, 0.9, 0.9, 0.9]))
    none = curves.measure(rows([1] * 9, [0] * 9, [0.1] * 9))
    assert curves.mean([good, bad, none])["clicked"]["auc"] == pytest.approx(2 / 6)
