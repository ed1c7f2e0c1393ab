"""Section: the audit of pseudo-labels over epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipelines.reports.drawing import draw
from pipelines.reports.material import Material
from pipelines.reports.page import Cell, Content, Section, number, percent
from pipelines.reports.style import DASHES, MARKERS, MUTED, PALETTE


def section(material: Material) -> Section:
    """Precision against prevalence, counts, stability; or why there are none."""
    found = Section("audit", "Pseudo-labels over epochs")
    rows = material.main.audit
    if not rows:
        found.note(
            f"The run has no audit.csv: {material.main.config.method} gives no pseudo-labels"
            " to unclicked rows, or the audit was switched off (training.audit)."
        )
        return found
    found.text(
        "After every epoch the model relabels the training rows once more, and the relabelled ones "
        "are compared with what is recorded of them (or, on simulated data, with the potential "
        "conversion). Nothing of this reaches training or selection."
    )
    last = rows[-1]
    judged = last["prevalence"] > 0
    if not judged:
        found.note(
            "The data record no conversion of an unclicked row, so it is unknown how many of the "
            "relabelled rows are right; what is shown is how many there are and how they change."
        )
    elif last["lift_low"] <= 1.0:
        found.note(
            f"In the last epoch the lift's interval ({last['lift_low']:.2f} to "
            f"{last['lift_high']:.2f}) reaches down to chance: the relabelled rows are not surely "
            "better than unclicked rows drawn blindly.",
            warning=True,
        )
    epochs = [int(row["epoch"]) for row in rows]
    shares = {"relabelled": [r["share"] for r in rows]}
    if judged:
        shares["recall"] = [r["recall"] for r in rows]
    found.figures(
        [
            _precision(rows, epochs) if judged else "",
            _lines(
                "audit-share", "Relabelled share of the unclicked rows", epochs, shares, "share"
            ),
            _lines(
                "audit-overlap",
                "Overlap with the epoch before",
                epochs,
                {"Jaccard overlap": [r["overlap"] for r in rows]},
                "overlap",
            ),
        ]
    )
    lines: list[list[Content]] = []
    for row in rows:
        known = row["prevalence"] > 0  # else nothing says which labels are right
        lines.append(
            [
                str(int(row["epoch"])),
                *(Cell(f"{int(row[n]):,}", row[n]) for n in ("unclicked", "relabelled")),
                Cell(f"{int(row['true']):,}", row["true"]) if known else "-",
                Cell(
                    percent(row["precision"]),
                    row["precision"],
                    small=_span(percent(row["precision_low"]), percent(row["precision_high"])),
                ),
                Cell(percent(row["prevalence"]), row["prevalence"]) if known else "-",
                Cell(
                    number(row["lift"], 2),
                    row["lift"],
                    small=_span(number(row["lift_low"], 2), number(row["lift_high"], 2)),
                ),
                Cell(percent(row["recall"]), row["recall"]),
                Cell(percent(row["overlap"]), row["overlap"]),
            ]
        )
    found.table(
        "Audit by epoch",
        ["epoch", "unclicked", "relabelled", "of them true", "precision", "prevalence", "lift",
         "recall", "overlap"],
        lines,
    )  # fmt: skip
    return found


def _span(low: str, high: str) -> str:
    return "" if low == "-" else f"{low} to {high}"


def _precision(rows: Sequence[dict[str, float]], epochs: Sequence[int]) -> str:
    def paint(axes: Axes) -> None:
        axes.fill_between(
            epochs,
            [r["precision_low"] for r in rows],
            [r["precision_high"] for r in rows],
            color=PALETTE[0],
            alpha=0.15,
            linewidth=0,
        )
        axes.plot(
            epochs, [r["precision"] for r in rows], color=PALETTE[0], marker="o", label="precision"
        )
        axes.plot(
            epochs,
            [r["prevalence"] for r in rows],
            color=MUTED,
            linestyle="--",
            label="all unclicked rows",
        )
        _epochs(axes)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("share truly converted")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)

    first, last = rows[0], rows[-1]
    alt = (
        "Line chart with a 95 % band: precision of the pseudo-labels from "
        f"{first['precision']:.2%} in epoch {epochs[0]} to {last['precision']:.2%} in epoch "
        f"{epochs[-1]}, against {last['prevalence']:.2%} among all unclicked rows."
    )
    return draw("audit-precision", "Precision of the pseudo-labels", alt, paint)


def _lines(
    name: str, title: str, epochs: Sequence[int], curves: dict[str, list[float]], unit: str
) -> str:
    def paint(axes: Axes) -> None:
        for i, (label, values) in enumerate(curves.items()):
            axes.plot(epochs, values, color=PALETTE[i], linestyle=DASHES[i], marker=MARKERS[i],
                      label=label)  # fmt: skip
        _epochs(axes)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(unit)
        if len(curves) > 1:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)

    words = []
    for label, values in curves.items():
        known = [v for v in values if math.isfinite(v)]
        words.append(f"{label} from {known[0]:.4f} to {known[-1]:.4f}" if known else f"no {label}")
    return draw(name, title, f"Line chart over epochs: {'; '.join(words)}.", paint)


def _epochs(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
