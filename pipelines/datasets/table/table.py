"""Any table of exposures: CSV or Parquet files that hold every column that the schema names.

With a time column the rows are split by it: the last two days are test, the two before validation,
as for every other data set; where the table spans fewer than five days, the last tenth of the rows
is test and the tenth before validation. Without one, rows are drawn; rows that are equal fall into
the same part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from idefn_tf.data import csv_files, find_files
from idefn_tf.history.event_log import read_values
from idefn_tf.schema import DType, Labels, Schema
from idefn_tf.schema.moments import per_second
from pipelines.preparation import (
    attribution_window,
    checks,
    column_kinds,
    encode,
    text_forms,
    time_units,
    times,
)
from pipelines.preparation.checks import Report
from pipelines.preparation.encode import SAMPLE_WEIGHT
from pipelines.preparation.engine import Engine, translated_errors
from pipelines.preparation.observation import written
from pipelines.preparation.raw_log import Dataset, Exposures, Request
from pipelines.preparation.split import NamedParts, Split, last_days
from pipelines.preparation.split import days as days_of

#: Columns that this reader makes.
_MADE = ("row_id", "day", "part")
#: Shares of the rows where there are too few days to split by.
_VALIDATION, _TEST = 0.1, 0.1
_FEWEST_DAYS = 5


def sources(raw: Path, options: Mapping[str, Any]) -> list[Path]:
    """Lists the files of a table.

    Raises:
        ValueError: if there are none, or other than CSV and Parquet.
    """
    files = [Path(file) for file in find_files(raw)]
    other = sorted({file.suffix for file in files} - {".csv", ".parquet"})
    if other:
        raise ValueError(f"--raw: {raw} must hold CSV or Parquet files, received {other}; convert")
    return files


def read(engine: Engine, request: Request, report: Report) -> Exposures:
    """Builds one row per exposure, in the order of time."""
    schema = request.schema
    wanted = _wanted(schema)
    time, words = schema.labels.exposure_time, schema.missing_words
    unit, zone = schema.labels.time_unit, schema.labels.time_zone
    files = _with_rows(request.files)
    tables = {path: engine.read(path, {*wanted, SAMPLE_WEIGHT}) for path in files}
    if any(SAMPLE_WEIGHT in table.columns for table in tables.values()):
        wanted[SAMPLE_WEIGHT] = "float32"
    pieces = []
    for path, table in tables.items():
        if time is not None and time not in table.columns:
            raise ValueError(
                f"{path.name}: the column {time!r} (labels.exposure_time) must be there, received "
                f"{pq.read_schema(path).names if path.suffix == '.parquet' else table.columns}; "
                "correct the schema"
            )
        column_kinds.check(table, schema, path.name)
        comma = path.suffix == ".csv" and csv_files.delimiter_of(path) != ","
        made = _unclicked_are_unconverted(table, schema.labels)
        for name in schema.labels.times:
            if name == time or name in table.columns:
                time_units.check(table, name, unit, path.name, report)
                made[name] = at = times.epoch(table[name], unit, zone)
                rule = times.rule(name, table[name], at, unit, path.name)
                checks.apply(table, [rule], (), report)
        pieces.append(checks.typed(table.mutate(**made), wanted, path.name, report, words, comma))
    report.raise_if_failed()
    table = ibis.union(*pieces) if len(pieces) > 1 else pieces[0]
    if time is None:
        return _drawn(engine, table, list(wanted), report)
    return _by_time(engine, table, request, report)


def _with_rows(files: Sequence[Path]) -> Sequence[Path]:
    """Leaves out Parquet files without rows, whose columns may be of any type."""
    some = [path for path in files if path.suffix != ".parquet" or pq.read_metadata(path).num_rows]
    return some or files


def auto_split(days: Sequence[int]) -> Split:
    """Splits by the last days."""
    return last_days(days)


def _wanted(schema: Schema) -> dict[str, DType | None]:
    wanted: dict[str, DType | None] = dict.fromkeys(schema.labels.columns[:2], "int64")
    for feature in schema.recorded:
        wanted[feature.source] = None if feature.multi_valued else feature.dtype
        if feature.weights:
            wanted[feature.weights] = None
    wanted |= dict.fromkeys(schema.labels.times, "int64")
    wanted |= dict.fromkeys(read_values(schema), "float32")
    wanted |= encode.probability_column(schema)
    clash = sorted(set(_MADE) & set(wanted))
    if clash:
        raise ValueError(
            f"schema: preparation makes the columns {clash} itself; rename them in the table"
        )
    return wanted


def _unclicked_are_unconverted(table: ir.Table, labels: Labels) -> dict[str, ir.Value]:
    """Takes an empty conversion for 0 on unclicked rows, where many logs write nothing."""
    if labels.click not in table.columns or labels.conversion not in table.columns:
        return {}
    click = text_forms.as_dtype(table[labels.click], "int64")
    conversion = table[labels.conversion]
    if conversion.type().is_null():
        conversion = conversion.cast("int64")
    zero = ibis.literal("0" if conversion.type().is_string() else 0).cast(conversion.type())
    filled = (click == 0) & ~text_forms.present(conversion, "int64")
    return {labels.conversion: ibis.ifelse(filled, zero, conversion)}


def _by_time(engine: Engine, table: ir.Table, request: Request, report: Report) -> Exposures:
    schema = request.schema
    time = schema.labels.exposure_time or ""
    unit, zone = schema.labels.time_unit, schema.labels.time_zone
    with translated_errors("reading the table"):
        nulls = int(table[time].isnull().sum().execute() or 0)
    if nulls:
        raise ValueError(
            f"labels.exposure_time: {time!r} must be a time on every row, and is none on "
            f"{nulls:,}; correct them, or remove exposure_time from the schema"
        )
    table, immature = attribution_window.apply(table, schema, request.as_of, report)
    if zone != "UTC":
        report.notes.append(f"days begin at midnight in {zone}")
    order = [time, *(name for name in table.columns if name != time)]
    table = table.mutate(day=times.days(table[time], unit, zone))
    table = engine.numbered(table, order, "row_id")
    time_units.warn_of_far_rows(table, time, unit, report)
    if len(days_of(table)) >= _FEWEST_DAYS:
        return Exposures(table, keys=(time,), immature=immature)
    return replace(_by_share(engine, table, schema.labels, report), immature=immature)


def _by_share(engine: Engine, table: ir.Table, labels: Labels, report: Report) -> Exposures:
    """Splits by time into 80, 10 and 10 % of the rows.

    Rows of one moment stay together, unless that would leave a part without rows (times without a
    time of day): then they are drawn within their moment.
    """
    time = labels.exposure_time or ""
    with translated_errors("reading the table"):
        rows = int(table.count().execute())
        at = [int((1 - _VALIDATION - _TEST) * rows), int((1 - _TEST) * rows)]
        found = table.filter(table["row_id"].isin(at)).order_by("row_id").select(time)
        cuts = found.to_pyarrow()[time].to_pylist()
        first = table[time].min().execute()
    if not first < cuts[0] < cuts[-1]:
        return _drawn_by_moment(engine, table, time, at, report)
    part = ibis.cases(
        (table[time] < cuts[0], "train"), (table[time] < cuts[-1], "validation"), else_="test"
    )
    table = table.mutate(part=part)
    second = per_second(labels.time_unit)
    first_cut, last_cut = written(cuts[0], second), written(cuts[-1], second)
    rules = {
        "train": f"{time} before {first_cut}",
        "validation": f"{time} from {first_cut} to before {last_cut}",
        "test": f"{time} from {last_cut}",
    }
    report.notes.append(
        f"fewer than {_FEWEST_DAYS} days: split by {time} into 80, 10 and 10 % of the rows"
    )
    return Exposures(table, keys=(time,), split=NamedParts(rules))


def _drawn_by_moment(
    engine: Engine, table: ir.Table, time: str, at: Sequence[int], report: Report
) -> Exposures:
    """Splits by time at exact places; which rows of a moment come first is drawn."""
    order = [table[name] for name in table.columns if name not in _MADE]
    spread = _spread(ibis.dense_rank().over(order_by=order))
    table = engine.keep(table.mutate(drawn=spread))
    place = ibis.row_number().over(order_by=[table[time], table["drawn"], table["row_id"]])
    table = engine.keep(table.mutate(place=place))
    part = ibis.cases(
        (table["place"] < at[0], "train"), (table["place"] < at[1], "validation"), else_="test"
    )
    table = table.mutate(part=part).drop("drawn", "place")
    rules = {
        "train": f"the first {1.0 - _VALIDATION - _TEST:.0%} of the rows by {time}",
        "validation": f"the {_VALIDATION:.0%} that follow",
        "test": f"the last {_TEST:.0%}",
    }
    report.notes.append(
        f"fewer than {_FEWEST_DAYS} days, and too few moments in {time}: split by it into 80, 10 "
        "and 10 % of the rows, drawn within a moment"
    )
    return Exposures(table, keys=(time,), split=NamedParts(rules))


def _spread(rank: ir.IntegerValue) -> ir.IntegerValue:
    """Returns Knuth's multiplicative hash of a rank: the same on every engine."""
    return (rank.cast("int64") * 2_654_435_761) % 4_294_967_296


def _drawn(engine: Engine, table: ir.Table, columns: list[str], report: Report) -> Exposures:
    """Draws 10 % of the rows for validation and 10 % for test; equal rows share their part."""
    order = [table[name] for name in columns]
    table = engine.keep(
        table.mutate(
            row_id=ibis.row_number().over(order_by=order),
            group_of_equals=ibis.dense_rank().over(order_by=order),
        )
    )
    share = _spread(table["group_of_equals"]).cast("float64") / 4_294_967_296.0
    train = 1.0 - _VALIDATION - _TEST
    part = ibis.cases((share < train, "train"), (share < 1.0 - _TEST, "validation"), else_="test")
    table = table.mutate(part=part).drop("group_of_equals")
    report.notes.append("no exposure time in the schema: validation and test rows were drawn")
    rules = {
        "train": f"{train:.0%} of the rows, drawn",
        "validation": f"{_VALIDATION:.0%} of the rows, drawn",
        "test": f"{_TEST:.0%} of the rows, drawn",
    }
    return Exposures(table, split=NamedParts(rules))


TABLE = Dataset(command="table", schema="", sources=sources, read=read, auto_split=auto_split)
