"""Section: learning curves, one point an epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from idefn_tf.models import get_method
from pipelines.reports.drawing import draw
from pipelines.reports.material import Material
from pipelines.reports.page import Section
from pipelines.reports.sections.loss_rows import named_losses
from pipelines.reports.style import DASHES, MARKERS, MUTED, PALETTE

Curves = Mapping[str, Sequence[float]]


def section(material: Material) -> Section:
    """Losses, AUC on train and validation, mean CVR and calibration by epoch."""
    found = Section("learning", "Learning curves")
    history, best = material.main.history, material.main.best_epoch
    if not history:
        found.note("The run has no history.csv.")
        return found
    if best is not None:
        monitor = material.main.config.training.monitor
        found.text(
            f"Epoch {best + 1} of {len(history)} was selected, by {monitor.metric} on "
            f"{monitor.space} of validation; it is marked in every chart."
        )
    figures = []
    for name, title, unit, curves in _charts(material):
        shown = {label: values for label, key in curves if (values := _values(history, key))}
        if shown:
            figures.append(curve(name, title, unit, shown, best))
    found.figures(figures)
    return found


def _charts(material: Material) -> list[tuple[str, str, str, list[tuple[str, str]]]]:
    history = material.main.history
    terms = named_losses(history, get_method(material.main.config.method))
    return [
        (
            "learning-auc",
            "CVR AUC",
            "AUC",
            [
                ("validation, all exposures", "val_all_funnel/cvr_auc"),
                ("validation, clicked", "val_clicked/cvr_auc"),
                ("train, all exposures", "all_funnel/cvr_auc"),
                ("train, clicked", "clicked/cvr_auc"),
            ],
        ),
        ("learning-loss", "Loss", "loss", [("validation", "val_loss"), ("train", "loss")]),
        (
            "learning-terms",
            "Loss terms, validation",
            "weighted term",
            [(term, f"val_{term}") for term in terms],
        ),
        (
            "learning-mean",
            "Mean predicted CVR, validation",
            "mean CVR",
            [
                ("clicked rows", "val_mean_cvr_clicked"),
                ("unclicked rows", "val_mean_cvr_unclicked"),
            ],
        ),
        (
            "learning-pcoc",
            "PCOC (1 is calibrated)",
            "predicted / observed",
            [
                ("validation, clicked", "val_clicked/cvr_pcoc"),
                ("validation, all exposures", "val_all_funnel/cvr_pcoc"),
            ],
        ),
        (
            "learning-transport",
            "Unclicked rows relabelled",
            "share",
            [("train", "pseudo_positive_rate")],
        ),
    ]


def curve(name: str, title: str, unit: str, curves: Curves, best: int | None) -> str:
    """Draws curves over epochs."""

    def paint(axes: Axes) -> None:
        for i, (label, values) in enumerate(curves.items()):
            axes.plot(
                range(1, len(values) + 1),
                values,
                color=PALETTE[i % len(PALETTE)],
                linestyle=DASHES[i % len(DASHES)],
                marker=MARKERS[i % len(MARKERS)],
                label=label,
            )
        if best is not None:
            axes.axvline(best + 1, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        if name == "learning-transport":
            highest = max((v for found in curves.values() for v in found if v == v), default=0.0)
            axes.set_ylim(0, 1.15 * highest or 1.0)
        if len(curves) > 1:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)

    size = (4.3, 2.9) if len(curves) < 3 else (4.3, 3.15)
    return draw(name, title, _describe(curves, unit), paint, size=size)


def _describe(curves: Curves, unit: str) -> str:
    sentences = [
        f"{label}: {unit} from {values[0]:.4g} in epoch 1 to {values[-1]:.4g} in epoch "
        f"{len(values)}"
        for label, values in curves.items()
    ]
    return "Line chart over epochs. " + "; ".join(sentences) + "."


def _values(history: Sequence[Mapping[str, float]], key: str) -> list[float]:
    values = [row.get(key, math.nan) for row in history]
    return values if any(math.isfinite(v) for v in values) else []
