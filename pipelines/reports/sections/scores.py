"""Section: how the scores are spread, and whether the CVR falls to nothing on unclicked rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipelines.reports.drawing import draw
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section
from pipelines.reports.style import DASHES, PALETTE

_BINS = 40
_LEAST = 1e-6


def section(material: Material) -> Section:
    """Histograms of every output by outcome, and means in a table."""
    found = Section("scores", "Score distributions")
    rows = material.rows
    if rows is None:
        found.note("Needs the prepared data: give --data.")
        return found
    click = np.asarray(rows.columns["click"]) > 0.5
    converted = click & (np.asarray(rows.columns["conversion"]) > 0.5)
    groups = {
        "cvr": {
            "clicked, converted": converted,
            "clicked, not converted": click & ~converted,
            "unclicked": ~click,
        },
        "ctr": {"clicked": click, "unclicked": ~click},
        "ctcvr": {"converted": converted, "not converted": ~converted},
    }
    scores = material.main.scores
    found.figures(_chart(head, scores[head], by) for head, by in groups.items())
    lines: list[list[Content]] = []
    for head, by in groups.items():
        for name, mask in by.items():
            if mask.any():
                lines.append(_line(head, name, scores[head][mask]))
    columns = ["output and rows", "rows", "mean", "5 %", "median", "95 %"]
    found.table(f"Scores on {material.part}", columns, lines)
    low = float(scores["cvr"][~click].mean()) if (~click).any() else 1.0
    if low < 1e-6:
        found.note(
            f"The mean CVR of unclicked rows is {low:.1e}: the model calls everything below the "
            "click negative.",
            warning=True,
        )
    return found


def _line(head: str, name: str, values: NDArray) -> list[Content]:
    numbers = [float(values.mean()), *(float(q) for q in np.quantile(values, [0.05, 0.5, 0.95]))]
    return [
        f"{head.upper()}, {name}",
        Cell(f"{len(values):,}", float(len(values))),
        *(Cell(f"{v:.5f}", v) for v in numbers),
    ]


def _chart(head: str, score: NDArray, groups: Mapping[str, NDArray]) -> str:
    logs = np.log10(np.maximum(np.asarray(score, np.float64), _LEAST))
    edges = np.linspace(float(np.floor(logs.min() * 2) / 2), 0.0, _BINS + 1)
    if edges[0] >= 0:
        edges = np.linspace(-1.0, 0.0, _BINS + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    shown = {name: mask for name, mask in groups.items() if mask.any()}

    def paint(axes: Axes) -> None:
        for i, (name, mask) in enumerate(shown.items()):
            counts = np.histogram(logs[mask], edges)[0] / mask.sum()
            axes.step(
                centres,
                counts,
                where="mid",
                color=PALETTE[i],
                linestyle=DASHES[i],
                label=f"{name} ({mask.sum():,})",
            )
            axes.fill_between(centres, counts, step="mid", color=PALETTE[i], alpha=0.08)
        ticks = np.arange(np.ceil(edges[0]), 1)
        axes.set_xticks(ticks, [f"{10.0**t:g}" for t in ticks])
        axes.set_xlabel(f"predicted {head.upper()} (logarithmic)")
        axes.set_ylabel("share of the rows")
        axes.set_ylim(bottom=0)
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2 if len(shown) < 3 else 1
        )

    words = "; ".join(
        f"{name}: {mask.sum():,} rows, median {np.median(score[mask]):.5f}"
        for name, mask in shown.items()
    )
    return draw(
        f"scores-{head}",
        f"Predicted {head.upper()}",
        f"Histogram of the predicted {head.upper()} by outcome. {words}.",
        paint,
        size=(4.3, 3.3),
    )
