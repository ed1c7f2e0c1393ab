"""Prepared folders in a bucket: small files are copied here once, rows are read where they lie.

A folder that was copied to a bucket as it is has an address, s3://bucket/folder, that stands for it
wherever a job takes prepared data. What jobs write stays on a disk of this machine.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

from idefn_tf.data import object_store

#: What is copied: everything that is no row.
_SMALL = re.compile(r"[^/]+\.(json|yaml)|vocabularies/[^/]+\.json")


def fetch(address: str) -> tuple[Path, tuple[str, ...]]:
    """Copies a prepared folder's card, schema and vocabularies, and lists its files.

    Args:
        address: such as s3://bucket/folder.

    Returns:
        A folder on this disk, which goes when the process ends, and every file's path within
        `address`.

    Raises:
        ValueError: if nothing lies there, or the server cannot be asked.
    """
    found = object_store.files_under(address, "data")
    if not found:
        raise ValueError(
            f"data: {address} must be a prepared folder, received an address under which nothing "
            "lies; check bucket and folder, or copy there what python -m pipelines.prepare made"
        )
    listing = tuple(file.removeprefix(f"{address}/") for file in found)
    root = Path(tempfile.mkdtemp(prefix="idefn-data-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    for name in filter(_SMALL.fullmatch, listing):
        (root / name).parent.mkdir(exist_ok=True)
        object_store.copy(f"{address}/{name}", root / name, "data")
    return root, listing


def on_disk(path: str | Path, argument: str) -> Path:
    """Returns a path to be written to.

    Raises:
        ValueError: naming `argument`, if it is an address.
    """
    text = os.fspath(path)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
        raise ValueError(
            f"{argument}: must be a path on this machine, where files can be renamed and locked, "
            f"received {text!r}; write here, and copy what was made to the bucket"
        )
    return Path(path)
