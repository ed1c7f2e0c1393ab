"""The page of a stream: its curves by the hour, and how far each learner came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from matplotlib.axes import Axes

import idefn_tf
from pipelines.reports.drawing import draw
from pipelines.reports.page import Cell, Content, Section, number, page
from pipelines.reports.style import DASHES, MARKERS, PALETTE
from pipelines.streaming.curves import IMPROVING

_SPACES = {"clicked": "after a click", "all_funnel": "of all exposures"}
_METRICS = {"auc": "AUC", "pr_auc": "PR-AUC", "log_loss": "log loss", "pcoc": "PCOC"}


def stream_page(found: Mapping[str, Any]) -> str:
    """Draws what stream.json holds.

    Args:
        found: its content.

    Returns:
        One HTML file that needs nothing else.
    """
    names = list(found["mean"])
    sections = [_totals(found, names), *(_curves(found, names, space) for space in _SPACES)]
    sections.append(_hours(found))
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return page(
        f"Stream of {found['method']} with {found['feedback']}",
        [f"<p>{len(found['hours'])} hours from {found['begins']}. Labels: {found['label']}.</p>"],
        sections,
        f"idefn_tf {idefn_tf.__version__}, {made}. This file needs no network.",
    )


def _totals(found: Mapping[str, Any], names: Sequence[str]) -> Section:
    section = Section("totals", "All hours")
    for kind, told in (
        ("mean", "Mean of the hours, by their rows"),
        ("pooled", "All rows at once"),
    ):
        for space, where in _SPACES.items():
            rows: list[list[Content]] = []
            for name in names:
                values = found[kind][name][space]
                row: list[Content] = [name]
                row += [_cell(values[m], f"{kind}/{name}/{space}/{m}") for m in _METRICS]
                if "ri" in found:
                    improved = found["ri"][kind][name][space]
                    row += [_cell(improved[m], f"ri/{kind}/{name}/{space}/{m}") for m in IMPROVING]
                rows.append(row)
            columns = ["learner", *_METRICS.values()]
            if "ri" in found:
                columns += [f"RI {_METRICS[metric]}" for metric in IMPROVING]
            section.table(f"{told}: rate {where}", columns, rows)
    if "ri" in found:
        section.note("RI is 0 for the model that never learns again, and 1 for the oracle.")
    else:
        section.note("Without --controls there is nothing that an improvement is relative to.")
    return section


def _curves(found: Mapping[str, Any], names: Sequence[str], space: str) -> Section:
    section = Section(f"curves-{space}", f"By the hour: rate {_SPACES[space]}")
    figures = []
    for metric, title in _METRICS.items():
        lines = {
            name: [
                (hour["hour"], hour["metrics"][name][space][metric])
                for hour in found["hours"]
                if hour["metrics"][name][space][metric] is not None
            ]
            for name in names
        }
        if any(lines.values()):
            figures.append(_figure(f"{space}-{metric}", title, lines))
    section.figures(figures)
    return section


def _figure(name: str, title: str, lines: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    def paint(axes: Axes) -> None:
        for i, (label, points) in enumerate(lines.items()):
            axes.plot(
                [hour for hour, _ in points],
                [value for _, value in points],
                color=PALETTE[i % len(PALETTE)],
                linestyle=DASHES[i % len(DASHES)],
                marker=MARKERS[i % len(MARKERS)],
                label=label,
            )
        axes.set_xlabel("hour of the stream")
        axes.set_ylabel(title)
        axes.legend()

    ends = [f"{label} ends at {points[-1][1]:.4f}" for label, points in lines.items() if points]
    return draw(f"stream-{name}", title, f"{title} by the hour; {', '.join(ends)}.", paint)


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


def _cell(value: float | None, key: str) -> Cell:
    return Cell(number(value), value, key)
