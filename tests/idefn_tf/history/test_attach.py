"""attach against a naive loop over the table: ties, repeats, missing keys, windows, sequences."""

import numpy as np
import pandas as pd
import pytest

from idefn_tf.history import attach
from idefn_tf.schema import Schema

USER = {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}
ITEM = {"name": "item", "dtype": "int64", "side": "item", "kind": "vocabulary"}
LABELS = {"click": "c", "conversion": "v", "exposure_time": "at", "time_unit": "s"}
SCHEMA = {
    "name": "shop",
    "features": [USER, ITEM],
    "labels": LABELS,
    "history": {
        "aggregates": [
            {
                "key": "user",
                "events": ["exposure", "click", "conversion"],
                "measures": ["count"],
                "windows": ["1h", "all"],
            },
            {
                "key": ["user", "item"],
                "events": ["click"],
                "measures": ["rate", "hours_since"],
                "windows": ["1h", "all"],
            },
        ]
    },
    "sequences": [
        {
            "name": "clicks",
            "key": "user",
            "condition": "clicked",
            "items": ["item"],
            "length": 3,
            "gap_hours": [1, 2],
        }
    ],
}


def random_log(seed, rows=300):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user": rng.integers(-1, 6, rows),
            "item": rng.integers(0, 4, rows),
            "c": rng.integers(0, 2, rows),
            "v": rng.integers(0, 2, rows),
            "at": rng.integers(0, 20_000, rows) // 50 * 50,
        }
    )


def test_every_column_equals_a_naive_loop():
    log = random_log(0)
    found = attach(Schema.parse(SCHEMA), log)
    prior = log["c"].mean()
    assert len(found) == len(log)
    for row, now in zip(found.itertuples(), log.itertuples(), strict=True):
        past = log[(log["at"] < now.at) & (log["user"] == now.user) & (now.user != -1)]
        hour = past[past["at"] >= now.at - 3600]
        assert row.user__exposure_count__all == len(past)
        assert row.user__click_count__1h == hour["c"].sum()
        assert row.user__conversion_count__1h == (hour["c"] & hour["v"]).sum()
        pair = past[past["item"] == now.item]
        rate = (pair["c"].sum() + 20 * prior) / (len(pair) + 20)
        assert row.user_x_item__click_rate__all == pytest.approx(rate, rel=1e-6)
        clicks = pair[pair["c"] == 1]
        since = (now.at - clicks["at"].max()) / 3600
        assert row.user_x_item__click_hours_since__all == pytest.approx(since, nan_ok=True)
        last = past[past["c"] == 1].sort_values("at", kind="stable").tail(3)
        assert row.clicks__item == last["item"].tolist()
        hours = (now.at - last["at"]) / 3600
        assert row.clicks__gap == [int(h >= 1) + int(h >= 2) for h in hours]


def test_the_order_of_rows_changes_nothing():
    log = random_log(1).drop_duplicates(["user", "at"])
    schema = Schema.parse(SCHEMA)
    found = attach(schema, log.reset_index(drop=True))
    order = np.random.default_rng(2).permutation(len(log))
    shuffled = attach(schema, log.iloc[order].reset_index(drop=True))
    back = shuffled.iloc[np.argsort(order)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, back)
