"""The Open Bandit benchmark on a sample of four rows, and the coverage of an interval."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.policy import interval_coverage, open_bandit


@pytest.fixture
def log(tmp_path):
    """Four exposures of two items, written newest first."""
    rows = pd.DataFrame(
        {
            "timestamp": ["2019-11-24 00:00:04", "2019-11-24 00:00:03", "2019-11-24 00:00:02",
                          "2019-11-24 00:00:01"],
            "item_id": [0, 1, 1, 0],
            "position": [3, 1, 2, 1],
            "click": [1, 0, 1, 0],
            "propensity_score": [0.25, 0.75, 0.5, 0.5],
            "user_feature_0": ["a", "b", "a", "b"],
        }
    )  # fmt: skip
    (tmp_path / "men").mkdir()
    rows.to_csv(tmp_path / "men" / "men.csv")
    return open_bandit.read_log(tmp_path, "men")


def test_the_newer_half_is_valued_and_the_older_half_is_learned_from(log):
    case = open_bandit.case_of(log, "uniform")
    assert case.action.tolist() == [1, 0]
    assert case.exposure.tolist() == [0.75, 0.25]
    assert case.position.tolist() == [0, 2]
    assert case.rates == pytest.approx([50 / 101, 51 / 101])
    found = open_bandit.value(case)
    weight = np.array([0.5 / 0.75, 0.5 / 0.25])
    assert found["ips"] == pytest.approx(weight[1] / 2)
    assert found["snips"] == pytest.approx(weight[1] / weight.sum())
    robust = 0.5 + np.mean(weight * (np.array([0, 1]) - case.rates[case.action]))
    assert found["doubly_robust"] == pytest.approx(robust)
    preferring = open_bandit.case_of(log, "softmax").target
    assert preferring[1] / preferring[0] == pytest.approx(np.exp(1 / 101 / 0.002))


def test_equal_weights_and_many_rewards_are_held_as_often_as_is_said():
    found = interval_coverage.coverage(np.ones(400), 100)
    assert found["share"] == 0.25
    assert 0.91 < found["holds"] < 0.98
    assert interval_coverage.coverage(np.ones(400), 1)["below"] > 0.25
