"""Stated policies: shares, ties and days by hand, probabilities that sum to 1."""

import numpy as np
import pytest

from idefn_tf.evaluation import (
    argmax_policy,
    snips,
    softmax_policy,
    top_share_weights,
    value_policy,
)


def test_a_row_counts_for_the_pairs_that_it_stands_for():
    # rows stand for 2, 4, 4 and 10 pairs, 20 in all; the top half is 10 of them: rows 0, 1, 2 whole
    exposure = [0.5, 0.25, 0.25, 0.1]
    weight = top_share_weights([0.9, 0.8, 0.7, 0.1], 0.5, exposure)
    assert weight == pytest.approx([0.8, 1.6, 1.6, 0.0])  # (1/p) / (.5 * 5)
    assert weight.mean() == pytest.approx(1.0)
    # of 6 pairs, row 2 has no place: 2 and 4
    weight = top_share_weights([0.9, 0.8, 0.7, 0.1], 0.3, exposure)
    assert weight == pytest.approx([2 / 1.5, 4 / 1.5, 0.0, 0.0])
    # 8 pairs: half of row 2
    weight = top_share_weights([0.9, 0.8, 0.7, 0.1], 0.4, exposure)
    assert weight == pytest.approx([1.0, 2.0, 1.0, 0.0])


def test_a_row_of_a_thinned_log_counts_for_the_rows_that_it_stands_for():
    # 2, 4, 4 and 10 pairs as above, now of one, three, one and no rows of the log: 18 in all
    exposure, counts = [0.5, 0.25, 0.25, 0.1], [1.0, 3.0, 1.0, 0.0]
    weight = top_share_weights([0.9, 0.8, 0.7, 0.1], 0.5, exposure, sample_weight=counts)
    # 9 pairs: row 0 whole, 7 / 12 of row 1; divided by .5 * 18 / 5
    assert weight == pytest.approx([2 / 1.8, 4 * 7 / 12 / 1.8, 0.0, 0.0])
    assert np.dot(weight, counts) == pytest.approx(5.0)
    none = top_share_weights([0.9, 0.8], 0.5, [0.5, 0.5], sample_weight=[0.0, 0.0])
    assert none.tolist() == [0.0, 0.0]


def test_a_thinned_log_tells_the_value_of_the_whole_one():
    """Rows come as often as they count, so both logs are the same one."""
    generator = np.random.default_rng(2)
    score, shown = generator.random(400), generator.choice([0.2, 0.8], 400)
    reward = (generator.random(400) < score).astype(float)
    counts, day = generator.integers(1, 9, 400), generator.integers(0, 3, 400)
    whole = [np.repeat(values, counts) for values in (score, shown, day, reward)]
    expected = snips(whole[3], top_share_weights(whole[0], 0.1, whole[1], whole[2]))
    weight = top_share_weights(score, 0.1, shown, day, counts)
    found = value_policy(reward, weight, sample_weight=counts, draws=0)
    assert found.snips == pytest.approx(expected)
    assert found.ips == pytest.approx(expected)
    assert found.mean_weight == pytest.approx(1.0)


def test_ties_at_the_border_are_shown_in_part_whatever_their_order():
    weight = top_share_weights([0.5, 0.9, 0.5, 0.5], 0.5, np.ones(4))
    assert weight == pytest.approx([2 / 3, 2.0, 2 / 3, 2 / 3])
    assert top_share_weights([0.5] * 4, 0.25, np.ones(4)) == pytest.approx(np.ones(4))


def test_each_day_has_its_own_top_share():
    score, day = [0.9, 0.8, 0.2, 0.1], ["a", "a", "b", "b"]
    assert top_share_weights(score, 0.5, np.ones(4), day) == pytest.approx([2.0, 0.0, 2.0, 0.0])
    assert top_share_weights(score, 0.5, np.ones(4)) == pytest.approx([2.0, 2.0, 0.0, 0.0])
    assert top_share_weights(score, 1.0, np.ones(4), day) == pytest.approx(np.ones(4))


def test_the_value_of_a_share_is_that_of_all_pairs_though_the_log_shows_some_of_them():
    """Two days of pairs are known; the log shows those that convert least ten times as often."""
    generator = np.random.default_rng(1)
    day, score = np.repeat([0, 1], 20_000), generator.random(40_000)
    reward = (generator.random(40_000) < 0.1 + 0.3 * score).astype(float)
    exposure = np.where(reward + generator.normal(size=40_000) > 0.5, 0.05, 0.5)
    top = np.concatenate([score[day == d] >= np.quantile(score[day == d], 0.8) for d in (0, 1)])
    truth = reward[top].mean()
    log = generator.random(40_000) < exposure
    weight = top_share_weights(score[log], 0.2, exposure[log], day[log])
    found = snips(reward[log], weight)
    # theory: sqrt(sum w^2 (y - v)^2) / sum w
    error = np.sqrt(np.sum((weight * (reward[log] - truth)) ** 2)) / weight.sum()
    assert abs(found - truth) < 3 * error
    assert error < 0.02
    naive = reward[log & top].mean()
    assert naive < truth - 0.1


def test_softmax_and_its_limits():
    score = np.array([[0.1, 0.5, 0.2], [0.3, 0.3, 0.3]])
    found = softmax_policy(score, 0.2)
    by_hand = np.exp(score / 0.2) / np.exp(score / 0.2).sum(1, keepdims=True)
    assert found == pytest.approx(by_hand)
    assert softmax_policy(score, 1e-3)[0] == pytest.approx([0.0, 1.0, 0.0])
    assert softmax_policy(score, 1e6)[0] == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert softmax_policy(score * 1e6, 1.0).sum(1) == pytest.approx([1.0, 1.0])  # no overflow
    assert argmax_policy(score) == pytest.approx(np.array([[0, 1, 0], [1 / 3] * 3]))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: top_share_weights([0.5], 0.0, [1.0]), r"share: must be in \(0, 1\], received 0"),
        (lambda: top_share_weights([0.5], 1.5, [1.0]), "received 1.5"),
        (lambda: top_share_weights([np.nan], 0.5, [1.0]), "score: must be finite"),
        (lambda: top_share_weights([0.5], 0.5, [0.0]), "exposure: must be above 0"),
        (lambda: top_share_weights([0.5], 0.5, [1.0, 1.0]), "received 2 for 1 rows"),
        (lambda: top_share_weights([0.5], 0.5, [1.0], [1, 2]), "groups: must have one entry"),
        (
            lambda: top_share_weights([0.5], 0.5, [1.0], sample_weight=[-1]),
            "sample_weight: must be 0 or more",
        ),
        (lambda: softmax_policy([[0.5]], 0.0), "temperature: must be above 0, received 0"),
        (lambda: softmax_policy([0.5], 1.0), r"shape \[rows, candidates\], received \(1,\)"),
        (lambda: argmax_policy([[np.inf]]), "score: must be finite"),
        (lambda: argmax_policy(np.zeros((2, 0))), r"received \(2, 0\)"),
    ],
)
def test_what_is_wrong_is_said(call, said):
    with pytest.raises(ValueError, match=said):
        call()
