"""Versions on disk: numbered folders that appear whole, by renaming, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Collection, Iterator
from pathlib import Path

from idefn_tf._files import PREFIX, flush, flush_tree, remove_leftovers

_LARGEST = 2**63 - 1


def list_versions(model_base: str | Path) -> dict[int, Path]:
    """Returns the versions in a model's folder, oldest first; other names are passed over.

    Example:
        >>> from pathlib import Path
        >>> from idefn_tf.export import list_versions
        >>> for version in (1, 2, 10):
        ...     Path("models", "cvr", str(version)).mkdir(parents=True)
        >>> list(list_versions("models/cvr"))
        [1, 2, 10]
    """
    base = Path(model_base)
    if not base.is_dir():
        return {}
    found = {
        int(path.name): path
        for path in sorted(base.iterdir())
        if path.name.isascii() and path.name.isdigit() and path.is_dir()
    }
    return dict(sorted(found.items()))


def next_version(model_base: str | Path) -> int:
    """Returns one more than the highest version, and 1 for the first."""
    number = max(list_versions(model_base), default=0) + 1
    if number > _LARGEST:
        raise ValueError(
            f"model_base: {model_base} holds version {number - 1}, the highest that an int64 can "
            "name; remove it"
        )
    return number


@contextlib.contextmanager
def building(model_base: str | Path) -> Iterator[Path]:
    """Gives a hidden folder in `model_base` to build a version in, and removes it at the end.

    `publish` renames it before that. What killed exports of this machine left is removed first.

    Raises:
        ValueError: if `model_base` is a remote address or a file.
    """
    if "://" in str(model_base):
        raise ValueError(
            f"model_base: must be a local folder, received {model_base}; versions appear by "
            "renaming, which object stores lack: export to a folder and copy it"
        )
    base = Path(model_base)
    if base.exists() and not base.is_dir():
        raise ValueError(f"model_base: {base} must be a folder, received a file")
    base.mkdir(parents=True, exist_ok=True)
    remove_leftovers(base, f"{PREFIX}{socket.gethostname()}-")
    folder = base / f"{PREFIX}{socket.gethostname()}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, model_base: str | Path) -> Path:
    """Renames a built folder to the next version and returns the version's path.

    Everything is flushed to the disk before, so that a power cut leaves no half version either.
    """
    flush_tree(folder)
    while True:
        target = Path(model_base) / str(next_version(model_base))
        try:
            os.rename(folder, target)
        except OSError:
            if not target.exists():  # not another export that took the number meanwhile
                raise
            continue
        flush(Path(model_base))
        return target


def prune(model_base: str | Path, keep: int, protect: Collection[int] = ()) -> list[int]:
    """Removes all but the `keep` newest versions.

    Args:
        model_base: the model's folder.
        keep: how many of the newest stay, at least one.
        protect: versions that stay whatever their age: those served or labelled.

    Returns:
        The versions removed; those that another export removed meanwhile are not among them.

    Raises:
        ValueError: if `keep` is below 1.

    Example:
        >>> from pathlib import Path
        >>> from idefn_tf.export import list_versions, prune
        >>> for version in (1, 2, 3, 4):
        ...     Path("models", "cvr", str(version)).mkdir(parents=True)
        >>> prune("models/cvr", keep=1, protect=[2]), list(list_versions("models/cvr"))
        ([1, 3], [2, 4])
    """
    if keep < 1:
        raise ValueError(f"keep: must be 1 or more, received {keep}")
    versions = list_versions(model_base)
    removed = []
    for number in list(versions)[:-keep]:
        if number in set(protect):
            continue
        # first out of the servers' sight, so that none loads a half removed version
        hidden = versions[number].with_name(f"{PREFIX}{socket.gethostname()}-{os.getpid()}-old")
        try:
            os.rename(versions[number], hidden)
        except FileNotFoundError:
            continue
        shutil.rmtree(hidden)
        removed.append(number)
    return removed
