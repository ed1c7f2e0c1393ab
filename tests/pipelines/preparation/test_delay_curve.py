"""The delay curve: hand values, and a law that right truncation hides."""

import numpy as np
import pytest

from idefn_tf.schema import Labels
from pipelines.preparation.delay_curve import estimate, shares
from tests.pipelines.preparation.timed_shop import DAY, HOUR, START, prepared, schema

pytestmark = pytest.mark.job

LABELS = Labels(click="c", conversion="v", exposure_time="e", click_time="t", conversion_time="b")


def test_the_product_runs_backwards_in_time_by_hand():
    delay, watched = np.array([1.0, 1, 2, 3]), np.array([2.0, 4, 2, 4])
    # at 3: one of two (the second and the last); at 2: one of three (not the last)
    curve = estimate(delay, watched)
    assert curve.delays.tolist() == [1, 2, 3]
    np.testing.assert_allclose(curve.shares, [1 / 3, 1 / 2, 1])
    np.testing.assert_allclose(curve([0.5, 1, 1.5, 2.5, 9]), [0, 1 / 3, 1 / 3, 1 / 2, 1])
    clicks = np.array([2.5, 0.5, 4.0]), np.array([2, 1, 1])
    found = shares(delay, watched, clicks, LABELS)
    assert found["not_yet_known"] == pytest.approx(1 - (2 * 1 / 2 + 0 + 1) / 4)
    assert found["known_after_hours"] == {"1": 0, "6": 0, "24": 0.5, "72": 1, "168": 1}
    assert found["estimated_after_hours"] == pytest.approx(
        {"1": 0, "6": 0, "24": 1 / 3, "72": 1, "168": None}
    )
    assert found["watched_hours"] == 96


def test_where_all_were_watched_to_the_end_it_is_the_share_itself():
    rng = np.random.default_rng(0)
    delay = rng.exponential(size=500).astype(np.float32)
    curve = estimate(delay, np.full(500, delay.max()))
    np.testing.assert_allclose(curve.shares, np.arange(1, 501) / 500)
    clicks = np.array([30.0]), np.array([9])
    found = shares(delay, np.full(500, 30.0), clicks, LABELS)
    assert found["not_yet_known"] == pytest.approx(0)


@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_a_law_is_found_again_whatever_the_conversion_rate_did(drift):
    """Exponential delays of mean 1 day; clicks over five days, whose rate also rises threefold."""
    rng = np.random.default_rng(1)
    age = rng.uniform(0, 5, 60_000)
    converts = rng.random(60_000) < 0.2 * np.exp(-drift * age / 5 * np.log(3))
    delay = rng.exponential(1.0, 60_000)
    known = converts & (delay <= age)
    found = shares(delay[known], age[known], (age, np.ones_like(age)), LABELS)
    truth = {h: (1 - np.exp(-h / 24)) / (1 - np.exp(-5)) for h in (1, 6, 24, 72)}
    for hours, share in truth.items():
        assert found["estimated_after_hours"][str(hours)] == pytest.approx(share, abs=0.02)
    assert found["known_after_hours"]["24"] > truth[24] + 0.03
    if not drift:  # a rate that rises hides more than a steady one
        coming = 1 - known.sum() / (converts & (delay <= 5)).sum()
        assert found["not_yet_known"] == pytest.approx(coming, abs=0.01)


def test_what_nothing_links_is_cut_off():
    # the delay of 9 is at risk alone: below it the product would be 0
    curve = estimate(np.array([1.0, 2, 2, 9]), np.array([3.0, 3, 2, 9]))
    assert curve.delays.tolist() == [1, 2]
    np.testing.assert_allclose(curve.shares, [1 / 3, 1])


def test_a_delay_that_was_not_watched_is_refused():
    with pytest.raises(ValueError, match="delay: must hold conversions, none of them later"):
        estimate(np.array([2.0]), np.array([1.0]))


def test_the_card_tells_both_shares_of_what_was_known(tmp_path):
    as_of = START + 6 * DAY + 90 * 60
    card = prepared(tmp_path, as_of=as_of).card["delays"]
    # days 0 to 4 of users 1, 2, 3, 6: after 1, 47, 71 and 3 hours; user 3 of day 4 is open
    assert card["conversions"] == 19
    assert card["known_after_hours"] == pytest.approx(
        {"1": 5 / 19, "6": 10 / 19, "24": 10 / 19, "72": 1, "168": 1}
    )
    # of 71 h: 4 of the 4 + 15 - 3 - 1 whose click is as old: day 4 is too young but for one
    assert card["estimated_after_hours"]["168"] == 1
    assert card["estimated_after_hours"]["24"] < card["known_after_hours"]["24"]
    assert 0 < card["not_yet_known"] < 0.2
    closed = prepared(tmp_path, made=schema("drop", 24), name="closed").card["delays"]
    shares_of_closed = {"1": 0.5, "6": 1, "24": 1, "72": 1, "168": 1}
    assert closed["conversions"] == 10  # 1 and 3 hours after the clicks of days 0 to 4
    assert closed["known_after_hours"] == shares_of_closed
    assert closed["estimated_after_hours"] == pytest.approx(shares_of_closed)
    assert closed["watched_hours"] == pytest.approx((7 * DAY + 8 * HOUR) / HOUR)  # user 6
    assert closed["not_yet_known"] == pytest.approx(0, abs=1e-9)
