"""The picture of `benchmarks.labels.ceiling`: what the truth gains, with history and without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.paper import plots

#: The least ceiling that leaves something to tell, written before the run.
_RULE = 0.003
_COLOURS = {"all_raw": "#0072b2", "unclicked_raw": "#d55e00"}
_WORDS = {"aggregates": "with history", "none": "without history"}
_SHIFT = {"all_raw": -0.12, "unclicked_raw": 0.12}


def save_plot(path: Path, found: Mapping[str, Any]) -> None:
    """Draws each pair's gain with its interval.

    Args:
        path: of the PNG.
        found: as `benchmarks.labels.ceiling_table.study` returns it.
    """
    pairs = found["pairs"]
    figure, axes = plt.subplots(figsize=(6.4, 0.8 + 0.7 * len(pairs)), layout="constrained")
    for i, pair in enumerate(pairs):
        for space, told in pair["gain"].items():
            at, colour = i + _SHIFT[space], _COLOURS[space]
            axes.plot([told["low"], told["high"]], [at, at], color=colour, linewidth=2)
            label = space if i == 0 else None
            axes.plot([told["mean"]], [at], "o", color=colour, markersize=5, label=label)
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.axvline(_RULE, color="black", linewidth=0.8, linestyle="dotted")
    names = [f"{_WORDS[p['history']]}, alpha {p['alpha']:g}" for p in pairs]
    axes.set_yticks(range(len(pairs)), names)
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_xlabel("AUC that the truth gains over AllNegative (dotted: the rule's .003)")
    axes.legend(frameon=False, loc="lower right")
    plots.save(figure, path, dpi=130)
