"""The value of a policy: by hand, its bootstrap over users, and what it warns of."""

import json

import numpy as np
import pytest

from idefn_tf.evaluation import value_policy


def test_by_hand_with_weights_of_rows():
    model = {"predicted": [0.5, 0.5, 0.5], "expected": [0.4, 0.4, 0.4]}
    found = value_policy([1, 0, 1], [2.0, 1.0, 0.5], **model, sample_weight=[1, 2, 1], draws=0)
    assert found.rows == 3
    assert found.logged == pytest.approx(2 / 4)
    assert found.ips == pytest.approx((2 + 0 + 0.5) / 4)
    assert found.snips == pytest.approx(2.5 / 4.5)
    assert found.doubly_robust == pytest.approx((1.4 + 2 * -0.1 + 0.65) / 4)
    assert found.effective_rows == pytest.approx(4.5**2 / (4 + 4 + 0.25))
    assert found.largest_weight == pytest.approx(2 / 4.5)
    assert found.mean_weight == pytest.approx(4.5 / 4)
    assert found.effective_rewards == pytest.approx(found.effective_rows * 2 / 4)
    assert found.intervals == dict.fromkeys(("logged", "ips", "snips", "doubly_robust"))
    assert value_policy([1, 0], [1.0, 1.0], draws=0).doubly_robust is None


def test_the_ratio_is_drawn_by_users():
    """A user's rows are equal: the interval is that of as many rows as there are users."""
    generator = np.random.default_rng(0)
    reward = (generator.random(100) < 0.4).astype(float)
    weight = generator.choice([0.5, 2.0], 100)
    users = np.repeat(np.arange(100), 20)
    found = value_policy(np.repeat(reward, 20), np.repeat(weight, 20), users=users)
    alone = value_policy(reward, weight)
    low, high = found.intervals["snips"]
    value = np.dot(reward, weight) / weight.sum()
    error = np.sqrt(np.sum((weight * (reward - value)) ** 2)) / weight.sum()
    assert found.snips == pytest.approx(value)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.12)
    assert found.intervals == alone.intervals  # the same draws of 100 clusters
    by_rows = value_policy(np.repeat(reward, 20), np.repeat(weight, 20))
    width = by_rows.intervals["snips"][1] - by_rows.intervals["snips"][0]
    assert width == pytest.approx((high - low) / np.sqrt(20), rel=0.12)


def test_doubtful_estimates_are_warned_of():
    fine = value_policy(np.ones(400), np.ones(400), draws=0)
    assert fine.warnings == ()
    assert fine.effective_rows == pytest.approx(400)
    few = value_policy(np.ones(400), np.r_[np.full(50, 8.0), np.zeros(350)], draws=0)
    assert len(few.warnings) == 1
    assert "effective sample size 50.0 of 400 rows, below 100" in few.warnings[0]
    heavy = value_policy(np.ones(4000), np.r_[400.0, np.full(3999, 0.9)], draws=0)
    assert any("one row holds 10% of all weight" in text for text in heavy.warnings)
    apart = value_policy(np.ones(400), np.full(400, 0.6), draws=0)
    assert apart.warnings == (
        "overlap: the mean weight is 0.60 where 1 is expected; the policy shows what the log could "
        "not, or the exposure probabilities are not those of the log",
    )


def test_few_rewards_in_the_effective_rows_are_warned_of():
    """1,000 rows of equal weight: ten rewards are enough, nine are not, of whatever size."""
    for count, told in ((10, False), (9, True), (0, True)):
        reward = np.r_[np.full(count, 7.5), np.zeros(1000 - count)]
        found = value_policy(reward, np.ones(1000), draws=0)
        assert found.effective_rewards == pytest.approx(count)
        said = f"the effective rows hold {count}.0 rewards, below 10: intervals are too narrow"
        assert [said in text for text in found.warnings] == [True] * told


def test_an_interval_holds_the_value_as_often_as_it_says_from_ten_rewards_on():
    """Weights as of a log that hardly shows half of the items; rewards know nothing of them."""
    rng = np.random.default_rng(0)
    weight = rng.choice([0.6, 6.0], 1000, p=[0.926, 0.074])
    effective = weight.sum() ** 2 / np.dot(weight, weight)
    held = {}
    for rewards in (1, 30):
        share, inside = rewards / effective, []
        for seed in range(80):
            reward = (rng.random(1000) < share).astype(float)
            low, high = value_policy(reward, weight, draws=100, seed=seed).intervals["snips"]
            inside.append(low <= share <= high)
        held[rewards] = np.mean(inside)
    assert held[30] > 0.85 > held[1]


def test_what_is_not_defined_is_none_in_json():
    plain = value_policy([1.0, 0.0], [0.0, 0.0]).as_dict()
    assert plain["snips"] is None
    assert plain["ips"] == 0.0
    assert plain["intervals"]["snips"] is None
    assert json.loads(json.dumps(plain, allow_nan=False))["warnings"] == plain["warnings"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([], []), "reward: must have rows, received none"),
        (([1.0], [1.0], None, None, [1, 2]), "users: must have one entry per row"),
        (([1.0], [1.0], None, None, None, [-1.0]), "sample_weight: must be 0 or more"),
        (([1.0], [1.0], None, None, None, [0.0]), "sample_weight: must be above 0 on one row"),
    ],
)
def test_what_is_wrong_is_said(given, said):
    with pytest.raises(ValueError, match=said):
        value_policy(*given)


def test_one_user_has_no_interval():
    """Each draw of one user is the same: a width of 0 would claim to be sure."""
    found = value_policy([1, 0, 1], [1.0, 1.0, 1.0], users=[7, 7, 7])
    assert found.intervals == {"logged": None, "ips": None, "snips": None}
    assert value_policy([1], [1.0]).intervals["snips"] is None
