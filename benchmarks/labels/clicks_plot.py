"""The picture of `benchmarks.labels.clicks`: AUC from CTCVR to CVR, space by space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.paper import plots

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # for colour-blind readers too


def save_plot(path: Path, found: Mapping[str, Any]) -> None:
    """Draws AUC against k, a line a space.

    Args:
        path: of the PNG.
        found: as `benchmarks.labels.clicks.study` returns it.
    """
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    shares = [row["share"] for row in found["curve"]]
    for space, colour in zip(found["spaces"], _COLOURS, strict=False):
        means = [row[space]["mean"] for row in found["curve"]]
        axes.plot(shares, means, color=colour, marker="o", markersize=3, label=space)
    axes.set(
        xlabel="k: 0 is CTCVR, 1 the CVR after a click",
        ylabel="AUC of r (c + k (1 - c))",
    )
    axes.legend(frameon=False)
    plots.save(figure, path, dpi=130)
