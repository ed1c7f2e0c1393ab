"""The cluster bootstrap: weights and variances by hand, and coverage on planted two-way data."""

import numpy as np
import pytest

from idefn_tf.evaluation import resampling
from idefn_tf.schema import Schema


def test_a_draw_takes_whole_clusters_and_as_many_as_there_are():
    users = np.array([7, 7, 3, 9, 9, 9])
    for weight in resampling.resample(users, 6, 50, seed=3):
        assert weight[0] == weight[1]
        assert weight[3] == weight[4] == weight[5]
        assert weight[0] + weight[2] + weight[3] == 3
    rows = [weight.sum() for weight in resampling.resample(None, 6, 20, seed=3)]
    assert rows == [6.0] * 20


def test_ways_are_users_then_items_then_pairs():
    users, items = np.array([1, 1, 2, 2]), np.array([b"a", b"a", b"a", b"b"])
    assert resampling.pair_ids(users, items).tolist() == [0, 0, 2, 3]
    found = list(resampling.resample_ways(users, items, 4, 30, seed=1))
    assert [(way, draw) for way, draw, _ in found] == [(w, d) for w in range(3) for d in range(30)]
    by_way = [np.array([w for way, _, w in found if way == i]) for i in range(3)]
    assert (by_way[0][:, 0] == by_way[0][:, 1]).all()
    assert (by_way[0][:, 2] == by_way[0][:, 3]).all()
    assert (by_way[1][:, 0] == by_way[1][:, 2]).all()
    assert (by_way[1][:, 2] != by_way[1][:, 3]).any()
    assert (by_way[2][:, 0] == by_way[2][:, 1]).all()
    assert (by_way[2][:, 0] != by_way[2][:, 2]).any()
    assert (by_way[2].sum(1) != 4).any()  # a pair of two rows comes whole
    # users alone where items are not told, rows where users are not
    alone = [weight.tolist() for _, _, weight in resampling.resample_ways(users, None, 4, 5, 1)]
    assert alone == [weight.tolist() for weight in resampling.resample(users, 4, 5, 1)]
    assert {way for way, _, _ in resampling.resample_ways(None, items, 4, 5, 1)} == {0}


def test_the_variance_by_hand():
    # variances 4, 1 and .25: users + items - pairs = 4.75
    draws = np.array([[-2.0, 2.0, -2.0, 2.0], [-1.0, 1.0, 1.0, -1.0], [0.5, -0.5, 0.5, -0.5]])
    assert resampling.two_way_variance(draws) == pytest.approx(4.75)
    spread = resampling.widened(draws + 10.0)
    assert spread == pytest.approx(10 + draws[0] * np.sqrt(4.75 / 4))
    # pairs tell more than both: at least the larger of users and items
    draws[2] *= 10
    assert resampling.two_way_variance(draws) == pytest.approx(4.0)
    assert resampling.widened(draws) == pytest.approx(draws[0])
    # undefined draws are left out; one way is its own variance
    draws[1, 0] = np.nan
    assert resampling.two_way_variance(draws[:1]) == pytest.approx(4.0)
    assert resampling.two_way_variance(draws[0]) == pytest.approx(4.0)
    assert resampling.widened(np.array([[1.0, np.nan, 3.0]])).tolist() == [1.0, 3.0]
    assert resampling.widened(np.full((3, 4), np.nan)).size == 0
    assert resampling.two_way_variance(np.full((3, 4), np.nan)) == 0.0


def _mean_draws(values, users, items, draws, seed):
    found = np.empty((1 if items is None else 3, draws))
    for way, i, weight in resampling.resample_ways(users, items, len(values), draws, seed):
        found[way, i] = np.average(values, weights=weight)
    return found


def test_one_user_or_one_item_leaves_the_others_variance():
    generator = np.random.default_rng(0)
    values, many = generator.normal(size=300), np.arange(300)
    one = np.zeros(300, int)
    rows = values.var() / 300
    for users, items in ((one, many), (many, one)):
        found = _mean_draws(values, users, items, 300, 0)
        assert resampling.two_way_variance(found) == pytest.approx(rows, rel=0.25)
    assert resampling.two_way_variance(_mean_draws(values, one, one, 50, 0)) == pytest.approx(0.0)
    assert resampling.two_way_variance(_mean_draws(values, many, many, 300, 0)) == pytest.approx(
        rows, rel=0.25
    )


def _covered(user_spread, item_spread, noise, trials=120):
    """Shares of intervals that hold the true mean 0: users alone, two-way, product of counts."""
    generator = np.random.default_rng(5)
    hits = np.zeros(3)
    for trial in range(trials):
        users, items = generator.integers(0, 60, 600), generator.integers(0, 40, 600)
        values = (
            user_spread * generator.normal(size=60)[users]
            + item_spread * generator.normal(size=40)[items]
            + noise * generator.normal(size=600)
        )
        draws = _mean_draws(values, users, items, 120, trial)
        counts = [generator.poisson(1, (120, 60)), generator.poisson(1, (120, 40))]
        weights = counts[0][:, users] * counts[1][:, items]
        product = [np.average(values, weights=weight) for weight in weights]
        for i, spread in enumerate((draws[0], resampling.widened(draws), product)):
            low, high = np.quantile(spread, [0.025, 0.975])
            hits[i] += low <= 0.0 <= high
    return hits / trials


def test_coverage_is_near_nominal_where_users_alone_are_too_narrow():
    users_alone, both, _ = _covered(user_spread=0.5, item_spread=0.5, noise=1.0)
    assert users_alone < 0.85
    assert 0.90 <= both <= 0.98


def test_single_rows_noise_is_not_counted_three_times():
    users_alone, both, product = _covered(user_spread=0.0, item_spread=0.0, noise=1.0)
    assert 0.90 <= users_alone <= 0.985
    assert 0.90 <= both <= 0.985
    assert product > 0.99


def test_items_are_told_by_the_item_sides_feature_of_most_values():
    def feature(name, side="item", **more):
        return {"name": name, "dtype": "int64", "side": side, "kind": "vocabulary", **more}

    features = [
        feature("user", "user"),
        feature("shop"),
        feature("item"),
        feature("tags", max_length=3),
    ]
    features.append({"name": "price", "dtype": "float32", "side": "item", "kind": "numeric"})
    schema = Schema.parse(
        {"name": "t", "labels": {"click": "c", "conversion": "b"}, "features": features}
    )
    arrays = {
        "user": np.arange(4),
        "shop": np.array([1, 1, 2, 2]),
        "item": np.array([1, 2, 3, 3]),
        "tags": np.arange(12).reshape(4, 3),
        "price": np.arange(4.0),
    }
    assert resampling.find_items(schema, arrays) == "item"
    assert resampling.find_items(schema, {"user": arrays["user"], "price": arrays["price"]}) is None
