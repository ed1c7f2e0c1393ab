"""What an earlier result tells of cells whose runs are not at hand.

Runs' folders are large and stay on the machine that made them; the result that was published holds
every cell's row and config. With ``--keep`` such a row counts as a finished cell: a grid can go on
elsewhere, or after the folders were deleted. Scores of single test rows are in the folders alone,
so the bootstrap over users and items is drawn anew only where folders have more seeds than it had.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.paper.grid import Cell, read_rows
from benchmarks.paper.settings import put

_DRAWN = ("setting", "backbone", "space", "reference", "method")


@dataclass(frozen=True)
class Kept:
    """Rows of an earlier result; without arguments, none.

    Attributes:
        rows: of the tables and of figure 4.
        configs: by "setting/backbone/method", each without its seed.
        tuned: what tuning chose.
        bootstrap: the differences over drawn users and items.
    """

    rows: Sequence[Mapping[str, Any]] = ()
    configs: Mapping[str, Any] = field(default_factory=dict)
    tuned: Sequence[Mapping[str, Any]] = ()
    bootstrap: Sequence[Mapping[str, Any]] = ()

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Returns the cells of which nothing is kept."""
        return [cell for cell in cells if self._row(cell) is None]

    def read_rows(self, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        """Returns every cell's row in their order: its folder's, else the kept one, if any."""
        found = []
        for cell in cells:
            own, kept = read_rows([cell]), self._row(cell)
            found += own or ([dict(kept)] if kept is not None else [])
        return found

    def split_tuning(self, cells: Sequence[Cell]) -> tuple[list[dict[str, Any]], list[Cell]]:
        """Returns the kept choices that `cells` would make again, and the cells of the others.

        A choice among other points, or with another budget, is made anew.
        """
        budget = Counter((cell.backbone, cell.variant) for cell in cells)
        wanted = [dict(point) for point in {tuple(c.overrides.items()): None for c in cells}]
        chosen = []
        for entry in self.tuned:
            tried = [{k: p[k] for k in p if k != "validation"} for p in entry["grid"]]
            if entry["tried"] == budget[entry["backbone"], entry["method"]] and tried == wanted:
                chosen.append(dict(entry))
        settled = {(c["backbone"], c["method"]) for c in chosen}
        return chosen, [c for c in cells if (c.backbone, c.variant) not in settled]

    def merge_bootstrap(
        self, cells: Sequence[Cell], drawn: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Returns of each difference the one over more seeds, the new one where both have as many.

        Args:
            cells: the grid; a kept difference counts where rows of both its methods are kept.
            drawn: what the folders at hand give.
        """
        held = {c.config_key for c in cells if self._row(c) is not None}
        best = {}
        for entry in self.bootstrap:
            group = f"{entry['setting']}/{entry['backbone']}"
            if {f"{group}/{entry['method']}", f"{group}/{entry['reference']}"} <= held:
                best[tuple(entry[k] for k in _DRAWN)] = entry
        for entry in drawn:
            key = tuple(entry[k] for k in _DRAWN)
            if key not in best or entry["seeds"] >= best[key]["seeds"]:
                best[key] = entry
        return [dict(entry) for entry in best.values()]

    def _row(self, cell: Cell) -> Mapping[str, Any] | None:
        wanted = (cell.setting, cell.backbone, cell.variant, cell.seed, dict(cell.overrides))
        for row in self.rows:
            keys = ("setting", "backbone", "method", "seed", "overrides")
            if tuple(row[key] for key in keys) == wanted:
                return row if self._is_config(cell) else None
        return None

    def _is_config(self, cell: Cell) -> bool:
        """Whether the kept row was trained with what the cell would be trained with."""
        if cell.config_key not in self.configs:
            return False
        kept = copy.deepcopy(self.configs[cell.config_key])
        for key, value in cell.overrides.items():  # figure 4's point
            put(kept, key, value)
        return bool(kept == cell.plain_config())


def read_kept(path: Path, facts: Mapping[str, Any]) -> Kept:
    """Reads the result that is to be continued.

    Args:
        path: paper_<name>.json.
        facts: of the prepared data (`benchmarks.paper.result.data_facts`).

    Raises:
        ValueError: if there is no such result, or it is of other rows. The data's fingerprint may
            differ, for it changes with the schema's form; counts and days may not.
    """
    if not path.is_file():
        raise ValueError(f"--keep: there is no result to keep, {path} is missing; leave --keep out")
    result = json.loads(path.read_text(encoding="utf-8"))
    for key in ("dataset", "rows", "days", "splits"):
        if result["data"][key] != facts[key]:
            raise ValueError(
                f"--keep: {path} must be of the same rows as --data, but its {key} are "
                f"{result['data'][key]}, received {facts[key]}; leave --keep out, or choose "
                "another --name"
            )
    rows = [*result["rows"], *result["sweeps"]]
    return Kept(rows, result["configs"], result["tuned"], result["bootstrap"])
