"""The picture of the regimes: labels by rule, and how far top-k is nearest-positive matching."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.paper import plots

_RULES = {"argmax": "argmax", "matched_fraction": "fraction > .5", "top_k": "top-k"}
_COLOURS = ("#0072b2", "#d55e00", "#009e73")  # told apart by colour-blind readers too
_MARKS = ("o", "s", "^")


def save_plot(path: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """Draws labels and overlap against kappa N_U / N_P, every run and bank a point.

    Args:
        path: of the PNG.
        runs: as `benchmarks.transport.regime` collects them.
    """
    rows = [row for run in runs for row in run["rows"]]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.9), layout="constrained")
    for (rule, label), style in zip(_RULES.items(), _styles(), strict=True):
        labels = [max(row[rule], 0.1) for row in rows]
        left.plot([row["ratio"] for row in rows], labels, label=label, **style)
    left.set(
        yscale="log",
        xlabel="kappa N_U / N_P: unclicked rows a positive may fill",
        ylabel="labels a batch (.1 stands for none)",
    )
    names = list(dict.fromkeys(row["representation"] for row in rows))
    for name, style in zip(names, _styles(), strict=False):
        own = [row for row in rows if row["representation"] == name and row["overlap"] is not None]
        shared = [row["overlap"] for row in own]
        right.plot([row["ratio"] for row in own], shared, label=name, **style)
    right.set(
        ylim=(0, 1.05),
        xlabel="kappa N_U / N_P",
        ylabel="top-k labels shared with nearest positive",
    )
    for axes in (left, right):
        axes.axvline(1.0, color="#888888", linewidth=1, linestyle="--")
        axes.set(xscale="log")
        axes.legend(frameon=False)
    plots.save(figure, path, dpi=130)


def _styles() -> Iterator[dict[str, Any]]:
    for colour, mark in zip(_COLOURS, _MARKS, strict=True):
        yield {"linestyle": "", "color": colour, "marker": mark, "alpha": 0.6, "markersize": 4}
