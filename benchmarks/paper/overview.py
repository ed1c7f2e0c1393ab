"""The first table of a page: every method under every setting and backbone, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.paper.published import published_auc
from benchmarks.paper.summary import groups, methods_of
from benchmarks.paper.variants import VARIANTS

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
    wanted = {"setting": setting, "backbone": backbone, "method": method, "space": space}
    means = _of(result["summary"], **wanted)
    if not means:
        return ""
    mean = f"{means[0]['mean']:.4f}"
    for d in _of(result["differences"], **wanted, reference=_REFERENCE):
        sure = d["holm_p"] is not None and d["holm_p"] < _SIGNIFICANT
        mean += f" ({d['mean']:+.4f}{'*' if sure else ''})"
    return mean


def _seeds(result: Mapping[str, Any], setting: str, backbone: str, space: str) -> str:
    found = _of(result["summary"], setting=setting, backbone=backbone, space=space)
    counts = [entry["seeds"] for entry in found]
    return "-".join(str(n) for n in sorted({min(counts), max(counts)})) if counts else ""


def _of(entries: Sequence[Mapping[str, Any]], **wanted: str) -> list[Mapping[str, Any]]:
    """Returns what a result says of the shown metric where every key has the wanted value."""
    wanted["metric"] = _METRIC
    return [e for e in entries if all(e[key] == value for key, value in wanted.items())]
