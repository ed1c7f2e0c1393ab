"""Labels known at the observation time, and the columns of delayed feedback.

In train and validation a click or a conversion that came later is not known; test rows are judged
by the final label, which is that of the log's end. Where exposure, click and conversion have times
(`Labels.delayed`), rows also hold::

    conversion         what is known: at the moment, in test at the log's end
    conversion_final   what the log says in the end, on a row whose click is known
    elapsed            days from the click to the moment (test: to the log's end); clicked rows
    conversion_delay   days from the click to the conversion, where it is known and has a time
    window_open        1 where the attribution window is open then (`labels.immature: keep`)

Source: Chapelle, Modeling Delayed Feedback in Display Advertising, KDD 2014, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from idefn_tf.schema import (
    CONVERSION_DELAY,
    CONVERSION_FINAL,
    ELAPSED,
    WINDOW_OPEN,
    Labels,
    Schema,
)
from idefn_tf.schema.moments import per_second
from pipelines.preparation import attribution_window, late_conversions
from pipelines.preparation.checks import Report
from pipelines.preparation.engine import translated_errors
from pipelines.preparation.observation import clicked_at, hidden, written

#: The part whose rows are judged by the final label.
FINAL = "test"
_DAY = 86_400
#: What the card says of the whole log, which was not known at the moment.
_WHOLE = ("conversions_with_a_time", "known_after_hours")


def apply(
    rows: ir.Table, schema: Schema, card: Mapping[str, Any], report: Report
) -> tuple[ir.Table, dict[str, Any]]:
    """Gives every part the labels that it may know, and the columns of delays.

    Args:
        rows: the exposures with their `part`; late conversions count as none already.
        schema: names the columns.
        card: what `attribution_window` did.
        report: takes a note.

    Returns:
        The rows, and the card with the clicks and conversions that were hidden.
    """
    labels, found = schema.labels, dict(card)
    if "as_of" not in card:
        return rows, found
    end = _end(rows, card)
    known = {name: rows[name] for name in (labels.click, labels.conversion)}
    if "after_as_of" in card:
        known = hidden(rows, labels, end)
        for name in _WHOLE:
            found.pop(name, None)
        found["after_as_of"] = dict(card["after_as_of"]) | _count(rows, labels, known)
        report.notes.append(_note(found, labels))
    if labels.delayed:
        known |= _delays(rows, labels, known, end)
    rows = rows.mutate(**known)
    if labels.attribution is not None and labels.immature == "weight":
        rows = attribution_window.weigh(rows, labels, _end(rows, card))
    if labels.attribution is not None and labels.immature == "keep":
        closes = late_conversions.opens(rows, labels) + late_conversions.width(labels)
        opened = ibis.ifelse(closes > _end(rows, card), 1, 0)
        rows = rows.mutate(**{WINDOW_OPEN: opened.cast("int8")})
    return rows, found


def masked(table: ir.Table, labels: Labels, card: Mapping[str, Any]) -> ir.Table:
    """Returns exposures without the clicks and conversions that came after the moment.

    Args:
        table: those up to the moment, of every part.
        labels: name the columns.
        card: what `attribution_window` did.
    """
    if "after_as_of" not in card:
        return table
    return table.mutate(**hidden(table, labels, card["as_of"]))


def _end(rows: ir.Table, card: Mapping[str, Any]) -> int | ir.IntegerValue:
    """Returns the moment at which each row's labels are known."""
    if "after_as_of" not in card:
        return int(card["as_of"])
    return ibis.ifelse(rows["part"] == FINAL, card["log_end"], card["as_of"])


def _count(rows: ir.Table, labels: Labels, known: Mapping[str, ir.Value]) -> dict[str, int]:
    clicked = rows[labels.click] == 1
    lost = {
        "clicks": clicked & (known[labels.click] == 0),
        "conversions": clicked & (rows[labels.conversion] == 1) & (known[labels.conversion] == 0),
    }
    with translated_errors("hiding what came after --as-of"):
        asked = {name: flag.fill_null(False).sum() for name, flag in lost.items()}
        counted = rows.aggregate(**asked).to_pyarrow().to_pylist()[0]
    return {name: int(number or 0) for name, number in counted.items()}


def _note(card: Mapping[str, Any], labels: Labels) -> str:
    after = card["after_as_of"]
    return (
        f"--as-of {written(card['as_of'], per_second(labels.time_unit))} leaves out "
        f"{after['exposures']:,} later exposures and hides {after['clicks']:,} clicks and "
        f"{after['conversions']:,} conversions of train and validation that came after it; test "
        "rows are judged by the final label"
    )


def _delays(
    rows: ir.Table, labels: Labels, known: Mapping[str, ir.Value], end: int | ir.IntegerValue
) -> dict[str, ir.Value]:
    start, came = clicked_at(rows, labels), rows[labels.conversion_time or ""].cast("int64")
    click = (known[labels.click] == 1).fill_null(False)
    converted = click & (known[labels.conversion] == 1).fill_null(False)
    final = click & (rows[labels.conversion] == 1).fill_null(False)

    def days(span: ir.IntegerValue, told: ir.BooleanValue) -> ir.Value:
        found = (span.cast("float64") / float(_DAY * per_second(labels.time_unit))).cast("float32")
        return ibis.ifelse(told, found, ibis.null("float32"))

    return {
        CONVERSION_FINAL: ibis.ifelse(final, 1, 0).cast("int8"),
        ELAPSED: days(end - start, click),
        CONVERSION_DELAY: days(came - start, converted),
    }


def names(card: Mapping[str, Any], parts: Sequence[str], labels: Labels) -> dict[str, str]:
    """Returns which label each part has, "final" or known at a moment; nothing without an as-of.

    Args:
        card: what `apply` gave.
        parts: of the split.
        labels: state the unit of times.
    """
    if "as_of" not in card:
        return {}
    if "after_as_of" not in card:
        return dict.fromkeys(parts, "final")
    text = f"known at {written(card['as_of'], per_second(labels.time_unit))}"
    return {part: "final" if part == FINAL else text for part in parts}
