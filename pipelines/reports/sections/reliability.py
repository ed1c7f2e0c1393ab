"""Section: reliability curves: are rows that get a probability of p converted in a share of p?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from idefn_tf.evaluation.pseudo_label_audit import wilson
from pipelines.reports.drawing import draw
from pipelines.reports.material import Material
from pipelines.reports.page import Section, number
from pipelines.reports.populations import Population, populations
from pipelines.reports.style import MUTED, PALETTE

#: Bins of equal mass; rows with equal scores stay together.
BINS = 10


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability curve: mean prediction, observed rate, its interval, rows."""

    predicted: float
    observed: float
    low: float
    high: float
    rows: float


def reliability(score: NDArray, label: NDArray, weight: NDArray, bins: int = BINS) -> list[Bin]:
    """Cuts rows by score into bins of equal mass.

    Args:
        score: probabilities [rows].
        label: 0 or 1 [rows].
        weight: [rows], not negative.
        bins: how many at most.

    Returns:
        The bins by rising prediction; the interval of the observed rate is Wilson's at 95 %.
    """
    distinct, owner = np.unique(score, return_inverse=True)
    mass = np.bincount(owner, weights=weight, minlength=distinct.size)
    middle = (np.cumsum(mass) - 0.5 * mass) / mass.sum()
    index = np.minimum((middle * bins).astype(np.int64), bins - 1)[owner]
    total = np.bincount(index, weights=weight, minlength=bins)
    predicted = np.bincount(index, weights=weight * score, minlength=bins)
    observed = np.bincount(index, weights=weight * label, minlength=bins)
    found = []
    for n, p, o in zip(total, predicted, observed, strict=True):
        if n > 0:
            low, high = wilson(o, n)
            found.append(Bin(float(p / n), float(o / n), low, high, float(n)))
    return found


def section(material: Material) -> Section:
    """One curve for every output and space."""
    found = Section("reliability", "Reliability")
    if material.rows is None:
        found.note("Needs the prepared data: give --data.")
        return found
    found.text(
        f"Rows of {material.part} in up to {BINS} bins of equal size by prediction. On the "
        "diagonal a prediction of p comes true in a share of p; above it the model predicts too "
        "little. Bars are Wilson's 95 % intervals; both axes are logarithmic."
    )
    found.note(
        "A method that calls unclicked rows negative, or relabels some, aims at another rate than "
        "the one observed in clicked rows; a curve off the diagonal is expected there. Calibrate "
        "before using a probability as such."
    )
    found.figures(_chart(p, material) for p in populations(material, material.main.scores))
    return found


def _chart(population: Population, material: Material) -> str:
    bins = reliability(population.score, population.label, population.weight)
    floor = min(
        [b.predicted for b in bins if b.predicted > 0]
        + [b.observed for b in bins if b.observed > 0]
    )
    floor = max(floor / 2, 1e-7)
    top = min(1.0, 2 * max(max(b.predicted, b.high) for b in bins))

    def paint(axes: Axes) -> None:
        axes.plot([floor, 1], [floor, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        x = [max(b.predicted, floor) for b in bins]
        y = [max(b.observed, floor) for b in bins]
        low = [max(b.low, floor) for b in bins]
        axes.vlines(x, low, [b.high for b in bins], color=PALETTE[0], linewidth=1.4)
        axes.plot(x, y, color=PALETTE[0], marker="o", linewidth=1.2)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(floor, top)
        axes.set_ylim(floor, top)
        axes.minorticks_off()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("predicted")
        axes.set_ylabel("observed")

    pcoc = material.main.metrics[material.part][population.space].get("cvr_pcoc")
    note = f"PCOC {number(pcoc, 3)}" if population.head == "cvr" else ""
    words = "; ".join(f"{b.predicted:.4f} predicted, {b.observed:.4f} observed" for b in bins)
    return draw(
        f"reliability-{population.key}",
        population.title,
        f"Reliability curve, bins by rising prediction: {words}.",
        paint,
        note=note,
    )
