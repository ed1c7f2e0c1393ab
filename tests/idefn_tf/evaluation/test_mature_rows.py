"""Mature rows: prepared rows say which they are, raw rows are told from their times."""

import pandas as pd
import pyarrow as pa
import pytest

from idefn_tf.evaluation.mature_rows import mature_rows, said
from idefn_tf.schema import Schema

HOUR = 3600


def schema(start="click", **labels):
    times = {"exposure_time": "shown", "click_time": "clicked", "conversion_time": "sold"}
    window = {"window_hours": 10, "from": start}
    return Schema.parse(
        {
            "name": "shop",
            "labels": {"click": "c", "conversion": "v", "time_unit": "s", "attribution": window,
                       **times, **labels},
            "features": [{"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}],
        }
    )  # fmt: skip


def raw():
    """Hours; the log ends at 20 h, for 99 h is late; from the exposure 20 h is, too: at 13 h."""
    table = pd.DataFrame(
        {"shown": [1, 8, 8, 11, 12], "clicked": [2, 11, None, None, 13],
         "sold": [99, 20, None, None, None]}, dtype="float64",
    )  # fmt: skip
    table = (table * HOUR).astype("Int64")
    table["c"], table["v"] = table["clicked"].notna(), table["sold"].notna()
    return table.assign(user=range(5))


@pytest.mark.parametrize(("start", "kept"), [("click", [0, 2]), ("exposure", [0])])
def test_raw_rows_are_told_as_of_the_latest_time(start, kept):
    table = pa.Table.from_pandas(raw())
    found, left_out = mature_rows(schema(start), table)
    assert found["user"].to_pylist() == kept
    assert left_out == 5 - len(kept)


def test_prepared_rows_say_it_themselves():
    table = pa.table({"user": [1, 2, 3], "window_open": pa.array([0, 1, 0], pa.int8())})
    found, left_out = mature_rows(schema(), table)
    assert (found["user"].to_pylist(), left_out) == ([1, 3], 1)
    assert said(2, 1) == "1 rows with an open attribution window are left out, 2 rows count"


def test_where_nothing_tells_all_rows_stay():
    table = pa.Table.from_pandas(raw())
    assert mature_rows(schema(conversion_time=None), table) == (table, 0)
    assert mature_rows(schema(), table.drop_columns(["sold"]))[1] == 0
    assert mature_rows(schema(attribution=None), table)[1] == 0


def test_only_open_rows_are_refused():
    table = pa.table({"user": [1, 2], "window_open": [1, 1]})
    with pytest.raises(ValueError, match="rows: must hold some whose attribution window"):
        mature_rows(schema(), table)
