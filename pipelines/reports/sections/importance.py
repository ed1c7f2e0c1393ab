"""Section: how much each feature's information is worth to the CVR's order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from pipelines.reports.drawing import draw
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section
from pipelines.reports.permutation_importance import DRAWS, MOST, SEEDS, Importance, measure
from pipelines.reports.style import PALETTE

_SHOWN = 20


def section(material: Material) -> Section:
    """Grouped permutation importance of every feature, as a chart and a table."""
    found = Section("importance", "What each feature is worth")
    if material.rows is None:
        found.note("Needs the prepared data: give --data.")
        return found
    measured, rows = measure(material)
    if not measured:
        found.note(f"{material.part} holds no conversion after a click; there is nothing to lose.")
        return found
    found.text(
        f"Loss of CVR AUC on all_funnel when a feature's values are shuffled among the rows of "
        f"{material.part}: the mean of {SEEDS} shuffles, on {rows:,} rows."
    )
    found.figures([_chart(measured[:_SHOWN])])
    found.table("Permutation importance", _COLUMNS, [_line(m) for m in measured])
    found.note(
        "AUC drop: above 0, the model's order needs the feature; around 0, it does not; below 0, "
        "the feature misleads it on these rows, or chance does. The small print is a 95 % "
        f"interval, {DRAWS} bootstrap draws over rows; the spread is over shuffles. "
        "Columns of one group are shuffled together: a list with its weights, all history of one "
        "key, all lists of one sequence."
    )
    found.note(
        "Two features that tell the same cover for each other, and both look worth little. It says "
        "what this model uses, not what a model without the feature would reach."
    )
    if rows >= MOST:
        found.note(
            "Measured on converted rows and a share of the others; which share changes no AUC."
        )
    return found


_COLUMNS = ("feature", "AUC drop", "spread", "shuffled together")


def _line(found: Importance) -> list[Content]:
    bounds = found.bounds
    small = f"{bounds[0]:.4f} to {bounds[1]:.4f}" if bounds else ""
    others = "" if found.columns == (found.group,) else ", ".join(found.columns)
    return [
        found.group,
        Cell(f"{found.drop:.4f}", found.drop, f"importance/{found.group}", small),
        Cell(f"{found.spread:.4f}", found.spread),
        Cell(others, prose=True),
    ]


def _chart(shown: Sequence[Importance]) -> str:
    drops = np.array([m.drop for m in shown])
    bounds = np.array([m.bounds or (m.drop, m.drop) for m in shown])
    places = np.arange(len(shown))[::-1]

    def paint(axes: Axes) -> None:
        axes.axvline(0.0, color="0.5", linewidth=0.8)
        axes.hlines(places, bounds[:, 0], bounds[:, 1], color=PALETTE[0], linewidth=1.6)
        axes.plot(drops, places, "o", color=PALETTE[0])
        axes.set_yticks(places, [m.group for m in shown])
        axes.set_xlabel("CVR AUC lost, all_funnel (line: 95 % interval)")
        axes.grid(axis="y", visible=False)

    words = "; ".join(f"{m.group}: {m.drop:.4f}" for m in shown)
    return draw(
        "importance-drops",
        "Permutation importance",
        f"Loss of CVR AUC when a feature is shuffled, largest first. {words}.",
        paint,
        size=(7.2, 0.9 + 0.26 * len(shown)),
        wide=True,
    )
