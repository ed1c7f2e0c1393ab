"""Section: metrics by space, with intervals."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from idefn_tf.evaluation.spaces import get_space
from pipelines.cli.metric_table import legend
from pipelines.reports.drawing import draw
from pipelines.reports.intervals import replicates_for
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section, number
from pipelines.reports.style import MUTED, PALETTE

#: Metrics in the order of the table.
METRICS = (
    "rows",
    "positives",
    "cvr_auc",
    "cvr_ks",
    "cvr_gauc",
    "cvr_logloss",
    "cvr_pcoc",
    "cvr_ece",
    "ctr_auc",
    "ctr_logloss",
    "ctcvr_auc",
    "ctcvr_logloss",
)


def label_of(metric: str) -> str:
    """Writes a metric's name for readers."""
    head, _, rest = metric.partition("_")
    words = {"auc": "AUC", "ks": "KS", "gauc": "GAUC", "logloss": "log loss", "pcoc": "PCOC"}
    return f"{head.upper()} {words.get(rest, rest.upper())}" if rest else metric


def section(material: Material) -> Section:
    """A table for every part, and the CVR's AUC as a chart."""
    found = Section("metrics", "Metrics by space")
    found.text(
        "A space says which rows a number is computed on, and which label counts there. Training, "
        "selection and calibration see all_funnel and clicked only; the others are for reports."
    )
    for part in sorted(material.main.metrics, key=lambda p: p != material.part):
        spaces = material.main.metrics[part]
        rows = [_row(material, part, space, values) for space, values in spaces.items()]
        found.table(f"Metrics on {part}", ["space", *(label_of(m) for m in METRICS)], rows)
        if spaces.get("all_raw", 0) == spaces.get("all_funnel", 1):
            found.text(
                f"all_raw and all_funnel are the same on {part}: no conversion is recorded there "
                "without a click."
            )
    for text in legend(METRICS):
        found.text(text)
    if material.rows is not None:
        draws = replicates_for(len(material.rows))
        found.text(
            f"Below a number on {material.part}: its 95 % interval from {draws} bootstrap draws of "
            f"{material.rows.unit} (seed {material.seed})."
        )
        found.figures([_chart(material)])
    return found


def _row(material: Material, part: str, space: str, values: dict[str, Any]) -> list[Content]:
    meaning = get_space(space)
    kind = " (reports only)" if meaning.report_only else ""
    cells: list[Content] = [Cell(space, small=f"{meaning.meaning}{kind}")]
    for metric in METRICS:
        value = values.get(metric)
        found = material.main.interval(space, metric) if part == material.part else None
        small = f"{found[0]:.4f} to {found[1]:.4f}" if found and value is not None else ""
        cells.append(
            Cell(
                "" if metric not in values else number(value),
                None if value is None else float(value),
                f"{part}/{space}/{metric}",
                small,
            )
        )
    return cells


def _chart(material: Material) -> str:
    spaces = material.spaces
    found = material.main.metrics[material.part]
    points: list[Any] = [found[space].get("cvr_auc") for space in spaces]
    shown = [
        (s, p, material.main.interval(s, "cvr_auc")) for s, p in zip(spaces, points, strict=True)
    ]
    shown = [entry for entry in shown if entry[1] is not None]

    def paint(axes: Axes) -> None:
        for i, (_, point, bounds) in enumerate(shown):
            if bounds:
                axes.plot(bounds, [i, i], color=PALETTE[0], linewidth=2.4)
            axes.plot([point], [i], marker="o", color=PALETTE[0], markersize=6)
            axes.annotate(f"{point:.3f}", (point, i), xytext=(0, 7), textcoords="offset points",
                          ha="center")  # fmt: skip
        axes.axvline(0.5, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        axes.set_yticks(range(len(shown)), [name for name, _, _ in shown])
        axes.set_ylim(len(shown) - 0.4, -0.7)
        axes.set_xlabel("CVR AUC (dotted: chance)")
        axes.grid(axis="y", visible=False)

    words = "; ".join(
        f"{name} {point:.4f}" + (f" ({b[0]:.4f} to {b[1]:.4f})" if b else "")
        for name, point, b in shown
    )
    return draw(
        "metrics-auc",
        f"CVR AUC by space, {material.part}",
        f"Points with 95 % intervals: {words}.",
        paint,
    )
