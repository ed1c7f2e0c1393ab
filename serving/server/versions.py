"""What is known of a model's versions: their folders, states and failures."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path

import tensorflow as tf

from serving.server import errors
from serving.server.config import ModelConfig
from serving.server.errors import StatusError
from serving.server.servable import Servable

log = logging.getLogger("serving.server")


@dataclasses.dataclass
class Version:
    """What is known of one version of a model."""

    number: int
    path: Path
    state: str = "START"
    servable: Servable | None = None
    error: StatusError | None = None
    failures: int = 0
    retry_at: float = 0.0
    stamp: tuple[int, int] = (0, 0)


class Model:
    """One model's versions and labels."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.versions: dict[int, Version] = {}
        self.labels: dict[str, int] = {}


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
    for item in (path, path / "saved_model.pb"):
        try:
            stamps.append(item.stat().st_mtime_ns)
        except OSError:
            stamps.append(0)
    return stamps[0], stamps[1]


def load_error(error: Exception) -> StatusError:
    """What a failed load says in the model's status."""
    if isinstance(error, StatusError):
        return error
    if isinstance(error, tf.errors.OpError):
        return errors.from_tensorflow(error)
    if isinstance(error, OSError):
        return StatusError("NOT_FOUND", str(error))
    return StatusError("INTERNAL", f"{type(error).__name__}: {error}")
