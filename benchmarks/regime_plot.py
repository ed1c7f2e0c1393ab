"""The picture of the regimes: labels by rule, and how far top-k is nearest-positive matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

_RULES = {"argmax": "argmax", "matched_fraction": "fraction > .5", "top_k": "top-k"}
_COLOURS = ("#0072b2", "#d55e00", "#009e73")  # told apart by colour-blind readers too
_MARKS = ("o", "s", "^")


def save_plot(path: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """Draws labels and overlap against kappa N_U / N_P, every run and bank a point.

    Args:
        path: of the PNG.
        runs: as `benchmarks.regime` collects them.
    """
    rows = [row for run in runs for row in run["rows"]]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.9), layout="constrained")
    for (rule, label), colour, mark in zip(_RULES.items(), _COLOURS, _MARKS, strict=True):
        left.plot(
            [row["ratio"] for row in rows],
            [max(row[rule], 0.1) for row in rows],
            mark,
            color=colour,
            alpha=0.6,
            markersize=4,
            label=label,
        )
    left.axvline(1.0, color="#888888", linewidth=1, linestyle="--")
    left.set(
        xscale="log",
        yscale="log",
        xlabel="kappa N_U / N_P: unclicked rows a positive may fill",
        ylabel="labels a batch (.1 stands for none)",
    )
    left.legend(frameon=False)
    names = list(dict.fromkeys(row["representation"] for row in rows))
    for name, colour, mark in zip(names, _COLOURS, _MARKS, strict=False):
        own = [row for row in rows if row["representation"] == name and row["overlap"] is not None]
        right.plot(
            [row["ratio"] for row in own],
            [row["overlap"] for row in own],
            mark,
            color=colour,
            alpha=0.6,
            markersize=4,
            label=name,
        )
    right.axvline(1.0, color="#888888", linewidth=1, linestyle="--")
    right.set(
        xscale="log",
        ylim=(0, 1.05),
        xlabel="kappa N_U / N_P",
        ylabel="top-k labels shared with nearest positive",
    )
    right.legend(frameon=False)
    beside = path.with_name(f".tmp-{path.name}")
    figure.savefig(beside, dpi=130, format="png")
    plt.close(figure)
    beside.replace(path)
