"""Metrics as a table in the terminal, and what its numbers mean where they look alarming."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipelines.cli.console import Console

#: Columns of the table, in order.
COLUMNS = (
    "rows",
    "positives",
    "cvr_auc",
    "cvr_ks",
    "cvr_logloss",
    "cvr_pcoc",
    "ctr_auc",
    "ctcvr_auc",
)
#: What readers ask about a number, by the end of its name.
LEGEND = {
    "pcoc": (
        "PCOC: predicted over observed conversions; 1 is calibrated. Over all exposures an "
        "unclicked one counts as not converted, so the CVR of a click gives far more than 1 there; "
        "in `clicked`, a CVR of the exposure (alpha .5) gives far less. Read it in the space that "
        "the CVR is for. With an alpha between .5 and 1 (.8 in the shipped table and simulated "
        "configs) the CVR lies between the two and is a rate of neither: rank by it; "
        "pipelines.calibrate gives a rate."
    ),
    "ks": "KS: largest gap between the two score distributions; 0 is no better than chance.",
    "ece": (
        "ECE: mean distance between predicted and observed rate over 15 bins of equal mass; beside "
        "a rate of .01 an ECE of .02 is large, though it looks small. What is said of PCOC's space "
        "holds here."
    ),
    "precision": (
        "precision: share of the pseudo-positives whose conversion is recorded. Few conversions "
        "without a click are recorded anywhere, so it is low even for good labels: compare it "
        "with the rate among all unclicked rows (lift; 1 is blind drawing)."
    ),
}


def legend(names: Iterable[str]) -> list[str]:
    """Returns the sentences for those of the columns that need one, in `LEGEND`'s order."""
    ends = {name.rsplit("_", 1)[-1] for name in names}
    return [text for end, text in LEGEND.items() if end in ends]


def show_metrics(metrics: dict[str, Any], console: Console, title: str) -> None:
    """Prints the spaces' metrics as a table, with its legend below."""
    rows = []
    for part, spaces in metrics.items():
        for space, values in spaces.items():
            cells = [values.get(name) for name in COLUMNS]
            rows.append([f"{part} {space}", *(_cell(cell) for cell in cells)])
    console.table(title, ("part and space", *COLUMNS), rows)
    for text in legend(COLUMNS):
        console.note(text)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
