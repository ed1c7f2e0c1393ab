"""The same budget of tuning for every method: one grid, one metric, seeds of their own.

The choice is the point of the grid with the greatest mean CVR AUC in `all_funnel` on validation;
epochs are chosen by early stopping within each run. Test rows and recorded conversions of unclicked
rows are never looked at. The L2 grid spans three decades, so that a method whose loss is thirty
times smaller than another's finds its own point; for such a method the lower end matters.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper.grid import Cell, read_rows
from benchmarks.paper.settings import make_config
from benchmarks.paper.variants import VARIANTS, get_variant

#: What is tried for every method, by dotted key of the config.
GRID: dict[str, tuple[float, ...]] = {
    "optimizer.l2_rows": (1e-4, 1e-3, 1e-2, 1e-1),
    "optimizer.learning_rate": (3e-4, 1e-3),
}
#: Seeds used for tuning; those of the tables begin at 0.
FIRST_SEED = 1000
JUDGE = ("all_funnel", "cvr_auc")

Choices = dict[tuple[str, str], dict[str, float]]


def points() -> list[dict[str, float]]:
    """Returns every point of the grid."""
    return [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]


def tuning_cells(
    out: Path, backbones: Sequence[str], methods: Sequence[str], seeds: int, family: str
) -> list[Cell]:
    """Returns the cells to be run before the setting ``equal`` can be.

    A variant that takes another's point (`Variant.tuned_as`) has none of its own.
    """
    cells = []
    own = list(dict.fromkeys(get_variant(m).tuned_as or m for m in methods))
    for backbone in backbones:
        for method in own:
            for point in points():
                for seed in range(FIRST_SEED, FIRST_SEED + seeds):
                    config = make_config("equal", method, backbone, seed, family, point)
                    name = ",".join(f"{k.rpartition('.')[2]}={v:g}" for k, v in point.items())
                    folder = out / "tuning" / backbone / method / name / f"seed{seed}"
                    cells.append(Cell("equal", method, backbone, seed, config, folder, point))
    return cells


def choose(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Chooses a point for every (backbone, method) whose whole budget has been spent.

    Args:
        cells: as `tuning_cells` gives them.

    Returns:
        [{"backbone", "method", "overrides", "validation", "runner_up", "tried", "grid"}]; a method
        with unfinished cells is left out, for a part of the budget would not be the same budget.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.backbone, cell.variant), []).append(cell)
    chosen = []
    for (backbone, method), group in groups.items():
        rows = read_rows(group)
        if len(rows) < len(group):
            continue
        scores = _scores(rows)
        order = sorted(scores, key=lambda point: -scores[point])
        chosen.append(
            {
                "backbone": backbone,
                "method": method,
                "overrides": dict(order[0]),
                "validation": scores[order[0]],
                "runner_up": scores[order[1]] if len(order) > 1 else None,
                "tried": len(group),
                "grid": [{**dict(point), "validation": scores[point]} for point in scores],
            }
        )
    return chosen


def choices(chosen: Sequence[Mapping[str, Any]], lent_to: Sequence[str] = ()) -> Choices:
    """Returns the overrides by (backbone, method), with those of variants that take them over.

    Args:
        chosen: as `choose` gives them.
        lent_to: backbones that take the points of the one that was tuned: every method is tuned
            with the same budget there too, but on another network.
    """
    found = {(c["backbone"], c["method"]): dict(c["overrides"]) for c in chosen}
    for (_, method), point in list(found.items()):
        for backbone in lent_to:
            found.setdefault((backbone, method), point)
    for backbone, method in list(found):
        for variant in VARIANTS.values():
            if variant.tuned_as == method:
                found[backbone, variant.name] = found[backbone, method]
    return found


def _scores(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[tuple[str, float], ...], float]:
    """Returns the mean validation score by point; a score that is not defined counts as .5."""
    space, metric = JUDGE
    found: dict[tuple[tuple[str, float], ...], list[float]] = {}
    for row in rows:
        value = row["validation"].get(space, {}).get(metric)
        found.setdefault(tuple(row["overrides"].items()), []).append(
            0.5 if value is None else value
        )
    return {point: float(np.mean(values)) for point, values in found.items()}
