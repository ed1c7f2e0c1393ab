"""Recorded times of clicks and conversions: what they may be, and which conversion comes too late.

A conversion counts if it came within the attribution window, from the exposure or from the click
(`labels.attribution.from`); a later one is another exposure's, or none. Without a time of its own a
recorded conversion counts.

Source: Chapelle, Modeling Delayed Feedback in Display Advertising, KDD 2014, section 3.
"""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from idefn_tf.schema import Labels, Schema
from idefn_tf.schema.moments import per_second
from pipelines.preparation import checks
from pipelines.preparation.checks import Report
from pipelines.preparation.engine import translated_errors
from pipelines.preparation.findings import Rule

#: After how many hours the card tells the share of conversions that had come.
DELAYS = (1, 6, 24, 72, 168)


def units(labels: Labels) -> int:
    """Returns how many units of the schema's time an hour has."""
    return 3600 * per_second(labels.time_unit)


def width(labels: Labels) -> int:
    """Returns the length of the attribution window in the schema's unit, 0 without one."""
    window = labels.attribution
    return 0 if window is None else round(window.window_hours * units(labels))


def opens(table: ir.Table, labels: Labels, known: int | None = None) -> ir.IntegerValue:
    """Returns when each row's window opens: at its exposure, or at its click where that counts.

    Args:
        table: the exposures.
        labels: name the columns.
        known: until when clicks count; all of them by default.
    """
    shown: ir.IntegerValue = table[labels.exposure_time or ""].cast("int64")
    window = labels.attribution
    if window is None or window.from_ == "exposure" or labels.click_time is None:
        return shown
    clicked = table[labels.click_time].cast("int64")
    counts = (table[labels.click] == 1) & clicked.notnull()
    if known is not None:
        counts &= clicked <= known
    return ibis.ifelse(counts.fill_null(False), clicked, shown)


def cut(
    table: ir.Table, schema: Schema, keys: tuple[str, ...], report: Report
) -> tuple[ir.Table, dict[str, Any]]:
    """Checks the times, and takes conversions that came after the window for none.

    Args:
        table: the exposures, times in the schema's unit.
        schema: names the columns and the window.
        keys: columns shown with a row that breaks a rule.
        report: takes findings and a note.

    Returns:
        The exposures, and for the data card: how many conversions were late, and the share of the
        others that had come after 1, 6, 24, 72 and 168 hours. Nothing without conversion times.
    """
    labels = schema.labels
    if labels.exposure_time is None:
        return table, {}
    checks.apply(table, list(_rules(table, labels)), keys, report)
    report.raise_if_failed()
    if labels.conversion_time is None:
        return table, {}
    came = table[labels.conversion_time].cast("int64")
    converted = (table[labels.conversion] == 1) & came.notnull()
    delay = came - opens(table, labels)
    window = labels.attribution
    late = converted & ibis.literal(False)
    if window is not None:
        late = converted & (delay > width(labels))
    counted = {
        "late": late.fill_null(False).sum(),
        "timed": (converted & ~late).fill_null(False).sum(),
        **{
            f"within_{hours}": (converted & ~late & (delay <= hours * units(labels)))
            .fill_null(False)
            .sum()
            for hours in DELAYS
        },
    }
    with translated_errors("counting late conversions"):
        found = table.aggregate(**counted).to_pyarrow().to_pylist()[0]
    timed = found["timed"] or 0
    card = {
        "late_conversions": int(found["late"] or 0),
        "conversions_with_a_time": int(timed),
        "known_after_hours": {
            str(hours): (found[f"within_{hours}"] or 0) / timed if timed else None
            for hours in DELAYS
        },
    }
    if card["late_conversions"] and window is not None:
        report.notes.append(
            f"{card['late_conversions']:,} conversions came more than {window.window_hours:g} h "
            f"after their {window.from_}: they count as none"
        )
        kept = ibis.ifelse(late.fill_null(False), 0, table[labels.conversion])
        table = table.mutate(**{labels.conversion: kept.cast(table[labels.conversion].type())})
    return table, card


def _rules(table: ir.Table, labels: Labels) -> list[Rule]:
    """Returns what times may not be: an order that no funnel has."""
    shown = table[labels.exposure_time or ""].cast("int64")
    found = []
    clicked = table[labels.click] == 1
    if labels.click_time is not None:
        at = table[labels.click_time].cast("int64")
        text = f"a click must not come before its exposure ({labels.exposure_time})"
        found.append(Rule(labels.click_time, text, clicked & (at < shown), labels.exposure_time))
    if labels.conversion_time is not None:
        came = table[labels.conversion_time].cast("int64")
        before = labels.click_time or labels.exposure_time
        first = table[labels.click_time].cast("int64") if labels.click_time else shown
        text = f"a conversion must not come before its click ({before})"
        broken = clicked & (table[labels.conversion] == 1) & (came < first)
        found.append(Rule(labels.conversion_time, text, broken, before))
    return [Rule(r.column, r.text, r.broken.fill_null(False), r.beside) for r in found]
