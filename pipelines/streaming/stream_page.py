"""The page of a stream: its curves by the hour, and how far each learner came."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import idefn_tf
from pipelines.reports.page import Content, Section, page
from pipelines.reports.sections.stream_curves import SPACES, add_curves, add_totals


def stream_page(found: Mapping[str, Any]) -> str:
    """Draws what stream.json holds.

    Args:
        found: its content.

    Returns:
        One HTML file that needs nothing else.
    """
    totals = Section("totals", "All hours")
    add_totals(totals, found)
    sections = [totals]
    for space, where in SPACES.items():
        curves = Section(f"curves-{space}", f"By the hour: rate {where}")
        add_curves(curves, found, space)
        sections.append(curves)
    sections.append(_hours(found))
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return page(
        f"Stream of {found['method']} with {found['feedback']}",
        [f"<p>{len(found['hours'])} hours from {found['begins']}. Labels: {found['label']}.</p>"],
        sections,
        f"idefn_tf {idefn_tf.__version__}, {made}. This file needs no network.",
    )


def _hours(found: Mapping[str, Any]) -> Section:
    section = Section("hours", "What each hour brought")
    rows: list[list[Content]] = []
    for hour in found["hours"]:
        trained, grown = hour["trained"]["method"], hour["vocabularies"].values()
        rows.append(
            [
                str(hour["hour"]),
                hour["exposures"],
                trained["first"],
                trained["late"],
                trained["revisit"],
                sum(feature["new"] for feature in grown),
                sum(feature["no_place"] for feature in grown),
            ]
        )
    columns = ("hour", "exposures", "first rows", "late rows", "second looks", "new ids",
               "ids without a place")  # fmt: skip
    section.table("Rows and ids", columns, rows)
    return section
