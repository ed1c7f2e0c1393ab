"""Drift: NaN is missing, constants and hashed ids are seen, few rows of an old log are quiet."""

import json

import numpy as np
import pyarrow as pa
import pytest

from idefn_tf.data import to_arrays
from idefn_tf.schema import Schema
from serving.common import drift

SCHEMA = Schema.parse(
    {
        "name": "shop",
        "labels": {"click": "click", "conversion": "bought"},
        "embedding_width": 2,
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "hash", "num_buckets": 100},
            {"name": "item", "dtype": "int64", "side": "item", "kind": "vocabulary"},
            {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric"},
        ],
    }
)
ITEMS = np.arange(10)
SHARES = np.array([0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.03])
VOCABULARIES = {"item": {"values": ITEMS[:9].tolist()}}
#: Ten users have one row in a thousand each; a million others have the rest.
CARD = {
    "features": {
        "user": {"top": [{"value": i, "share": 0.001} for i in range(10)]},
        "item": {
            "top": [
                {"value": int(i), "share": float(s)} for i, s in zip(ITEMS, SHARES, strict=True)
            ],
            "out_of_vocabulary": {"validation": 0.03},
            "missing": {"validation": 0.0},
        },
        "price": {"mean": 10.0, "std": 2.0, "missing": {"validation": 0.01}},
    }
}


def draw(rng, rows):
    users = np.where(
        rng.random(rows) < 0.01, rng.integers(0, 10, rows), rng.integers(10, 10**6, rows)
    )
    price = rng.normal(10.0, 2.0, rows).astype(np.float32)
    price[rng.random(rows) < 0.01] = np.nan
    return {"user": users, "item": rng.choice(ITEMS, rows, p=SHARES), "price": price}


def measure(columns, card=CARD):
    table = pa.table(columns)
    arrays = to_arrays(SCHEMA, table, labels=False)
    rates = drift.describe(SCHEMA, table, arrays, VOCABULARIES)
    return rates, drift.compare(SCHEMA, arrays, rates, card, drift.Limits())


@pytest.mark.parametrize("rows", [1, 5, 20, 100, 1000])
def test_few_rows_of_an_unchanged_log_do_not_drift(rows):
    rng = np.random.default_rng(rows)
    cries = [bool(measure(draw(rng, rows))[1]["drifted"]) for _ in range(100)]
    assert sum(cries) <= 4


def test_a_column_of_nan_is_missing_and_the_report_is_json():
    columns = draw(np.random.default_rng(0), 500)
    columns["price"] = np.full(500, np.nan, np.float32)
    rates, found = measure(columns)
    assert rates["price"]["missing"] == 1.0
    assert found["drifted"]["price"] == ["missing values changed by +99.0%, beyond 5%"]
    json.dumps(found, allow_nan=False)


def test_nan_and_null_count_together():
    columns = draw(np.random.default_rng(0), 4)
    columns["price"] = pa.array([1.0, None, float("nan"), 2.0], pa.float32())
    assert measure(columns)[0]["price"]["missing"] == 0.5


def test_a_constant_that_became_another_is_seen():
    card = {"features": {"price": {"mean": 3.0, "std": 0.0}}}
    columns = draw(np.random.default_rng(0), 200)
    columns["price"] = np.full(200, 3.0, np.float32)
    assert measure(columns, card)[1]["drifted"] == {}
    columns["price"][:50] = 4.0
    assert measure(columns, card)[1]["drifted"] == {
        "price": ["was one number on every training row and is another on 25.0%"]
    }


def test_hashed_ids_that_are_all_new_are_seen():
    columns = draw(np.random.default_rng(0), 5000)
    assert measure(columns)[1]["drifted"] == {}
    columns["user"] += 10**7
    assert measure(columns)[1]["drifted"] == {
        "user": [
            "the most frequent values are 0.00% of the rows and were 1.00%, less than 0.25 of it"
        ]
    }


def test_what_moved_is_seen_in_a_thousand_rows():
    columns = draw(np.random.default_rng(0), 1000)
    columns["item"] = np.where(np.arange(1000) < 600, 9, columns["item"])
    columns["price"] += 2.0
    drifted = measure(columns)[1]["drifted"]
    assert drifted["item"][0].startswith("PSI ")
    assert drifted["item"][1].startswith("unknown values rose by ")
    assert drifted["price"][0].startswith("mean moved by ")


def test_prepared_rows_with_an_open_window_do_not_drift():
    columns = draw(np.random.default_rng(3), 2000)
    young = np.arange(2000) >= 1000
    columns["price"] = np.where(young, 100.0, columns["price"]).astype(np.float32)
    table = pa.table({**columns, "window_open": young.astype(np.int8)})
    arrays = to_arrays(SCHEMA, table, labels=False)
    mature, read, left_out = drift.closed(table, arrays)
    assert (mature.num_rows, len(read["price"]), left_out) == (1000, 1000, 1000)
    rates = drift.describe(SCHEMA, mature, read, VOCABULARIES)
    assert "price" not in drift.compare(SCHEMA, read, rates, CARD, drift.Limits())["drifted"]
    _, whole = measure(columns)
    assert "price" in whole["drifted"]
    requests = pa.table(columns)  # live requests tell no window: all of them count
    assert drift.closed(requests, arrays) == (requests, arrays, 0)


def test_lists_are_compared_by_their_entries_and_a_row_counts_once():
    tags = {"name": "tags", "dtype": "int64", "side": "item", "kind": "hash", "num_buckets": 100}
    schema = Schema.parse(
        {
            "name": "shop",
            "labels": {"click": "click", "conversion": "bought"},
            "embedding_width": 2,
            "features": [{**tags, "max_length": 50}],
        }
    )
    top = [{"value": i, "share": 0.1} for i in range(5)]
    card = {"features": {"tags": {"top": top, "missing": {"validation": 0.0}}}}

    def drifted(lists):
        table = pa.table({"tags": pa.array(lists, pa.list_(pa.int64()))})
        arrays = to_arrays(schema, table, labels=False)
        rates = drift.describe(schema, table, arrays, {})
        return drift.compare(schema, arrays, rates, card, drift.Limits())["drifted"]

    same = [[0, 1, 2, 3, 4, *range(10, 15)]] * 200
    assert drifted(same) == {}
    assert drifted([[7] * 50]) == {}  # fifty entries of one row are no fifty rows
    assert drifted([[0] * 5 + [8] * 5] * 200)["tags"][0].startswith("PSI ")
