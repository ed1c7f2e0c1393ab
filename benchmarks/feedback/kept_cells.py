"""Cells of a grid in one committed file, so that the grid goes on where its folder is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from idefn_tf._files import write_json


def read_cells(folder: Path) -> dict[str, Any]:
    """Reads the cells of a folder, by name."""
    paths = sorted(folder.glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def keep_cells(folder: Path, path: Path) -> None:
    """Writes all cells of a folder into one file, by name; cells that it held already stay.

    Args:
        folder: a JSON file a cell.
        path: the file, beside the table that is made of it.
    """
    write_json(path, dict(sorted((_kept(path) | read_cells(folder)).items())))


def restore_cells(path: Path, folder: Path) -> int:
    """Writes those cells of a file that a folder lacks, and returns how many.

    They count as done. For a grid from its begin remove the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = {n: cell for n, cell in _kept(path).items() if not (folder / f"{n}.json").exists()}
    for name, cell in missing.items():
        write_json(folder / f"{name}.json", cell)
    return len(missing)


def _kept(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found
