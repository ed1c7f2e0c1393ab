"""The bootstrap: exact AUCs, users kept whole, gains found and chance left alone."""

import numpy as np
import pytest

from benchmarks.paper.bootstrap import Ranking, difference, draw_aucs
from idefn_tf.metrics import exact_metrics


def made(gain, seeds=4, users=150, seed=3):
    """Scores of two methods whose signal differs by `gain`, with the seed's own noise."""
    generator = np.random.default_rng(seed)
    who = np.repeat(np.arange(users), 8)
    label = (generator.random(who.size) < 0.2).astype(float)
    scores = {"method": {}, "reference": {}}
    for s in range(seeds):
        noise = generator.normal(size=who.size)
        scores["method"][s] = (1.0 + gain) * label + noise
        scores["reference"][s] = label + noise + 0.05 * generator.normal(size=who.size)
    return label, scores, who


def test_a_rankings_auc_is_the_exact_one_with_weights_and_ties():
    generator = np.random.default_rng(0)
    label = (generator.random(500) < 0.3).astype(float)
    score = generator.integers(0, 20, 500) / 20
    for weight in (np.ones(500), generator.integers(0, 4, 500).astype(float)):
        assert Ranking(label, score).auc(weight) == pytest.approx(
            exact_metrics.auc(label, score, weight)
        )
    assert np.isnan(Ranking(np.zeros(3), np.arange(3.0)).auc(np.ones(3)))


def test_the_first_draw_is_the_rows_as_they_are():
    label, scores, who = made(0.2)
    drawn = draw_aucs(label, scores, who, draws=5)
    for method, by_seed in scores.items():
        for s, score in by_seed.items():
            assert drawn[method][s][0, 0] == pytest.approx(exact_metrics.auc(label, score))
    told = difference(drawn, "method", "reference")
    expected = [drawn["method"][s][0, 0] - drawn["reference"][s][0, 0] for s in range(4)]
    assert told["mean"] == pytest.approx(np.mean(expected))
    assert told["seeds"] == 4


def test_a_real_gain_is_found_and_none_where_there_is_none():
    real = difference(draw_aucs(*made(0.4), draws=200), "method", "reference")
    assert real["low"] > 0
    assert real["p"] < 0.05
    none = difference(draw_aucs(*made(0.0), draws=200), "method", "reference")
    assert none["low"] < 0 < none["high"]
    assert none["p"] > 0.05


def test_the_interval_widens_where_rows_of_a_user_go_together():
    generator = np.random.default_rng(1)
    users = np.repeat(np.arange(60), 40)
    likes = np.repeat(generator.random(60) < 0.3, 40).astype(float)  # a user likes all or nothing
    noise = np.repeat(generator.normal(size=60), 40)
    scores = {
        "method": {0: likes + noise},
        "reference": {0: np.repeat(generator.normal(size=60), 40)},
    }
    together = difference(draw_aucs(likes, scores, users, 200), "method", "reference")
    apart = difference(draw_aucs(likes, scores, np.arange(2400), 200), "method", "reference")
    assert together["high"] - together["low"] > 3 * (apart["high"] - apart["low"])


def test_items_that_a_method_knows_widen_the_interval():
    generator = np.random.default_rng(4)
    users, items = np.arange(1200), np.repeat(np.arange(30), 40)
    likes = np.repeat(generator.random(30) < 0.3, 40).astype(float)  # an item is liked or is not
    scores = {
        "method": {0: likes + np.repeat(generator.normal(size=30), 40)},
        "reference": {0: np.repeat(generator.normal(size=30), 40)},
    }
    alone = difference(draw_aucs(likes, scores, users, 100), "method", "reference")
    drawn = draw_aucs(likes, scores, users, 100, items=items)
    assert drawn["method"][0].shape == (3, 101)
    both = difference(drawn, "method", "reference")
    by_item = difference(draw_aucs(likes, scores, items, 100), "method", "reference")
    assert both["mean"] == alone["mean"]
    assert both["high"] - both["low"] > 3 * (alone["high"] - alone["low"])
    width = by_item["high"] - by_item["low"]
    assert both["high"] - both["low"] == pytest.approx(width, rel=0.2)


def test_a_method_against_itself_differs_by_nothing_and_without_a_pair_there_is_no_answer():
    label, scores, who = made(0.2)
    drawn = draw_aucs(label, scores, who, draws=20)
    same = difference(drawn, "method", "method")
    assert (same["mean"], same["low"], same["high"], same["p"]) == (0.0, 0.0, 0.0, 1.0)
    assert difference({"a": {0: np.ones((1, 3))}, "b": {1: np.ones((1, 3))}}, "a", "b") is None
    assert difference({"a": {0: np.ones(3)}}, "a", "b") is None


def test_a_space_without_conversions_has_no_answer():
    """The simulator records no conversion of an unclicked row: every draw is nan."""
    _, scores, who = made(0.4, seeds=2)
    drawn = draw_aucs(np.zeros(who.size), scores, who, 20)
    assert difference(drawn, "method", "reference") is None
