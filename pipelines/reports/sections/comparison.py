"""Section: runs side by side, on the same rows, with paired intervals of their differences."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from pipelines.reports.drawing import draw
from pipelines.reports.intervals import interval
from pipelines.reports.material import Material, RunMaterial
from pipelines.reports.page import Cell, Content, Section, number
from pipelines.reports.sections.by_space import METRICS, label_of
from pipelines.reports.sections.learning import curve
from pipelines.reports.style import MARKERS, PALETTE

#: Greater is better, smaller is better, nearest to 1 is best; the rest has no best.
_UP, _DOWN, _ONE = ("auc", "ks", "gauc"), ("logloss", "ece"), ("pcoc",)


def section(material: Material) -> Section:
    """Metrics of every run, differences to this one, and curves over epochs."""
    found = Section("compare", "Runs side by side")
    runs = list(material.everyone)
    if len(runs) == 1:
        found.note("One run alone: give others with --compare RUN ... to see them beside it.")
    method = material.main.config.method
    if method.startswith("idefn") and not any(r.config.method == "all_negative" for r in runs):
        found.note(
            "IdeFN without its transport is all_negative. Compare with a run of it before saying "
            "that the transport helps.",
            warning=True,
        )
    if len(runs) == 1:
        return found
    for space in material.spaces:
        lines = [_row(material, space, metric) for metric in _metrics(material, space)]
        found.table(f"{space}, {material.part}", ["metric", *(r.name for r in runs)], lines)
    if material.rows is not None:
        found.text(
            f"Small print: the difference to {material.main.name} with its 95 % interval, both "
            "runs scored on the same bootstrap draws; where it holds 0, their order is open. "
            "Bold: the best number of the row. One run each says nothing of the spread over seeds."
        )
    found.figures([_chart(material), _curves(runs)])
    return found


def _metrics(material: Material, space: str) -> list[str]:
    values = material.main.metrics[material.part][space]
    # CTR and CTCVR are the same in both spaces of every exposure: once is enough
    heads = ("cvr", "ctr", "ctcvr") if space == "all_funnel" else ("cvr",)
    return [m for m in METRICS if m in values and m.partition("_")[0] in heads]


def _row(material: Material, space: str, metric: str) -> list[Content]:
    cells: list[Content] = [label_of(metric)]
    values = [_value(run, material.part, space, metric) for run in material.everyone]
    best = _best(metric, values)
    for run, value in zip(material.everyone, values, strict=True):
        small = ""
        first = values[0]
        if run is not material.main and value is not None and first is not None:
            small = f"{value - first:+.4f}"
            bounds = difference(material.main, run, space, metric)
            if bounds:
                small += f" ({bounds[0]:+.4f} to {bounds[1]:+.4f})"
        key = f"{run.name}/{material.part}/{space}/{metric}"
        cells.append(
            Cell(number(value), value, key, small, best=value is not None and value == best)
        )
    return cells


def difference(
    main: RunMaterial, other: RunMaterial, space: str, metric: str
) -> tuple[float, float] | None:
    """Returns the 95 % interval of other - main, over the same draws."""
    a, b = main.draws.get((space, metric)), other.draws.get((space, metric))
    return None if a is None or b is None else interval(b - a)


def _value(run: RunMaterial, part: str, space: str, metric: str) -> float | None:
    value = run.metrics.get(part, {}).get(space, {}).get(metric)
    return None if value is None else float(value)


def _best(metric: str, values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    kind = metric.partition("_")[2]
    if not known:
        return None
    if kind in _UP:
        return max(known)
    if kind in _DOWN:
        return min(known)
    return min(known, key=lambda v: abs(math.log(max(v, 1e-12)))) if kind in _ONE else None


def _chart(material: Material) -> str:
    runs, spaces = list(material.everyone), material.spaces
    offsets = np.linspace(-0.22, 0.22, len(runs)) if len(runs) > 1 else [0.0]
    words = []

    def paint(axes: Axes) -> None:
        for i, run in enumerate(runs):
            colour = PALETTE[i % len(PALETTE)]
            for j, space in enumerate(spaces):
                value = _value(run, material.part, space, "cvr_auc")
                if value is None:
                    continue
                bounds = run.interval(space, "cvr_auc")
                at = j + offsets[i]
                if bounds:
                    axes.plot(bounds, [at, at], color=colour, linewidth=1.8)
                axes.plot([value], [at], marker=MARKERS[i % len(MARKERS)], color=colour,
                          linestyle="none", label=run.name if j == 0 else None)  # fmt: skip
        axes.set_yticks(range(len(spaces)), spaces)
        axes.set_ylim(len(spaces) - 0.4, -0.6)
        axes.set_xlabel("CVR AUC")
        axes.grid(axis="y", visible=False)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)

    for space in spaces:
        numbers = ", ".join(
            f"{r.name} {number(_value(r, material.part, space, 'cvr_auc'))}" for r in runs
        )
        words.append(f"{space}: {numbers}")
    return draw(
        "compare-auc",
        f"CVR AUC by run and space, {material.part}",
        f"Points with 95 % intervals. {'; '.join(words)}.",
        paint,
        size=(4.3, 1.5 + 0.24 * len(spaces) * max(len(runs), 2)),
    )


def _curves(runs: Sequence[RunMaterial]) -> str:
    key = "val_all_funnel/cvr_auc"
    curves = {
        run.name: [row.get(key, math.nan) for row in run.history]
        for run in runs
        if any(key in row for row in run.history)
    }
    if not curves:
        return ""
    title = "CVR AUC on validation, all_funnel"
    return curve("compare-learning", title, "AUC", curves, None)
