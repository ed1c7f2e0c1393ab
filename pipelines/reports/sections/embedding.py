"""Section: a map of the representations: positives, matched and unmatched exposures."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipelines.reports.drawing import draw
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section
from pipelines.reports.style import MARKERS, MUTED, PALETTE
from pipelines.reports.train_batch import TrainBatch

#: Points drawn of each kind, at most.
POINTS = 400
#: Share of the variance from which the map is as good as the whole.
NEARLY_ALL = 0.95


def principal_axes(z: NDArray) -> tuple[NDArray, NDArray]:
    """Projects rows on their first two principal components.

    Args:
        z: [rows, width].

    Returns:
        Coordinates [rows, 2], and the share of the variance along each axis [2].
    """
    centred = np.asarray(z, np.float64) - z.mean(axis=0)
    _, values, vectors = np.linalg.svd(centred.T @ centred, hermitian=True)
    axes = vectors[:2]
    # the sign is free: the largest coefficient points up
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    shares = values[:2] / max(values.sum(), 1e-300)
    return centred @ axes.T, shares


def section(material: Material, batch: TrainBatch | None) -> Section:
    """The first two principal components of one batch, and distances between the groups."""
    found = Section("map", "Map of the representations")
    if batch is None:
        found.note("Needs the prepared data: give --data.")
        return found
    groups = kinds(batch)
    points, shares = principal_axes(batch.z)
    found.text(
        f"The representation that the model compares exposures by ({batch.z.shape[1]} numbers a "
        f"row), on the first two principal components of one training batch; they hold "
        f"{shares.sum():.0%} of its variance, {_nearness(float(shares.sum()))}."
    )
    found.figures([_chart(points, shares, groups)])
    rows: list[list[Content]] = []
    positives = batch.z[groups["positive"]]
    for name, mask in groups.items():
        if mask.any() and len(positives) > 1:
            value = _nearest(batch.z[mask], positives, same=name == "positive")
            rows.append([name, Cell(f"{mask.sum():,}"), Cell(f"{value:.4f}", value)])
    if rows:
        columns = ["exposures", "rows", "median distance to the nearest positive"]
        found.table("Distances in the whole representation", columns, rows)
    return found


def _nearness(share: float) -> str:
    """What a map with this share of the variance says of nearness."""
    if share >= NEARLY_ALL:
        return "so rows that are near on the map are near in the whole representation, too"
    if share >= 0.5:
        return "so nearness on the map is most, not all, of nearness"
    return "so nearness on the map is only part of nearness"


def kinds(batch: TrainBatch) -> dict[str, NDArray[np.bool_]]:
    """Positives, and the unclicked exposures, matched ones apart where the method matches."""
    click = batch.click > 0.5
    groups = {"positive": click & (batch.conversion > 0.5)}
    if batch.relabelled is None:
        return {"unclicked": ~click, **groups}
    return {"unmatched": ~click & ~batch.relabelled, "matched": batch.relabelled, **groups}


def _chart(points: NDArray, shares: NDArray, groups: dict[str, NDArray]) -> str:
    colours = {
        "unclicked": MUTED,
        "unmatched": MUTED,
        "matched": PALETTE[1],
        "positive": PALETTE[0],
    }
    marks = {"unclicked": ".", "unmatched": ".", "matched": MARKERS[2], "positive": MARKERS[1]}

    def paint(axes: Axes) -> None:
        for name, mask in groups.items():
            at = np.flatnonzero(mask)[:POINTS]
            quiet = name in ("unclicked", "unmatched")
            axes.scatter(
                points[at, 0],
                points[at, 1],
                s=14 if quiet else 26,
                color=colours[name],
                marker=marks[name],
                alpha=0.5 if quiet else 0.9,
                linewidths=0 if quiet else 0.4,
                edgecolors="white",
                label=f"{name} ({mask.sum():,})",
            )
        axes.set_xlabel(f"first component ({shares[0]:.0%} of the variance)")
        axes.set_ylabel(f"second ({shares[1]:.0%})")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)

    words = ", ".join(f"{mask.sum():,} {name}" for name, mask in groups.items())
    return draw(
        "map-principal",
        "Exposures of one batch",
        f"Scatter plot of {words} exposures on two principal components.",
        paint,
        note=f"At most {POINTS} points of a kind.",
        size=(4.6, 3.7),
    )


def _nearest(rows: NDArray, positives: NDArray, same: bool) -> float:
    a, b = np.asarray(rows, np.float64), np.asarray(positives, np.float64)
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    squares = np.maximum(squares, 0)
    if same:
        np.fill_diagonal(squares, np.inf)
    return float(np.median(np.sqrt(squares.min(axis=1))))
