"""Maturity: which rows can still become conversions, and what is done with them.

A conversion may follow its click by the attribution window. Rows whose window was open when the
log ended are immature: their conversion is unknown, not 0. All of them are left out, converted or
not, clicked or not (leaving out some kinds only would bend the rates), or kept with the elapsed
share of their window as sample weight.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from idefn_tf.schema import Schema
from idefn_tf.schema.moments import per_second, read_moment
from pipelines.preparation import late_conversions
from pipelines.preparation.checks import Report
from pipelines.preparation.encode import SAMPLE_WEIGHT
from pipelines.preparation.engine import translated_errors


def apply(
    table: ir.Table, schema: Schema, as_of: int | None, report: Report
) -> tuple[ir.Table, dict[str, Any]]:
    """Leaves out or weighs the immature rows, where the schema states an attribution window.

    The window opens at the exposure, or at the click (`labels.attribution.from`; of a row without
    a click at its exposure). It has closed when that time + window <= `as_of`. Conversions that
    came after it count as none (`late_conversions`).

    Args:
        table: the exposures, with their time in the schema's unit.
        schema: states `labels.attribution` and `labels.immature`.
        as_of: when the log ended; the latest exposure by default.
        report: takes a note.

    Returns:
        The exposures, and what was done, for the data card; nothing without a window.

    Raises:
        ValueError: if the log ends before it begins, or no row is mature.
    """
    labels = schema.labels
    table, late = late_conversions.cut(table, schema, tuple(labels.times), report)
    stated = labels.attribution
    if stated is None:
        return table, late
    shown = table[labels.exposure_time or ""].cast("int64")
    time = late_conversions.opens(table, labels)
    second = per_second(labels.time_unit)
    window = round(stated.window_hours * 3600 * second)
    with translated_errors("looking for open windows"):
        span = table.aggregate(first=shown.min(), last=shown.max())
        first, last = span.to_pyarrow().to_pylist()[0].values()
        end = int(last) if as_of is None else as_of
        open_rows = int((time + window > end).sum().execute() or 0)
        rows = int(table.count().execute())
    if end < int(last):
        raise ValueError(
            f"--as-of: must not lie before the latest exposure {last} "
            f"({_written(int(last), second)}), received {end}; say when conversions were counted"
        )
    if labels.immature == "drop" and open_rows == rows:
        raise ValueError(
            f"labels.attribution: the window of every row is still open at {end} "
            f"({_written(end, second)}; the first exposure is of {_written(int(first), second)}); "
            "wait, give --as-of the time at which conversions were counted, or set "
            "labels.immature: weight"
        )
    done = {
        "window_hours": stated.window_hours,
        "from": stated.from_,
        "as_of": end,
        "rows": open_rows,
        "treatment": labels.immature,
        **late,
    }
    if open_rows:
        words = {"drop": "left out", "weight": "weighed by the elapsed share of their window"}
        report.notes.append(
            f"{open_rows:,} of {rows:,} rows have an attribution window of "
            f"{stated.window_hours:g} h still open at {_written(end, second)}: "
            f"{words[labels.immature]}"
        )
    if labels.immature == "drop":
        table = table.filter(time + window <= end)
    else:
        elapsed: ir.FloatingValue = (end - time).cast("float64") / float(window)
        weight = ibis.ifelse(elapsed > 1.0, 1.0, elapsed)
        if SAMPLE_WEIGHT in table.columns:
            weight *= table[SAMPLE_WEIGHT].fill_null(1.0)
        table = table.mutate(**{SAMPLE_WEIGHT: weight.cast("float32")})
    return table, done


def _written(time: int, second: int) -> str:
    return datetime.fromtimestamp(time // second, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def read_time(text: str, unit: str, zone: str = "UTC") -> int:
    """Reads ``--as-of``: a day or a moment in ISO form, or a number.

    Args:
        text: the option.
        unit: the schema's unit.
        zone: where a moment without an offset is read from a clock.

    Raises:
        ValueError: if it is neither.
    """
    try:
        return read_moment(text, unit, zone)
    except ValueError:
        raise ValueError(
            f"--as-of: must be a moment such as 2024-05-08 or 2024-05-08T06:00, received {text!r}"
        ) from None
