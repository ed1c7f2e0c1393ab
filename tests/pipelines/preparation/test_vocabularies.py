"""One order of a vocabulary: in memory and in the database the same values at the same places."""

import ibis
import numpy as np
import pandas as pd
import pytest

from idefn_tf.data import learn_vocabularies
from idefn_tf.schema import Schema
from pipelines.preparation.value_counts import ValueCounts
from pipelines.preparation.vocabularies import learn, load

#: Counts: 7 five times, -3 and 2 three times, 10 twice, 9 once, and two absent ones.
ITEMS = [7, 2, -3, 7, 2, -3, 7, 2, -3, 7, 7, 10, 10, 9, -1, -1]
#: Counts: é, Z and a three times (Z before a before é in bytes), b twice, c once, four absent ones.
CITIES = ["é", "a", "Z", "é", "a", "Z", "é", "a", "Z", "b", "b", "c", "", "", "", ""]


def both(tmp_path, **limits):
    """What each of the two learns, {feature: values}."""
    features = [
        {"name": "item", "dtype": "int64", "side": "item", "kind": "vocabulary", **limits},
        {"name": "city", "dtype": "string", "side": "user", "kind": "vocabulary", **limits},
        {"name": "last", "dtype": "int64", "side": "user", "kind": "vocabulary", "tied_to": "item"},
    ]
    labels = {"click": "click", "conversion": "conversion"}
    schema = Schema.model_validate({"name": "s", "labels": labels, "features": features})
    frame = pd.DataFrame({"item": ITEMS, "city": CITIES, "last": np.full(len(ITEMS), -1)})
    frame.loc[:1, "last"] = 10  # with these two, 10 stands in four rows
    frame = frame.assign(click=0, conversion=0)
    learn(ValueCounts({"train": ibis.memtable(frame)}), schema, tmp_path)
    kept = {name: found["values"] for name, found in load(tmp_path, schema).items()}
    memory = {n: found["values"] for n, found in learn_vocabularies(schema, frame).items()}
    return memory, kept


@pytest.mark.parametrize(
    ("limits", "items", "cities"),
    [
        ({}, [7, 10, -3, 2, 9], ["Z", "a", "é", "b", "c"]),
        ({"min_count": 3}, [7, 10, -3, 2], ["Z", "a", "é"]),
        ({"max_size": 3}, [7, 10, -3], ["Z", "a", "é"]),
        ({"min_count": 2, "max_size": 2}, [7, 10], ["Z", "a"]),
        ({"min_count": 9}, [], []),
    ],
)
def test_frequency_then_value_within_the_limits(tmp_path, limits, items, cities):
    memory, kept = both(tmp_path, **limits)
    assert memory == {"item": items, "city": cities}
    assert kept == memory


@pytest.mark.parametrize(
    ("max_size", "headroom", "expected"),
    [
        (3, 2, [7, 2, -3, 10, 9]),  # 7, 2 and -3 are still the most frequent
        (3, 1, [7, 2, -3, 10]),
        (3, 9, [7, 2, -3, 10, 9]),
        (None, 1, [7, 2, -3, 10]),
        (1, 1, [7, 2, -3, 10]),
    ],
)
def test_new_ids_are_looked_for_among_those_not_known_yet(tmp_path, max_size, headroom, expected):
    """Known ids that lead a new day's counts keep no new one from a free place."""
    feature = {"name": "item", "dtype": "int64", "side": "item", "kind": "vocabulary"}
    schema = Schema.model_validate(
        {
            "name": "s",
            "labels": {"click": "click", "conversion": "conversion"},
            "features": [{**feature, "max_size": max_size, "headroom": headroom}],
        }
    )
    base = tmp_path / "base"
    base.mkdir()
    (base / "item.json").write_text('{"kind": "vocabulary", "values": [7, 2, -3]}')
    frame = pd.DataFrame({"item": ITEMS, "click": 0, "conversion": 0})
    learn(ValueCounts({"train": ibis.memtable(frame)}), schema, tmp_path / "next", base)
    found = load(tmp_path / "next", schema)["item"]
    assert found["values"] == expected
    assert found["capacity"] == 3 + headroom
