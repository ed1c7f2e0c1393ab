"""Numbers that are times of another unit than the schema says, and times far beyond the others."""

from __future__ import annotations

import ibis.expr.types as ir

from idefn_tf.schema import cells
from idefn_tf.schema.moments import SECONDS, per_second, wrong_unit
from pipelines.preparation import text_forms
from pipelines.preparation.engine import translated_errors
from pipelines.preparation.findings import Report
from pipelines.preparation.times import DAYS, Unit

#: YYYYMMDDHH from 1970 to 2199, of which seconds since 1970 look like the year 2032 and later.
_HOURS = (1_970_010_100, 2_199_123_123)
_YEAR = 366 * 86_400
#: A time is far beyond if it lies a year after so many of the rows.
_SHARE = 0.999


def check(table: ir.Table, name: str, unit: Unit, source: str, report: Report) -> None:
    """Refuses whole numbers that are times of another unit.

    Args:
        table: a raw table.
        name: its column of times.
        unit: the schema's unit.
        source: the file.
        report: takes a warning where all of them lie in 1970.

    Raises:
        ValueError: naming column, unit and file.
    """
    value = table[name]
    if not (value.type().is_string() or value.type().is_numeric()):
        return
    number = text_forms.as_dtype(value, "int64")
    numbers = table.select(n=number).filter(number.notnull() & ~number.between(*DAYS))
    n = numbers["n"]
    month, day, hour = n // 10_000 % 100, n // 100 % 100, n % 100
    is_hour = n.between(*_HOURS) & month.between(1, 12) & day.between(1, 31) & (hour < 24)
    with translated_errors(f"reading {source}"):
        found = numbers.aggregate(
            rows=n.count(), greatest=n.max(), hours=is_hour.cast("int64").sum()
        ).to_pyarrow()
    rows, greatest, hours = (found[c][0].as_py() for c in ("rows", "greatest", "hours"))
    if not rows:
        return
    head = f"{name}: must hold {'milliseconds' if unit == 'ms' else 'seconds'} since 1970 "
    head += f"(labels.time_unit: {unit}; in {source}), received "
    if unit == "s" and hours == rows:
        raise ValueError(
            f"{head}numbers that all read as YYYYMMDDHH, such as {greatest}: ambiguous; write "
            "texts such as 2024-05-01T10:00"
        )
    if cure := wrong_unit(greatest, unit):
        late, early = f"{greatest}, beyond the year 2200", f"nothing after 1970, at most {greatest}"
        said = late if unit == "s" else early
        raise ValueError(f"{head}{said}; {cure}")
    if unit == "ms" and 0 < greatest < SECONDS[0]:
        report.warnings.append(f"{head}nothing after January 1970, at most {greatest}")


def warn_of_far_rows(table: ir.Table, time: str, unit: Unit, report: Report) -> None:
    """Warns of rows that lie a year beyond nearly all others: they move the days of the split.

    Args:
        table: exposures with `row_id` in the order of time.
        time: the column of their time.
        unit: the schema's unit.
        report: takes the warning.
    """
    factor = per_second(unit)
    with translated_errors("reading the table"):
        rows = int(table.count().execute())
        if not rows:
            return
        at = int(_SHARE * (rows - 1))
        usual = table.filter(table["row_id"] == at)[time].to_pyarrow()[0].as_py()
        far = table.filter(table[time] > usual + _YEAR * factor).order_by(table[time].desc())
        shown = far.limit(1).to_pyarrow().to_pylist()
        count = int(far.count().execute()) if shown else 0
    if shown:
        row = {k: v for k, v in shown[0].items() if k not in ("row_id", "part", "day")}
        told = ", ".join(f"{k}={cells.shown(v)}" for k, v in list(row.items())[:6])
        days = (shown[0][time] - usual) // factor // 86_400
        report.warnings.append(
            f"{time}: {count:,} of {rows:,} rows lie more than a year beyond the others and move "
            f"the days of the split, the last by {days:,} days ({told}); correct or remove them"
        )
