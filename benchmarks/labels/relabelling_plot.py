"""The picture of pseudo-labels over training: precision with its interval, and lift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.paper import plots

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#777777")  # for colour-blind readers too
_MARKS = ("o", "s", "^", "D", "x")


def save_plot(path: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """Draws precision (with 95 % intervals) and lift against the epoch, a line a method.

    Args:
        path: of the PNG.
        runs: as `benchmarks.labels.relabelling` collects them.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.9), layout="constrained")
    for run, colour, mark in zip(runs, _COLOURS, _MARKS, strict=False):
        told = [row for row in run["epochs"] if row["precision"] is not None]
        first = run["epochs"][0]["epoch"]  # results of earlier releases count from 0
        epochs = [row["epoch"] - first + 1 for row in told]
        style = {"color": colour, "marker": mark, "markersize": 4, "label": run["label"]}
        left.plot(epochs, [row["precision"] for row in told], **style)
        low, high = ([row[f"precision_{end}"] for row in told] for end in ("low", "high"))
        left.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
        right.plot(epochs, [row["lift"] for row in told], **style)
    left.set(xlabel="epoch", ylabel="share of labels that are conversions", ylim=(0, None))
    right.axhline(1.0, color="#888888", linewidth=1, linestyle="--")
    right.set(xlabel="epoch", ylabel="times the share of all unclicked rows", ylim=(0, None))
    right.legend(frameon=False)
    plots.save(figure, path, dpi=130)
