"""The first table of a page: every method under every setting and backbone, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.paper_published import published_auc
from benchmarks.paper_summary import groups, methods_of, values
from benchmarks.paper_variants import VARIANTS

_SPACES = ("all_raw", "all_funnel")
_METRIC = "cvr_auc"
_REFERENCE = "all_negative"
#: Below this, Holm's p marks a difference.
_SIGNIFICANT = 0.05


def overview(result: Mapping[str, Any]) -> str:
    """Writes CVR AUC by method (rows) and by setting and backbone (columns), for two spaces.

    A method that only one group has is left to that group's own table. Beside each mean stands its
    paired difference to AllNegative of the same group.

    Returns:
        Markdown, or nothing where there is one group alone.
    """
    shown = groups(result["rows"])
    if len(shown) < 2:
        return ""
    lines = [
        "\n## Side by side\n",
        "Mean CVR AUC over seeds and, in brackets, the paired difference to AllNegative of the "
        "same column (* where Holm's p is below .05). The paper's AUC is on other data and another "
        "split: the order of its rows is what may be compared.",
    ]
    for space in _SPACES:
        lines += ["", f"**`{space}`**", "", *_table(result, shown, space)]
    return "\n".join(lines)


def _table(result: Mapping[str, Any], shown: list[tuple[str, str]], space: str) -> list[str]:
    rows, name = result["rows"], result["name"]
    methods = [
        m
        for m in dict.fromkeys(m for g in shown for m in methods_of(rows, *g))
        if sum(m in methods_of(rows, *g) for g in shown) > 1
    ]
    backbones = [
        b
        for b in dict.fromkeys(b for _, b in shown)
        if any(published_auc(name, b, m) is not None for m in methods)
    ]
    head = [f"`{s}` {b}" for s, b in shown] + [f"paper, {b}" for b in backbones]
    lines = ["| method | " + " | ".join(head) + " |", "|---|" + "---:|" * len(head)]
    for method in methods:
        cells = [_cell(result, *group, method, space) for group in shown]
        for backbone in backbones:
            value = published_auc(name, backbone, method)
            cells.append("" if value is None else f"{value:.4f}")
        lines.append(f"| {VARIANTS[method].label} | " + " | ".join(cells) + " |")
    counts = [_seeds(result, *group, space) for group in shown] + [""] * len(backbones)
    return [*lines, "| seeds | " + " | ".join(counts) + " |"]


def _cell(result: Mapping[str, Any], setting: str, backbone: str, method: str, space: str) -> str:
    found = values(result["rows"], setting, backbone, method, space, _METRIC)
    if not found:
        return ""
    mean = f"{np.mean(list(found.values())):.4f}"
    wanted = (setting, backbone, _REFERENCE, method, space, _METRIC)
    keys = ("setting", "backbone", "reference", "method", "space", "metric")
    for d in result["differences"]:
        if tuple(d[key] for key in keys) == wanted:
            sure = d["holm_p"] is not None and d["holm_p"] < _SIGNIFICANT
            return f"{mean} ({d['mean']:+.4f}{'*' if sure else ''})"
    return mean


def _seeds(result: Mapping[str, Any], setting: str, backbone: str, space: str) -> str:
    rows = result["rows"]
    counts = {
        len(values(rows, setting, backbone, m, space, _METRIC))
        for m in methods_of(rows, setting, backbone)
    } - {0}
    return "-".join(str(n) for n in sorted({min(counts), max(counts)})) if counts else ""
