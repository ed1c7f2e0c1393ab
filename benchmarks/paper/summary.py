"""From rows to what is claimed: means by method, and paired differences to the references."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.paper.statistics import Difference, holm, paired_difference, spread

Rows = Sequence[Mapping[str, Any]]

#: What a table shows: (space, metric).
COLUMNS: tuple[tuple[str, str], ...] = (
    ("all_raw", "cvr_auc"),
    ("all_funnel", "cvr_auc"),
    ("clicked", "cvr_auc"),
    ("unclicked_raw", "cvr_auc"),
    ("oracle", "cvr_auc"),
    ("all_raw", "cvr_ks"),
    ("all_raw", "cvr_logloss"),
    ("all_funnel", "ctr_auc"),
    ("all_funnel", "ctcvr_auc"),
)
#: Methods that every other one is compared with.
REFERENCES = ("all_negative", "all_negative_50", "esmm")


def values(
    rows: Rows, setting: str, backbone: str, method: str, space: str, metric: str
) -> dict[int, float]:
    """Returns one metric by seed."""
    found = {}
    for row in rows:
        if (row["setting"], row["backbone"], row["method"]) == (setting, backbone, method):
            value = row["metrics"].get(space, {}).get(metric)
            if value is not None:
                found[row["seed"]] = float(value)
    return found


def groups(rows: Rows) -> list[tuple[str, str]]:
    """Returns the (setting, backbone) pairs in order of appearance."""
    return list(dict.fromkeys((row["setting"], row["backbone"]) for row in rows))


def methods_of(rows: Rows, setting: str, backbone: str) -> list[str]:
    """Returns a group's methods in order of appearance."""
    chosen = (r for r in rows if (r["setting"], r["backbone"]) == (setting, backbone))
    return list(dict.fromkeys(row["method"] for row in chosen))


def summarise(rows: Rows) -> list[dict[str, Any]]:
    """Returns mean, spread and seeds of every method and column."""
    result = []
    for setting, backbone in groups(rows):
        for method in methods_of(rows, setting, backbone):
            for space, metric in COLUMNS:
                found = values(rows, setting, backbone, method, space, metric)
                if found:
                    result.append(
                        {
                            "setting": setting,
                            "backbone": backbone,
                            "method": method,
                            "space": space,
                            "metric": metric,
                            **spread(list(found.values())).as_dict(),
                        }
                    )
    return result


def compare(rows: Rows, references: Sequence[str] = REFERENCES) -> list[dict[str, Any]]:
    """Returns the paired differences of every method to every reference.

    Holm's correction runs over the methods of one setting, backbone, reference and column.
    """
    result = []
    for setting, backbone in groups(rows):
        methods = methods_of(rows, setting, backbone)
        for reference in references:
            if reference not in methods:
                continue
            for space, metric in COLUMNS:
                base = values(rows, setting, backbone, reference, space, metric)
                family: dict[str, Difference] = {}
                for method in methods:
                    own = values(rows, setting, backbone, method, space, metric)
                    found = paired_difference(own, base) if method != reference else None
                    if found is not None:
                        family[method] = found
                for method, difference in _corrected(family).items():
                    result.append(
                        {
                            "setting": setting,
                            "backbone": backbone,
                            "reference": reference,
                            "method": method,
                            "space": space,
                            "metric": metric,
                            **difference.as_dict(),
                        }
                    )
    return result


def _corrected(family: Mapping[str, Difference]) -> dict[str, Difference]:
    tested = {name: d.t_p for name, d in family.items() if d.t_p is not None}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {
        name: dataclasses.replace(difference, holm_p=corrected.get(name))
        for name, difference in family.items()
    }
