"""The table of training has not drifted: its data card and the drift report count alike."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idefn_tf.data import to_arrays
from idefn_tf.schema import Schema
from pipelines.datasets.registry import prepare
from serving.common import drift

ROWS = 600
#: By feature: its settings, ten cells, and how many of them hold no value.
COLUMNS = {
    "id": ({"dtype": "int64"}, [-1, None, 1, 2, 3, 1, 2, 3, 1, 2], 2),
    "id_or_7": ({"dtype": "int64", "missing": 7}, [7, None, 7, 2, 3, 1, 2, 3, 1, 2], 1),
    "word": ({"dtype": "string"}, ["", None, " ", "a", "b", "a", "b", "a", "b", "a"], 3),
    "word_or_none": (
        {"dtype": "string", "missing": "none"},
        ["none", "none", "none", "a", "b", "a", "b", "a", "b", "a"],
        0,
    ),
    "count": (
        {"dtype": "int64", "kind": "numeric", "missing": 0},
        [0, 0, 0, None, 1, 2, 3, 1, 2, 3],
        1,
    ),
    "price": (
        {"dtype": "float32", "kind": "numeric"},
        [0.0, None, float("nan"), 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0],
        2,
    ),
    "price_or_0": (
        {"dtype": "float32", "kind": "numeric", "missing": 0.0},
        [0.0, 0.0, 0.0, None, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0],
        1,
    ),
    "tags": (
        {"dtype": "string", "max_length": 2},
        [None, [], [""], [None], ["a"], ["b", ""], ["a"], ["b"], ["a"], ["b"]],
        4,
    ),
    "tags_or_none": (
        {"dtype": "string", "max_length": 2, "missing": "none"},
        [None, [], ["none"], ["none"], ["none"], ["b"], ["a"], ["b"], ["a"], ["b"]],
        2,
    ),
    "topics": (
        {"dtype": "int64", "max_length": 2},
        [None, [], [-1], [-1, 3], [1], [2], [1], [2], [1], [2]],
        3,
    ),
    "text": (
        {"dtype": "string", "max_length": 2},
        [None, "", " ", ", ,", "a", "b,a", "a", "b", "a", "b"],
        4,
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drift")
    features = [
        {"name": name, "side": "item", "kind": "vocabulary", **settings}
        for name, (settings, _, _) in COLUMNS.items()
    ]
    labels = {"click": "click", "conversion": "buy", "exposure_time": "time", "time_unit": "s"}
    schema = Schema.parse(
        {"name": "table", "labels": labels, "embedding_width": 2, "features": features}
    )
    click = np.arange(ROWS) // 10 % 2
    columns = {name: cells * (ROWS // 10) for name, (_, cells, _) in COLUMNS.items()}
    labels = {"time": 1_714_521_600 + np.arange(ROWS) * 1_440, "click": click, "buy": click}
    table = pa.table({**columns, **labels})
    pq.write_table(table, folder / "log.parquet")
    return schema, table, prepare("table", folder / "log.parquet", folder / "data", schema=schema)


def measured(made, table):
    schema, _, data = made
    known = {p.stem: json.loads(p.read_text()) for p in data.vocabularies.glob("*.json")}
    arrays = to_arrays(schema, table, labels=False)
    rates = drift.describe(schema, table, arrays, known)
    report = drift.compare(schema, arrays, rates, data.card, drift.Limits())
    return {name: found["missing"] for name, found in rates.items()}, report["drifted"]


EXPECTED = {name: absent / 10 for name, (_, _, absent) in COLUMNS.items()}


def test_the_card_counts_cells_without_a_value(made):
    features = made[2].card["features"]
    for part in made[2].parts:  # 60 rows a day
        assert {n: f["missing"][part] for n, f in features.items()} == pytest.approx(EXPECTED)


def test_the_raw_table_has_not_drifted(made):
    missing, drifted = measured(made, made[1])
    assert missing == pytest.approx(EXPECTED)
    assert drifted == {}


def test_the_prepared_rows_have_not_drifted(made):
    """Where a stand-in hides which values were missing, the report does not say."""
    data = made[2]
    missing, drifted = measured(made, pa.concat_tables([data.table(part) for part in data.parts]))
    hidden = {name for name, rate in missing.items() if rate is None}
    assert hidden == {"id_or_7", "word_or_none", "count", "price_or_0", "tags_or_none"}
    told = {name: rate for name, rate in missing.items() if rate is not None}
    assert told == pytest.approx({name: EXPECTED[name] for name in told})
    assert drifted == {}


def test_lists_that_became_empty_are_seen(made):
    table = made[1]
    column = pa.array([[]] * ROWS, table.schema.field("tags").type)
    place = table.column_names.index("tags")
    missing, drifted = measured(made, table.set_column(place, "tags", column))
    assert missing["tags"] == 1.0
    assert drifted["tags"] == ["missing values changed by +60.0%, beyond 5%"]
