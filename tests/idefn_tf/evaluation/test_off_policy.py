"""Off-policy estimators: hand-computed cases, and a bandit whose truth is known."""

import numpy as np
import pytest

from idefn_tf.evaluation import (
    doubly_robust,
    effective_sample_size,
    importance_weights,
    ips,
    snips,
    softmax_policy,
)

REWARD = [1.0, 0.0, 1.0, 0.0]
#: pi / p by hand: .2/.4, .6/.3, .3/.1, 0/.5
WEIGHT = importance_weights([0.2, 0.6, 0.3, 0.0], [0.4, 0.3, 0.1, 0.5])


def test_estimates_by_hand():
    assert pytest.approx([0.5, 2.0, 3.0, 0.0]) == WEIGHT
    assert ips(REWARD, WEIGHT) == pytest.approx(3.5 / 4)
    assert snips(REWARD, WEIGHT) == pytest.approx(3.5 / 5.5)
    # g + w (y - f): .5 + .5 * .6, .3 - 2 * .2, .4 + 3 * .9, .1 - 0
    robust = doubly_robust(REWARD, WEIGHT, [0.4, 0.2, 0.1, 0.3], [0.5, 0.3, 0.4, 0.1])
    assert robust == pytest.approx((0.8 - 0.1 + 3.1 + 0.1) / 4)
    assert effective_sample_size(WEIGHT) == pytest.approx(5.5**2 / (0.25 + 4 + 9))


def test_edges():
    assert np.isnan(ips([], []))
    assert np.isnan(snips([1.0], [0.0]))
    assert np.isnan(doubly_robust([], [], [], []))
    assert effective_sample_size([0.0, 0.0]) == 0.0
    assert effective_sample_size(np.full(7, 3.0)) == pytest.approx(7.0)
    assert ips([[1.0], [0.0]], [2.0, 2.0]) == 1.0  # a model's [rows, 1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: importance_weights([0.5], [0.0]), "exposure: must be above 0 and at most 1"),
        (lambda: importance_weights([0.5], [1.5]), "received 1 of 1 rows"),
        (lambda: importance_weights([0.5], [np.nan]), "exposure: must be above 0"),
        (lambda: importance_weights([-0.5], [0.5]), "target: must be 0 or more"),
        (lambda: importance_weights([0.5, 0.5], [0.5]), "received 1 for 2 rows"),
        (lambda: ips([1.0], [-1.0]), "weight: must be 0 or more, and finite"),
        (lambda: snips([np.nan], [1.0]), "reward: must be finite"),
        (lambda: doubly_robust([1.0], [1.0], [np.inf], [0.0]), "predicted: must be finite"),
        (lambda: doubly_robust([1.0], [1.0], [0.0], [0.0, 1.0]), "expected: must have one entry"),
        (lambda: effective_sample_size([np.inf]), "weight: must be 0 or more, and finite"),
    ],
)
def test_what_is_wrong_is_said(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def _bandit(rows, generator):
    """Contexts of one number, five actions: rewards' probabilities, a logging and a new policy."""
    context = generator.normal(size=rows)
    rate = 1 / (1 + np.exp(-(np.outer(context, np.linspace(-1.5, 1.5, 5)) - 1)))
    logging = softmax_policy(-rate, 0.5)  # prefers what converts least
    policy = softmax_policy(rate, 0.3)
    action = (generator.random((rows, 1)) > logging.cumsum(1)).sum(1)
    reward = (generator.random(rows) < rate[np.arange(rows), action]).astype(float)
    return rate, logging, policy, action, reward


def test_the_truth_of_a_bandit_is_found_where_the_logs_mean_is_far_from_it():
    generator = np.random.default_rng(0)
    errors = {"log": [], "ips": [], "snips": [], "dr, poor model": [], "dr, wrong p": []}
    for _ in range(40):
        rate, logging, policy, action, reward = _bandit(2000, generator)
        at = np.arange(2000), action
        truth = (policy * rate).sum(1).mean()
        weight = importance_weights(policy[at], logging[at])
        poor = np.full_like(rate, 0.5)
        wrong = importance_weights(policy[at], np.full(2000, 0.2))
        found = {
            "log": reward.mean(),
            "ips": ips(reward, weight),
            "snips": snips(reward, weight),
            "dr, poor model": doubly_robust(reward, weight, poor[at], (policy * poor).sum(1)),
            "dr, wrong p": doubly_robust(reward, wrong, rate[at], (policy * rate).sum(1)),
        }
        for name, value in found.items():
            errors[name].append(value - truth)
    assert np.mean(errors["log"]) < -0.15
    for name in ("ips", "snips", "dr, poor model", "dr, wrong p"):
        noise = np.std(errors[name]) / np.sqrt(40)
        assert abs(np.mean(errors[name])) < 3 * noise, name
        assert np.std(errors[name]) < 0.03, name
    assert np.std(errors["snips"]) < np.std(errors["ips"])
