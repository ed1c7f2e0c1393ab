"""Section: how long conversions take, and what was not known at the observation time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from idefn_tf.schema import Labels
from idefn_tf.schema.moments import per_second
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section, percent


def section(material: Material) -> Section | None:
    """The delay curve of the data card, known and estimated, and what --as-of left out.

    Returns:
        None where the data have no times of clicks and conversions, and no observation time.
    """
    return from_card(material.main.card, material.main.schema.labels)


def from_card(card: Mapping[str, Any], labels: Labels) -> Section | None:
    """Returns the section of a data card.

    Args:
        card: of the data.
        labels: state the unit of times.
    """
    delays, window = card.get("delays", {}), card.get("immature", {})
    after = window.get("after_as_of")
    if not delays and after is None:
        return None
    found = Section("delays", "Conversions that come late")
    at = datetime.fromtimestamp(window["as_of"] // per_second(labels.time_unit), UTC)
    found.text(f"Labels as of {at:%Y-%m-%d %H:%M:%S} UTC.")
    if after is not None:
        found.text(
            f"What came later: {after['exposures']:,} exposures left out, {after['clicks']:,} "
            f"clicks and {after['conversions']:,} conversions of train and validation hidden.",
            "Test rows are judged by the final label.",
        )
    known, told = (delays.get(f"{name}_after_hours") for name in ("known", "estimated"))
    if known is None or told is None:
        found.note("No conversion has a time, so nothing tells how long they take.")
        return found
    rows: list[list[Content]] = []
    for hours, share in known.items():
        estimate = told[hours]
        rows.append(
            [
                f"{hours} h" if int(hours) < 48 else f"{int(hours) // 24} days",
                Cell(percent(share, 1), share, f"delays/{hours}/known"),
                Cell(
                    "-" if estimate is None else percent(estimate, 1),
                    estimate,
                    f"delays/{hours}/estimated",
                ),
            ]
        )
    columns = ("after", "of those known", "of those that will come, estimated")
    caption = f"Delay of {delays['conversions']:,} conversions from their click"
    found.table(f"{caption}, train and validation", columns, rows)
    missing = delays["not_yet_known"]
    found.text(f"Estimated share of conversions that is still to come: {percent(missing, 1)}.")
    found.note(
        "Of young clicks only fast conversions are known, so the first column is too high. The "
        "second corrects for it: the product-limit estimator for right truncation (Lagakos, Barraj "
        "and De Gruttola, 1988), of conversions that come within the window or the longest time "
        f"that a click was watched, {delays['watched_hours']:.1f} h. It takes young and old clicks "
        "to have the same delays; the share still to come also takes them to convert alike."
    )
    return found
