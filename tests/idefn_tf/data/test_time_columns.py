"""Columns of times: numbers, days, dates, timestamps and text, read as preparation reads them."""

import datetime as dt

import pyarrow as pa
import pytest

from idefn_tf.data.time_columns import time_array
from idefn_tf.schema import Schema

NOON = 1_714_564_800  # 2024-05-01 12:00:00 UTC
FIRST = dt.datetime(2024, 5, 1, 12)


def schema(unit="s", zone="UTC"):
    labels = {"click": "c", "conversion": "v", "exposure_time": "at", "time_unit": unit}
    user = {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}
    return Schema.parse(
        {"name": "shop", "features": [user], "labels": {**labels, "time_zone": zone},
         "missing_words": ["?"]}
    )  # fmt: skip


def read(values, of=None):
    column = values if isinstance(values, pa.Array) else pa.array(values)
    return time_array(of or schema(), pa.table({"at": column}), "at")


@pytest.mark.parametrize(
    "values",
    [
        [NOON, None],
        [float(NOON), None],
        [str(NOON), "?"],
        ["2024-05-01 12:00:00", ""],
        ["2024-05-01T14:00:00+02:00", "NA"],
        ["1.5.2024 12:00", None],
        pa.array([FIRST, None], pa.timestamp("us")),
        pa.array([FIRST, None], pa.timestamp("ns", "Asia/Shanghai")),
    ],
)
def test_every_form_of_a_time_is_the_same_moment(values):
    found, missing = read(values)
    assert found.tolist() == [NOON, -1]
    assert missing.tolist() == [False, True]


@pytest.mark.parametrize(
    "values", [[20240501], ["20240501"], ["2024-05-01"], pa.array([dt.date(2024, 5, 1)])]
)
def test_a_day_is_its_midnight_in_the_zone(values):
    assert read(values)[0].tolist() == [NOON - 12 * 3600]
    assert read(values, schema(zone="Asia/Kolkata"))[0].tolist() == [NOON - 17.5 * 3600]


def test_clocks_without_an_offset_are_read_in_the_zone():
    zone = schema("ms", "America/New_York")
    naive, zoned = ["2024-05-01 08:00:00.250"], ["2024-05-01 12:00:00.250Z"]
    assert read(naive, zone)[0].tolist() == read(zoned, zone)[0].tolist() == [NOON * 1000 + 250]
    stamps = pa.array([dt.datetime(2024, 5, 1, 8)], pa.timestamp("ms"))
    assert read(stamps, zone)[0].tolist() == [NOON * 1000]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1, -5], "at: times must be 0 or more s since 1970, received -5 in row 1"),
        ([-1], "received -1 in row 0"),
        (["soon"], "column 'at' must hold times, received 'soon' in row 0"),
        ([1.5], "column 'at' must hold times, received 1.5 in row 0"),
        (["1960-01-01"], "received -315619200 in row 0"),
    ],
)
def test_what_is_no_time_is_an_error_with_its_row(values, sentence):
    with pytest.raises(ValueError, match="must") as error:
        read(values)
    assert sentence in str(error.value)
