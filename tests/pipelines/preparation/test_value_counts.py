"""Counts of values: once for all parts, ties by value, families together."""

import ibis
import pyarrow as pa
import pytest

from idefn_tf.schema import Feature
from pipelines.preparation.value_counts import ValueCounts

ITEM = Feature(name="item", dtype="int64", side="item", kind="vocabulary")
CITY = Feature(name="city", dtype="string", side="user", kind="vocabulary")
LAST = Feature(name="last", dtype="int64", side="user", kind="vocabulary", max_length=3)
TRAIN = {"item": [3, 1, 3, -1, 2, 1], "city": ["b", "a", "", "ü", "a", "b"],
         "last": [[7], [], [3, 7], [3], [-1, 9], [9, 9]]}  # fmt: skip
TEST = {"item": [5, 5, 1], "city": ["", "", ""], "last": [[], [], []]}


@pytest.fixture
def counts():
    kinds = pa.schema([("item", pa.int64()), ("city", pa.string()), ("last", pa.list_(pa.int64()))])
    tables = {"train": TRAIN, "test": TEST}
    return ValueCounts({n: ibis.memtable(pa.table(t, kinds)) for n, t in tables.items()})


def as_dict(table):
    return dict(zip(table["value"].to_pylist(), table["rows"].to_pylist(), strict=True))


def test_what_is_absent_does_not_count(counts):
    assert as_dict(counts.of("train", ITEM)) == {3: 2, 1: 2, 2: 1}
    assert as_dict(counts.of("train", CITY)) == {"a": 2, "b": 2, "ü": 1}
    assert as_dict(counts.of("train", LAST)) == {7: 2, 3: 2, 9: 3}
    assert as_dict(counts.of("test", ITEM)) == {5: 2, 1: 1}
    assert counts.of("test", CITY).num_rows == counts.of("test", LAST).num_rows == 0


def test_the_most_frequent_come_first_and_equal_ones_by_value(counts):
    assert counts.ranked([ITEM], 1, None).to_pylist() == [1, 3, 2]
    assert counts.ranked([ITEM], 2, None).to_pylist() == [1, 3]
    assert counts.ranked([ITEM], 1, 1).to_pylist() == [1]
    assert counts.ranked([CITY], 1, None).to_pylist() == ["a", "b", "ü"]
    assert counts.ranked([CITY], 9, None).to_pylist() == []
    assert counts.top(CITY, 2).to_pylist() == [
        {"value": "a", "rows": 2}, {"value": "b", "rows": 2}
    ]  # fmt: skip


def test_a_family_counts_together(counts):
    # 3 stands twice in items and twice in lists, 9 three times, 1 and 7 twice, 2 once
    assert counts.ranked([ITEM, LAST], 1, None).to_pylist() == [3, 9, 1, 7, 2]
    assert counts.ranked([ITEM, LAST], 3, 5).to_pylist() == [3, 9]


def test_a_feature_is_counted_once_until_it_is_forgotten(counts):
    first = counts.of("train", ITEM)
    assert counts.of("train", ITEM) is first
    counts.forget(ITEM)
    again = counts.of("train", ITEM)
    assert again is not first
    assert as_dict(again) == as_dict(first)


def test_a_feature_without_any_value_has_no_top():
    parts = {"train": ibis.memtable(pa.table({"city": ["", ""]}))}
    assert ValueCounts(parts).top(CITY, 5).num_rows == 0


def test_every_part_is_counted_at_once_and_holds_its_own_values_alone(counts):
    train, test = counts.of("train", ITEM), counts.of("test", ITEM)
    assert counts.of("test", ITEM) is test
    assert 5 not in train["value"].to_pylist()
    assert 3 not in test["value"].to_pylist()
