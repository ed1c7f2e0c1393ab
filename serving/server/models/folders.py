"""A model's folders on disk: which versions there are, and whether they have changed."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from idefn_tf.export.onnx.onnx_scorer import MODEL
from idefn_tf.export.open_version import ONNX, SAVED_MODEL, format_of

#: The file of a version that holds its graph, by format.
GRAPHS = {SAVED_MODEL: "saved_model.pb", ONNX: MODEL}

log = logging.getLogger("serving.server")


def find_versions(base_path: str) -> dict[int, Path]:
    """The version folders of a model: names that are integers, leading zeros allowed.

    Args:
        base_path: The model's folder.

    Returns:
        Folder by version number; of two names for one number the first in order is taken.
    """
    found: dict[int, Path] = {}
    with os.scandir(base_path) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            name = entry.name
            if not (name.isascii() and name.isdigit() and entry.is_dir()):
                continue
            number = int(name)
            if number >= 2**63:
                continue
            if number in found:
                log.warning("Duplicate version directories: %s and %s", found[number], entry.path)
                continue
            found[number] = Path(entry.path)
    return found


def stamp_of(path: Path) -> tuple[int, int]:
    """Changes when a folder's content does, as far as its own entry and the graph file tell."""
    stamps = []
    for item in (path, path / GRAPHS[format_of(path)]):
        try:
            stamps.append(item.stat().st_mtime_ns)
        except OSError:
            stamps.append(0)
    return stamps[0], stamps[1]


def why_none(name: str, base_path: str) -> str:
    """What is wrong with a model's folder that has no version, and the cure."""
    base = Path(base_path)
    if any((base / graph).is_file() for graph in GRAPHS.values()):
        return f"{name}: '{base}' is a version itself; give its parent folder"
    if not base.is_dir():
        return f"{name}: there is no folder '{base}'"
    return f"{name}: no version found under '{base}' (a version is a folder whose name is a number)"
