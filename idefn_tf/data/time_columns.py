"""Columns of times as whole units since 1970: as preparation reads them, without an engine.

Whole numbers in the schema's unit, days written YYYYMMDD, dates, timestamps and text are
understood. What has no offset was read from a clock in `labels.time_zone`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from idefn_tf.data.convert import Place, read
from idefn_tf.data.files import column_values
from idefn_tf.schema import Labels, Schema, cells, zones
from idefn_tf.schema.labels import EXPOSURE_TIME
from idefn_tf.schema.moments import per_second

#: Whole numbers in this span are days written YYYYMMDD.
_DAYS = (19_000_101, 29_991_231)
_NANOSECONDS = 10**9


def row_time(schema: Schema, names: Collection[str]) -> str | None:
    """Returns which column holds the rows' time, under its own or its prepared name."""
    wanted = (schema.labels.exposure_time, EXPOSURE_TIME)
    return next((name for name in wanted if name in names), None)


def time_array(
    schema: Schema,
    table: pa.Table,
    column: str,
    first_row: int = 0,
    happened: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a column of times in the schema's unit, int64 [n], and where one is missing.

    Args:
        schema: says unit and zone.
        table: holds the column.
        column: its name.
        first_row: the number of the table's first row, for errors.
        happened: rows whose cell counts, bool [n]; on others it is missing, whatever it holds.

    Raises:
        ValueError: naming column and row, if a value is no time, or lies before 1970.
    """
    found, labels = column_values(table, column), schema.labels
    if happened is not None:  # many logs write 0 or -1 where nothing happened
        found = pc.if_else(pa.array(happened), found, pa.scalar(None, found.type))
    if pa.types.is_temporal(found.type):
        values, missing = _stamps(found, labels)
    elif pa.types.is_string(found.type) or pa.types.is_large_string(found.type):
        values, missing = _texts(found, _place(column, schema, first_row), schema)
    else:
        values, missing = read(found, _place(column, schema, first_row))
        values = _with_days(values, labels)
    values[missing] = -1
    wrong = (values < 0) & ~missing
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"{column}: times must be 0 or more {labels.time_unit} since 1970, received "
            f"{values[at]} in row {first_row + at};\nleave out the row, or write its time"
        )
    return values, missing


def _place(column: str, schema: Schema, first_row: int) -> Place:
    unit = "milliseconds" if schema.labels.time_unit == "ms" else "seconds"
    rule = f"column {column!r} must hold times"
    cure = f"write 2024-05-01 10:00:00, with an offset or without, or whole {unit} since 1970"
    return Place(column, "int64", schema.missing_words, first_row, rule, cure)


def _stamps(found: pa.Array, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    zoned = pa.types.is_timestamp(found.type) and found.type.tz is not None
    fine = found.cast(pa.timestamp("ns", found.type.tz if zoned else None)).cast(pa.int64())
    missing = np.asarray(fine.is_null().to_numpy(zero_copy_only=False), bool)
    ticks = pc.fill_null(fine, 0).to_numpy() // (_NANOSECONDS // per_second(labels.time_unit))
    return (ticks if zoned else _to_utc(ticks, labels)), missing


def _with_days(values: np.ndarray, labels: Labels) -> np.ndarray:
    """Reads YYYYMMDD as that day's midnight."""
    dated = (values >= _DAYS[0]) & (values <= _DAYS[1])
    for day in np.unique(values[dated]):
        year, month, dom = int(day) // 10_000, int(day) // 100 % 100, int(day) % 100
        try:
            since = (date(year, month, dom) - date(1970, 1, 1)).days
        except ValueError:
            continue  # no day of a calendar: a number like others
        midnight = _to_utc(np.array([since * 86_400 * per_second(labels.time_unit)]), labels)
        values = np.where(values == day, midnight, values)
    return values


def _texts(found: pa.Array, place: Place, schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """Reads every distinct text once."""
    labels = schema.labels
    coded = pc.fill_null(found, "").dictionary_encode()
    distinct = coded.dictionary.to_pylist()
    ticks, clock = np.zeros(len(distinct), np.int64), np.zeros(len(distinct), bool)
    missing, wrong = np.zeros(len(distinct), bool), np.zeros(len(distinct), bool)
    for i, text in enumerate(distinct):
        moment = cells.read_time(text)
        number = None if moment else cells.read_whole(text)
        if moment is not None:
            ticks[i] = moment.nanoseconds // (_NANOSECONDS // per_second(labels.time_unit))
            clock[i] = not moment.zoned
        elif number is not None:
            ticks[i] = _with_days(np.array([number]), labels)[0]
        elif cells.is_missing(text, "int64", schema.missing_words):
            missing[i] = True
        else:
            wrong[i] = True
    ticks = np.where(clock, _to_utc(ticks, labels), ticks)
    at = coded.indices.to_numpy()
    place.first(wrong[at], found)
    return ticks[at], missing[at]


def _to_utc(ticks: np.ndarray, labels: Labels) -> np.ndarray:
    """Returns what clocks of `labels.time_zone` showed as time of UTC."""
    zone, second = zones.offsets(labels.time_zone), per_second(labels.time_unit)
    east = np.searchsorted(zone.clock_changes, np.floor_divide(ticks, second), side="right")
    shifted: np.ndarray = ticks - np.asarray(zone.seconds)[east] * second
    return shifted
