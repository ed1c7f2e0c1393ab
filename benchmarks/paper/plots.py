"""Pictures of the comparison, in colours that colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from benchmarks.paper.summary import Rows, methods_of, values
from benchmarks.paper.variants import VARIANTS
from idefn_tf._files import atomic_path

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

#: Okabe and Ito's colours.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_SPACES = ("all_raw", "all_funnel", "clicked", "unclicked_raw", "oracle")


def table_picture(rows: Rows, setting: str, backbone: str, title: str) -> Figure:
    """Draws every method's CVR AUC by space: each seed a dot, the mean a bar of ink."""
    methods = methods_of(rows, setting, backbone)
    spaces = [
        s for s in _SPACES if any(values(rows, setting, backbone, m, s, "cvr_auc") for m in methods)
    ]
    figure, axes = plt.subplots(
        1, len(spaces), figsize=(2.7 * len(spaces) + 1.6, 0.38 * len(methods) + 1.6), sharey=True
    )
    for at, (axis, space) in enumerate(zip(np.atleast_1d(axes), spaces, strict=True)):
        for row, method in enumerate(methods):
            found = list(values(rows, setting, backbone, method, space, "cvr_auc").values())
            if found:
                axis.plot(found, [row] * len(found), MARKERS[at], color=COLOURS[at], alpha=0.5)
                axis.plot([np.mean(found)] * 2, [row - 0.3, row + 0.3], color="black", lw=2)
        axis.set_title(space, fontsize=10)
        axis.set_xlabel("CVR AUC")
        axis.grid(axis="x", alpha=0.3)
    first = np.atleast_1d(axes)[0]
    first.set_yticks(range(len(methods)), [VARIANTS[m].label for m in methods])
    first.invert_yaxis()
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    return figure


def sweep_picture(rows: Rows, title: str, space: str = "all_raw") -> Figure:
    """Draws figure 4: AUC and KS against alpha, gamma and kappa, mean and range over seeds."""
    keys = list(dict.fromkeys(key for row in rows for key in row["overrides"]))
    figure, axes = plt.subplots(
        2, len(keys), figsize=(3.4 * len(keys), 5.2), sharex="col", squeeze=False
    )
    for column, key in enumerate(keys):
        name = key.rpartition(".")[2]
        for line, metric in enumerate(("cvr_auc", "cvr_ks")):
            axis = axes[line][column]
            for at, method in enumerate(dict.fromkeys(row["method"] for row in rows)):
                points = sweep_points(rows, method, key, space, metric)
                if not points:
                    continue
                x = sorted(points)
                mean = [float(np.mean(points[v])) for v in x]
                label = VARIANTS[method].label
                axis.plot(x, mean, marker=MARKERS[at], color=COLOURS[at], label=label)
                low, high = ([f(points[v]) for v in x] for f in (min, max))
                axis.fill_between(x, low, high, color=COLOURS[at], alpha=0.15)
            if name == "kappa":
                axis.set_xscale("log")
            axis.set_ylabel(f"{metric.removeprefix('cvr_').upper()} {space}")
            axis.grid(alpha=0.3)
        axes[1][column].set_xlabel(name)
    axes[0][0].legend(fontsize=8)
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    return figure


def sweep_points(
    rows: Rows, method: str, key: str, space: str, metric: str
) -> dict[float, list[float]]:
    """Returns a curve's values over seeds, by the parameter's value."""
    found: dict[float, list[float]] = {}
    for row in rows:
        value = row["metrics"].get(space, {}).get(metric)
        if row["method"] == method and key in row["overrides"] and value is not None:
            found.setdefault(float(row["overrides"][key]), []).append(float(value))
    return found


def ablation_picture(
    rows: Rows, setting: str, backbone: str, methods: Sequence[str], title: str
) -> Figure:
    """Draws figure 5: what is left of IdeFN without one of its parts."""
    present = [m for m in methods if m in methods_of(rows, setting, backbone)]
    spaces = ("all_raw", "all_funnel", "unclicked_raw")
    figure, axes = plt.subplots(1, len(spaces), figsize=(3.4 * len(spaces), 3.4))
    for axis, space in zip(axes, spaces, strict=True):
        groups = [
            list(values(rows, setting, backbone, m, space, "cvr_auc").values()) for m in present
        ]
        means = [float(np.mean(g)) if g else np.nan for g in groups]
        spread = [float(np.std(g, ddof=1)) if len(g) > 1 else 0.0 for g in groups]
        colours = [COLOURS[list(methods).index(m) % len(COLOURS)] for m in present]
        axis.bar(range(len(present)), means, yerr=spread, color=colours, capsize=4)
        low = [m - s for m, s in zip(means, spread, strict=True) if np.isfinite(m)]
        high = [m + s for m, s in zip(means, spread, strict=True) if np.isfinite(m)]
        if low:
            axis.set_ylim(min(low) - 0.01, max(high) + 0.01)
        labels = [VARIANTS[m].label for m in present]
        axis.set_xticks(range(len(present)), labels, rotation=30, ha="right", fontsize=8)
        axis.set_title(f"CVR AUC {space} (axis cut)", fontsize=9)
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    return figure


def plan_picture(plan: np.ndarray, marks: Mapping[str, Sequence[int]], title: str) -> Figure:
    """Draws a plan as a heat map.

    Args:
        plan: [positives + 1, shown columns], the virtual row last; each column sums to one.
        marks: by name, columns to be marked below the map.
        title: of the picture.
    """
    figure, axis = plt.subplots(figsize=(9, 5))
    image = axis.imshow(plan, aspect="auto", cmap="cividis", vmin=0.0, vmax=1.0)
    figure.colorbar(image, label="share of the unclicked row's mass")
    axis.set_ylabel("converted rows (virtual row last)")
    axis.set_xlabel("unclicked rows, by matched share")
    for at, (name, columns) in enumerate(marks.items()):
        row = plan.shape[0] + at + 0.5
        style: dict[str, Any] = {
            "marker": MARKERS[at + 2],
            "ms": 5,
            "ls": "",
            "color": COLOURS[at + 1],
        }
        axis.plot(columns, [row] * len(columns), label=name, **style)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=len(marks), fontsize=8)
    axis.set_ylim(plan.shape[0] + len(marks) + 0.2, -0.5)
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    return figure


def save(figure: Figure, path: Path, dpi: int = 120) -> Path:
    """Writes a picture whole and closes it; the same picture gives the same bytes."""
    metadata: dict[str, Any] = {"Software": None}
    with atomic_path(path) as sibling:
        figure.savefig(sibling, dpi=dpi, format="png", metadata=metadata)
    plt.close(figure)
    return path
