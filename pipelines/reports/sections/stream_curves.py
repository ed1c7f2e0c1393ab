"""Section: a stream's curves by the hour, and how far each learner came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from idefn_tf._files import read_json
from pipelines.reports.drawing import draw
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section, number
from pipelines.reports.style import DASHES, MARKERS, PALETTE

#: What a stream leaves in its run's folder.
RESULT = "stream.json"
SPACES = {"clicked": "after a click", "all_funnel": "of all exposures"}
_METRICS = {"auc": "AUC", "pr_auc": "PR-AUC", "log_loss": "log loss", "pcoc": "PCOC"}


def section(material: Material) -> Section | None:
    """AUC, PR-AUC, log loss and PCOC by the hour, and the relative improvement.

    Returns:
        None where the run was no stream, or no hour of it is over.
    """
    path = material.main.run.root / RESULT
    return from_result(read_json(path)) if path.is_file() else None


def from_result(found: Mapping[str, Any]) -> Section | None:
    """Returns the section of what stream.json holds, None without an hour."""
    if not found["hours"]:
        return None
    section = Section("stream", "By the hour")
    section.text(
        f"A stream of {len(found['hours'])} hours from {found['begins']}, feedback "
        f"{found['feedback']}. Every hour was scored before it was learned. "
        f"Labels: {found['label']}."
    )
    add_totals(section, found)
    for space in SPACES:
        add_curves(section, found, space)
    return section


def add_totals(section: Section, found: Mapping[str, Any]) -> None:
    """Adds the metrics of all hours and the improvement relative to the controls.

    Args:
        section: to add to.
        found: what stream.json holds.
    """
    names = list(found["mean"])
    for kind, told in (
        ("mean", "Mean of the hours, by their rows"),
        ("pooled", "All rows at once"),
    ):
        for space, where in SPACES.items():
            rows: list[list[Content]] = []
            for name in names:
                values = found[kind][name][space]
                row: list[Content] = [name]
                row += [_cell(values[m], f"{kind}/{name}/{space}/{m}") for m in _METRICS]
                if "ri" in found:
                    improved = found["ri"][kind][name][space]
                    row += [_cell(improved[m], f"ri/{kind}/{name}/{space}/{m}") for m in improved]
                rows.append(row)
            columns = ["learner", *_METRICS.values()]
            if "ri" in found:
                columns += [f"RI {_METRICS[metric]}" for metric in improved]
            section.table(f"{told}: rate {where}", columns, rows)
    if "ri" in found:
        section.note(
            "RI is 0 for the model that never learns again, and 1 for the oracle. Where the oracle "
            "is no better than that model there is none."
        )
    else:
        section.note("Without --controls there is nothing that an improvement is relative to.")


def add_curves(section: Section, found: Mapping[str, Any], space: str) -> None:
    """Adds the curves by the hour.

    Args:
        section: to add to.
        found: what stream.json holds.
        space: the rows that they are of, a key of `SPACES`.
    """
    names, figures = list(found["mean"]), []
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
            figures.append(_figure(f"{space}-{metric}", f"{title} {SPACES[space]}", lines))
    section.figures(figures)


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


def _cell(value: float | None, key: str) -> Cell:
    return Cell(number(value), value, key)
