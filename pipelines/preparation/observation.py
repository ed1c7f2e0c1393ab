"""Observation time: what a log says up to a moment (`--as-of`), and what came after it.

Source: Chapelle, Modeling Delayed Feedback in Display Advertising, KDD 2014, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from idefn_tf.schema import Labels
from idefn_tf.schema.moments import per_second
from pipelines.preparation import checks
from pipelines.preparation.checks import Report
from pipelines.preparation.engine import translated_errors
from pipelines.preparation.findings import Rule


@dataclass(frozen=True)
class Observed:
    """When a log was looked at.

    Attributes:
        first, last: the earliest and the latest exposure.
        log_end: the latest time of all that counts: exposures, clicks, and conversions within the
            window, so that a stray time far ahead ends no log.
        as_of: the moment; without one, the log's end where clicks and conversions have times, else
            the latest exposure.
        early: whether the moment was given, and the log says something that came after it.
    """

    first: int
    last: int
    log_end: int
    as_of: int
    early: bool


def observe(table: ir.Table, labels: Labels, as_of: int | None) -> Observed:
    """Finds the log's span, and checks the moment.

    Args:
        table: all exposures, their times in the schema's unit; late conversions are none already.
        labels: name the columns.
        as_of: the moment; None for the log's end.

    Raises:
        ValueError: if the moment lies before the first exposure, or the schema's times do not tell
            what was known then.
    """
    shown = table[labels.exposure_time or ""].cast("int64")
    latest = {"last": shown.max()}
    for name, event in (
        (labels.click_time, labels.click),
        (labels.conversion_time, labels.conversion),
    ):
        if name is not None:
            here = ibis.ifelse(table[event] == 1, table[name].cast("int64"), ibis.null("int64"))
            latest[name] = here.max()
    with translated_errors("finding the log's end"):
        found = table.aggregate(first=shown.min(), rows=table.count(), **latest)
        first, rows, last, *others = found.to_pyarrow().to_pylist()[0].values()
    if first is None:
        raise ValueError("--raw: the logs must hold at least one exposure, received none")
    log_end = max([last, *(value for value in others if value is not None)])
    end = as_of
    if end is None:
        end = log_end if labels.delayed else last
    second = per_second(labels.time_unit)
    if end < first:
        raise ValueError(
            f"--as-of: must not lie before the first exposure, {labels.exposure_time}={first} "
            f"({written(first, second)}), received {end} ({written(end, second)}), which leaves "
            f"none of {rows:,} rows; give a later moment, in {labels.time_unit} or as a date"
        )
    early = as_of is not None and as_of < log_end
    told = labels.conversion_time is not None or (
        labels.attribution is not None and labels.immature == "drop"
    )
    if early and not told:
        raise ValueError(
            f"--as-of: must not lie before the log's end {log_end} ({written(log_end, second)}) "
            f"where no column tells when conversions came, received {end}; name "
            "labels.conversion_time, or labels.attribution with immature: drop"
        )
    return Observed(first, last, log_end, end, early)


def until(
    table: ir.Table, labels: Labels, observed: Observed, keys: Sequence[str], report: Report
) -> tuple[ir.Table, dict[str, Any]]:
    """Leaves out the exposures that came after the moment.

    Args:
        table: all exposures.
        labels: name the columns.
        observed: the moment.
        keys: columns shown with a row that breaks a rule.
        report: takes a note and findings.

    Returns:
        The others, and for the data card how many were left out.

    Raises:
        ValueError: if a conversion without a time remains: was it known?
    """
    if not observed.early:
        return table, {}
    shown = table[labels.exposure_time or ""].cast("int64")
    with translated_errors("leaving out what came after --as-of"):
        after = int((shown > observed.as_of).sum().execute() or 0)
    table = table.filter(shown <= observed.as_of)
    if labels.conversion_time is not None:
        untimed = (table[labels.conversion] == 1) & table[labels.conversion_time].isnull()
        text = "a conversion must have its time, or none tells whether --as-of knew it"
        rule = Rule(labels.conversion_time, text, untimed.fill_null(False), labels.conversion)
        checks.apply(table, [rule], keys, report)
        report.raise_if_failed()
    return table, {"log_end": observed.log_end, "after_as_of": {"exposures": after}}


def clicked_at(table: ir.Table, labels: Labels) -> ir.IntegerValue:
    """Returns when each row was clicked: with its exposure where no time is there."""
    shown: ir.IntegerValue = table[labels.exposure_time or ""].cast("int64")
    if labels.click_time is None:
        return shown
    return ibis.coalesce(table[labels.click_time].cast("int64"), shown)


def hidden(table: ir.Table, labels: Labels, end: int | ir.IntegerValue) -> dict[str, ir.Value]:
    """Returns click and conversion by column, 0 where they came after `end`."""
    later = (table[labels.click] == 1) & (clicked_at(table, labels) > end)
    late = (table[labels.conversion] == 1) & later
    if labels.conversion_time is not None:
        came = table[labels.conversion_time].cast("int64")
        late |= (table[labels.conversion] == 1) & (came > end).fill_null(False)
    return {
        name: ibis.ifelse(gone.fill_null(False), 0, table[name]).cast(table[name].type())
        for name, gone in ((labels.click, later), (labels.conversion, late))
    }


def written(time: int, second: int) -> str:
    """Returns a time as people read it."""
    return datetime.fromtimestamp(time // second, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
