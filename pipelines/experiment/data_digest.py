"""Data digests: whether a resumed run meets the rows and vocabularies that it began with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from idefn_tf._files import read_json, write_json
from idefn_tf.export.run_files import RunFiles
from pipelines.preparation.prepared_folder import Prepared

#: The parts whose rows reach a model or its selection.
PARTS = ("train", "validation")
_DIGESTS = "data.json"
_BLOCKS, _BLOCK = 64, 1 << 16


def write_digests(run: RunFiles, data: Prepared) -> None:
    """Notes the data's files in a run that begins."""
    write_json(run.checkpoints / _DIGESTS, _digests(data))


def require_same_data(run: RunFiles, data: Prepared) -> None:
    """Compares the data with what a run began with.

    Vocabularies are compared whole. Of a row file 64 blocks are read, spread over it: all of a file
    up to 4 MiB. Of data at an address only the names are compared.

    Raises:
        ValueError: naming the first file that is another, new or gone.
    """
    noted = run.checkpoints / _DIGESTS
    before = read_json(noted) if noted.is_file() else {}  # a run of an earlier release has none
    now = _digests(data)
    pairs = {name: (before[name], now.get(name)) for name in before}
    pairs |= {name: (None, now[name]) for name in now if before and name not in before}
    ours = {f"vocabularies/{path.name}": path for path in run.vocabularies.glob("*.json")}
    theirs = {f"vocabularies/{path.name}": path for path in data.vocabularies.glob("*.json")}
    for name in {**ours, **theirs}:
        both = [path.read_bytes() if path else None for path in (ours.get(name), theirs.get(name))]
        pairs[name] = (both[0], both[1])
    for name, (had, has) in sorted(pairs.items()):
        if had != has:
            how = "is new" if had is None else "is gone" if has is None else "is another"
            raise ValueError(
                f"out: {run.root} must go on with the data it began with, received {data.place} "
                f"where {name} {how}; give the old data, or a new folder to train anew"
            )


def _digests(data: Prepared) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in PARTS:
        if part in data.parts:
            for file in data.files(part):
                name = f"{part}/{file.rpartition('/')[2]}"
                found[name] = "there" if data.address is not None else _digest(Path(file))
    return found


def _digest(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    step = max(_BLOCK, size // _BLOCKS)
    with path.open("rb") as file:
        for start in range(0, size, step):
            file.seek(start)
            digest.update(file.read(_BLOCK))
        file.seek(max(0, size - _BLOCK))
        digest.update(file.read())
    return digest.hexdigest()
