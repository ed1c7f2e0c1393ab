"""Event logs: what is written is read, and what overlaps counts once."""

import numpy as np
import pandas as pd
import pytest

from idefn_tf.data import read_table
from idefn_tf.history import event_log
from idefn_tf.history.as_of import NEVER
from idefn_tf.schema import Schema

SCHEMA = Schema.parse(
    {
        "name": "shop",
        "features": [
            {"name": "user", "column": "uid", "dtype": "int64", "side": "user",
             "kind": "vocabulary"},
            {"name": "item", "dtype": "string", "side": "item", "kind": "vocabulary"},
            {"name": "colour", "dtype": "string", "side": "item", "kind": "vocabulary"},
        ],
        "labels": {"click": "c", "conversion": "v", "exposure_time": "at", "time_unit": "s"},
        "history": {"aggregates": [
            {"key": ["user", "item"], "events": ["conversion"], "measures": ["sum"],
             "value": "price"}]},
    }
)  # fmt: skip
ROWS = pd.DataFrame(
    {"uid": [1, 1, 2], "item": ["a", None, "é"], "c": [1, 0, 1], "v": [1, 1, 0],
     "at": pd.array([10, 20, None], "Int64"), "price": [1.5, None, 3.0]}
)  # fmt: skip


def log_of(rows):
    return event_log.from_table(SCHEMA, read_table(rows, SCHEMA))


def test_events_have_the_keys_times_and_values_of_their_rows():
    log = log_of(ROWS)
    assert (len(log), log.dropped) == (2, 1)
    assert log.features["user"].tolist() == [1, 1]
    assert log.features["item"].tolist() == [b"a", b""]
    assert log.known["click"].tolist() == [10, NEVER]
    assert log.known["conversion"].tolist() == [10, NEVER]  # the second is of no click
    assert log.happened["conversion"].tolist() == [True, False]
    assert log.values["price"].tolist() == [1.5, 0.0]
    assert set(log.features) == {"user", "item"}


@pytest.mark.parametrize("column", ["clicked_at", "bought_at"])
def test_events_without_a_column_of_times_that_the_schema_names_are_refused(column):
    times = {"click_time": "clicked_at", "conversion_time": "bought_at"}
    timed = SCHEMA.model_copy(update={"labels": SCHEMA.labels.model_copy(update=times)})
    rows = ROWS.assign(clicked_at=[11, None, None], bought_at=[12, None, None])
    known = event_log.from_table(timed, read_table(rows, timed)).known
    assert (known["click"].tolist(), known["conversion"].tolist()) == ([11, NEVER], [12, NEVER])
    with pytest.raises(ValueError, match=f"events: must hold the column '{column}'"):
        event_log.from_table(timed, read_table(rows.drop(columns=[column]), timed))


def test_what_is_written_is_read(tmp_path):
    log = log_of(ROWS.assign(at=[5, 6, 7]))
    event_log.write(log, tmp_path / "events.parquet")
    found = event_log.read(str(tmp_path / "events.parquet"))
    for part in event_log.PARTS:
        for name, values in getattr(log, part).items():
            read = getattr(found, part)[name]
            assert read.dtype == values.dtype
            np.testing.assert_array_equal(read, values)


def test_a_file_that_is_no_log_is_an_error_with_its_name(tmp_path):
    path = tmp_path / "events.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="events"):
        event_log.read(str(path))
    pd.DataFrame({"user": [1]}).to_parquet(path)
    with pytest.raises(ValueError, match="must be events that preparation wrote"):
        event_log.read(str(path))


def test_joined_logs_count_what_they_share_once():
    rows = ROWS.assign(at=[5, 5, 7])
    later = ROWS.assign(at=[7, 8, 9])
    joined = event_log.joined([log_of(rows), log_of(pd.concat([rows, later])), log_of(later)])
    assert joined.known["exposure"].tolist() == [5, 5, 7, 7, 8, 9]
    twice = event_log.joined([log_of(rows), log_of(pd.concat([rows, rows]))])
    assert len(twice) == 6


def test_logs_of_other_schemas_do_not_join():
    log, other = log_of(ROWS), log_of(ROWS)
    other.features.pop("item")
    with pytest.raises(ValueError, match="'item'"):
        event_log.joined([log, other])


def test_a_log_until_a_moment_does_not_know_what_came_later():
    labels = {"click_time": "clicked_at", "conversion_time": "bought_at"}
    made = SCHEMA.model_copy(update={"labels": SCHEMA.labels.model_copy(update=labels)})
    rows = pd.DataFrame(
        {"user": [1, 2, 3, 4], "item": ["a"] * 4, "click": 1, "conversion": [1, 1, 0, 1],
         "at": [1, 2, 3, 9], "clicked_at": [2, 3, 8, 9], "bought_at": [4, 7, None, 9],
         "price": 1.0}
    )  # fmt: skip
    whole = event_log.from_table(made, read_table(rows))
    found = event_log.until(whole, 5)
    never = event_log.NEVER
    assert found.known["exposure"].tolist() == [1, 2, 3]
    assert found.known["click"].tolist() == [2, 3, never]
    assert found.known["conversion"].tolist() == [4, never, never]
    assert found.happened["click"].tolist() == [True, True, False]
    assert found.happened["conversion"].tolist() == [True, False, False]
    assert event_log.until(whole, 9).known["click"].tolist() == [2, 3, 8, 9]
