"""Metric direction: greater is better, whatever the metric."""

import math

import pytest

from idefn_tf.evaluation.worth import worth


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("cvr_auc", 0.7, 0.7),
        ("val_all_funnel/cvr_gauc", 0.6, 0.6),
        ("clicked/cvr_ks", 0.3, 0.3),
        ("ctr_logloss", 0.25, -0.25),
        ("cvr_ece", 0.02, -0.02),
        ("cvr_pcoc", 2.0, -math.log(2.0)),
        ("cvr_pcoc", 0.5, -math.log(2.0)),
        ("cvr_pcoc", 1.0, 0.0),
        ("cvr_pcoc", math.inf, -math.inf),
    ],
)
def test_worth_by_hand(metric, value, expected):
    assert worth(metric, value) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_a_pcoc_that_is_none_is_worth_nothing_known(value):
    assert math.isnan(worth("cvr_pcoc", value))
