"""A goal is one number, greater is better, of what selection may see."""

import math

import pytest
from pydantic import ValidationError

from idefn_tf.tuning import Goal

LOGS = {
    "val_all_funnel/cvr_auc": 0.8,
    "val_all_funnel/cvr_logloss": 0.06,
    "val_clicked/cvr_pcoc": 2.0,
    "val_clicked/cvr_ks": 0.4,
}


def test_a_name_is_that_metric():
    assert Goal.model_validate("all_funnel/cvr_auc").score(LOGS) == 0.8
    assert Goal().score(LOGS) == 0.8


def test_weights_turn_everything_towards_better():
    goal = Goal.model_validate(
        {"all_funnel/cvr_auc": 1, "all_funnel/cvr_logloss": 2, "clicked/cvr_pcoc": 0.1}
    )
    assert goal.score(LOGS) == pytest.approx(0.8 - 2 * 0.06 - 0.1 * math.log(2.0))


def test_too_high_and_too_low_a_pcoc_cost_the_same():
    goal = Goal.model_validate("clicked/cvr_pcoc")
    assert goal.score({"val_clicked/cvr_pcoc": 0.5}) == pytest.approx(-math.log(2.0))
    assert goal.score({"val_clicked/cvr_pcoc": 1.0}) == 0.0
    assert math.isnan(goal.score({"val_clicked/cvr_pcoc": 0.0}))
    assert math.isnan(goal.score({"val_clicked/cvr_pcoc": math.nan}))


def test_what_early_stopping_may_watch_in_its_place():
    assert Goal.model_validate("clicked/cvr_ks").monitor == ("clicked", "cvr_ks")
    assert Goal.model_validate("clicked/cvr_pcoc").monitor == ("clicked", "cvr_pcoc")
    assert Goal.model_validate("all_funnel/ctcvr_auc").monitor is None
    assert Goal.model_validate({"all_funnel/cvr_auc": 1, "clicked/cvr_ks": 1}).monitor is None


@pytest.mark.parametrize("space", ["all_raw", "unclicked_raw", "oracle"])
def test_what_only_reports_may_see_is_refused(space):
    with pytest.raises(ValidationError, match="for reports only"):
        Goal.model_validate(f"{space}/cvr_auc")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("cvr_auc", "must look like"),
        ("moon/cvr_auc", "moon"),
        ("clicked/ctr_auc", "not reported on validation"),
        ({"all_funnel/cvr_auc": 0}, "above 0"),
        ({"all_funnel/cvr_auc": -1}, "above 0"),
        ({"terms": {}}, "at least one"),
    ],
)
def test_wrong_goals_are_refused_by_name(value, words):
    with pytest.raises(ValidationError, match=words):
        Goal.model_validate(value)


def test_a_missing_metric_is_named():
    with pytest.raises(ValueError, match=r"val_clicked/cvr_auc.*validation_data"):
        Goal.model_validate("clicked/cvr_auc").score(LOGS)


def test_it_reads_its_own_form_again():
    goal = Goal.model_validate({"all_funnel/cvr_auc": 1.0, "clicked/cvr_pcoc": 0.02})
    assert Goal.model_validate(goal.model_dump()) == goal
    assert str(goal) == "1 all_funnel/cvr_auc + 0.02 clicked/cvr_pcoc"
