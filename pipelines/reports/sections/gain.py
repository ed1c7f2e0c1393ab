"""Section: gain and lift: how many conversions the best-scored rows hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipelines.reports.drawing import draw
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section
from pipelines.reports.populations import Population, populations
from pipelines.reports.style import DASHES, MUTED, PALETTE

#: The shares of rows at which lift is read.
SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5)
_POINTS = 101


def gain(
    score: NDArray, label: NDArray, weight: NDArray, shares: Sequence[float] | NDArray
) -> NDArray:
    """Returns the share of all positives among the best-scored share of rows.

    gain(q) = sum of positives within the q best-scored part of the mass / sum of positives; rows
    with equal scores are shared out evenly.

    Args:
        score: [rows].
        label: 0 or 1 [rows].
        weight: [rows].
        shares: parts of the mass, in [0, 1].

    Returns:
        Gains, as many as shares.
    """
    distinct, owner = np.unique(-np.asarray(score), return_inverse=True)
    mass = np.bincount(owner, weights=weight, minlength=distinct.size)
    positives = np.bincount(owner, weights=weight * label, minlength=distinct.size)
    x = np.r_[0.0, np.cumsum(mass)] / mass.sum()
    y = np.r_[0.0, np.cumsum(positives)] / positives.sum()
    return np.interp(shares, x, y)


def section(material: Material) -> Section:
    """Gain curves, a lift table, and lift by tenths."""
    found = Section("gain", "Gain and lift")
    if material.rows is None:
        found.note("Needs the prepared data: give --data.")
        return found
    groups = list(populations(material, material.main.scores))
    found.text(
        "Sort the rows by score, take the best part: gain is the share of all positives it holds, "
        "lift is gain over its size (1 is chance)."
    )
    cvr = [group for group in groups if group.head == "cvr"]
    rest = [group for group in groups if group.head != "cvr"]
    drawn = [_gain_chart("gain-cvr", "Gain by CVR", cvr)]
    if rest:
        drawn.append(_gain_chart("gain-others", "Gain by CTR and by CTCVR", rest))
    drawn += [_tenths(group) for group in groups if group.key in ("cvr-clicked", "ctcvr")]
    found.figures(drawn)
    rows: list[list[Content]] = []
    for group in groups:
        lifts = gain(group.score, group.label, group.weight, SHARES) / np.asarray(SHARES)
        cells = [Cell(f"{lift:.2f}", float(lift)) for lift in lifts]
        rows.append([group.title, f"{int(group.label.sum()):,}", *cells])
    columns = ["score and rows", "positives", *(f"best {share:.0%}" for share in SHARES)]
    found.table(f"Lift on {material.part}", columns, rows)
    return found


def _gain_chart(name: str, title: str, groups: Sequence[Population]) -> str:
    grid = np.linspace(0, 1, _POINTS)
    curves = {g.title: gain(g.score, g.label, g.weight, grid) for g in groups}

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        for i, (label, curve) in enumerate(curves.items()):
            axes.plot(grid, curve, color=PALETTE[i], linestyle=DASHES[i], label=label)
        axes.set_xlabel("share of the rows, best first (dotted: chance)")
        axes.set_ylabel("share of the positives")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)

    words = "; ".join(
        f"{label}: the best 10 % hold {np.interp(0.1, grid, c):.1%}, the best 30 % "
        f"{np.interp(0.3, grid, c):.1%}"
        for label, c in curves.items()
    )
    size = (4.3, 3.1 + 0.17 * ((len(curves) + 1) // 2))
    return draw(name, title, f"Cumulative gain curves. {words}.", paint, size=size)


def _tenths(group: Population) -> str:
    edges = np.linspace(0, 1, 11)
    lift = np.diff(gain(group.score, group.label, group.weight, edges)) * 10

    def paint(axes: Axes) -> None:
        axes.bar(range(1, 11), lift, color=PALETTE[0], width=0.8)
        axes.axhline(1, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        for i, value in enumerate(lift):
            axes.annotate(f"{value:.1f}", (i + 1, value), xytext=(0, 2),
                          textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
        axes.set_xticks(range(1, 11))
        axes.set_xlabel("tenth of the rows, best first (dotted: chance)")
        axes.set_ylabel("lift")
        axes.grid(axis="x", visible=False)

    words = ", ".join(f"{value:.2f}" for value in lift)
    return draw(
        f"lift-{group.key}",
        f"Lift by tenths: {group.title}",
        f"Bar chart of the lift in each tenth of the rows, best first: {words}.",
        paint,
    )
