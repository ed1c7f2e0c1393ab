"""Files of results, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_json_whole(path: Path, value: Any) -> None:
    """Writes JSON that is the same for the same value, whole or not at all."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_text_whole(path, text + "\n")


def write_text_whole(path: Path, text: str) -> None:
    """Writes text beside `path` and renames it, so that no reader meets half a file."""
    with written_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Gives a path to write to; what lies there takes the place of `path` when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
