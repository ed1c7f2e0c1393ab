"""Maturity: which rows can still become conversions, and what is done with them.

A conversion may follow its click by the attribution window. Rows whose window was open when the
log ended are immature: their conversion is unknown, not 0. All of them are left out, converted or
not, clicked or not (leaving out some kinds only would bend the rates), or kept: with the elapsed
share of their window as sample weight, or as they are, for methods that know of delays.
"""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from idefn_tf.schema import Attribution, Labels, Schema
from idefn_tf.schema.moments import per_second, read_moment
from pipelines.preparation import late_conversions, observation
from pipelines.preparation.checks import Report
from pipelines.preparation.encode import SAMPLE_WEIGHT
from pipelines.preparation.engine import translated_errors
from pipelines.preparation.observation import Observed, written

_TREATED = {
    "drop": "left out",
    "weight": "weighed by the elapsed share of their window",
    "keep": "kept, with the label known by then",
}


def apply(
    table: ir.Table, schema: Schema, as_of: int | None, report: Report
) -> tuple[ir.Table, dict[str, Any]]:
    """Leaves out what came after the observation time, and immature rows where that is asked.

    The window opens at the exposure, or at the click (`labels.attribution.from`; of a row without
    a click at its exposure). It has closed when that time + window <= `as_of`. Conversions that
    came after it count as none (`late_conversions`).

    Args:
        table: the exposures, with their time in the schema's unit.
        schema: states `labels.attribution` and `labels.immature`.
        as_of: the observation time; by default when the log ended.
        report: takes notes.

    Returns:
        The exposures, and what was done, for the data card; nothing without windows and times.

    Raises:
        ValueError: if `as_of` lies before the first exposure, the schema's times do not tell what
            was known then, or no row is mature.
    """
    labels = schema.labels
    if labels.exposure_time is None:
        if as_of is not None:
            raise ValueError(
                f"--as-of: must go with labels.exposure_time, received {as_of} without; name the "
                "column of the exposures' times"
            )
        return table, {}
    stated = labels.attribution
    table, late = late_conversions.cut(table, schema, tuple(labels.times), report)
    if stated is None and not labels.delayed and as_of is None:
        return table, late
    observed = observation.observe(table, labels, as_of)
    table, after = observation.until(table, labels, observed, tuple(labels.times), report)
    if stated is not None:
        table, window = _by_window(table, labels, stated, observed, report)
        return table, {**window, **late, **after}
    if labels.delayed or after:
        return table, {"as_of": observed.as_of, **late, **after}
    return table, late


def _by_window(
    table: ir.Table, labels: Labels, stated: Attribution, observed: Observed, report: Report
) -> tuple[ir.Table, dict[str, Any]]:
    end, second = observed.as_of, per_second(labels.time_unit)
    # a click that was not known yet had opened no window
    time = late_conversions.opens(table, labels, end if observed.early else None)
    window = late_conversions.width(labels)
    with translated_errors("looking for open windows"):
        counted = table.aggregate(open=(time + window > end).sum(), rows=table.count())
        open_rows, rows = (int(n or 0) for n in counted.to_pyarrow().to_pylist()[0].values())
    if labels.immature == "drop" and open_rows == rows:
        first = observed.first
        raise ValueError(
            f"labels.attribution: the window of every row is still open at {end} "
            f"({written(end, second)}; the first exposure is of {written(first, second)}); "
            "wait, give --as-of the time at which conversions were counted, or set "
            "labels.immature: weight"
        )
    done = {
        "window_hours": stated.window_hours,
        "from": stated.from_,
        "as_of": end,
        "rows": open_rows,
        "treatment": labels.immature,
    }
    if open_rows:
        report.notes.append(
            f"{open_rows:,} of {rows:,} rows have an attribution window of "
            f"{stated.window_hours:g} h still open at {written(end, second)}: "
            f"{_TREATED[labels.immature]}"
        )
    if labels.immature == "drop":
        table = table.filter(time + window <= end)
    return table, done


def weigh(rows: ir.Table, labels: Labels, end: int | ir.IntegerValue) -> ir.Table:
    """Gives rows the elapsed share of their window as sample weight, 1 where it has closed.

    Args:
        rows: the exposures, with what is known of their clicks.
        labels: state the window.
        end: the moment at which each row's labels are known.
    """
    elapsed: ir.FloatingValue = (end - late_conversions.opens(rows, labels)).cast("float64")
    share = elapsed / float(late_conversions.width(labels))
    weight = ibis.ifelse(share > 1.0, 1.0, share)
    if SAMPLE_WEIGHT in rows.columns:
        weight *= rows[SAMPLE_WEIGHT].fill_null(1.0)
    return rows.mutate(**{SAMPLE_WEIGHT: weight.cast("float32")})


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
