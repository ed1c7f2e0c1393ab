"""Atomic writing: a file or a folder appears whole under its name, or what was there stays.

What is written goes to a hidden sibling, is flushed to the disk and takes the name in one step, so
that neither a reader, nor a kill, nor a power cut meets half of it.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Siblings begin so: hidden from readers, and known as leftovers of killed processes.
PREFIX = ".tmp-"
_JSON: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False}
_EXCHANGE, _HERE = 2, -100  # renameat2: RENAME_EXCHANGE, AT_FDCWD


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a hidden sibling to write to, which replaces `path` when all went well.

    A file that is replaced hands on its permission bits. The sibling's name ends as `path` does,
    for writers that go by the ending.

    Args:
        path: the file to make or replace; its folder is made.

    Raises:
        OSError: naming `path`, if the system refuses (a full disk, a folder without write access).
    """
    path = Path(path)
    sibling = path.with_name(f"{PREFIX}{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield sibling
        if path.exists():
            sibling.chmod(stat.S_IMODE(path.stat().st_mode))
        flush(sibling)
        sibling.replace(path)
        flush(path.parent)
    except OSError as error:
        if error.filename not in (None, str(sibling), sibling):
            raise  # about another file
        told = f"could not be written ({error.strerror or error}); what was there stays"
        raise OSError(error.errno or 0, told, str(path)) from error
    finally:
        sibling.unlink(missing_ok=True)


def read_json(path: str | Path, cure: str = "restore it, or make it anew") -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        path: the file.
        cure: what helps where it is damaged, for the message.

    Raises:
        ValueError: naming the file, if it is no whole JSON object.
        OSError: if it cannot be opened.
    """
    content = Path(path).read_bytes()
    try:
        value = json.loads(content)
    except ValueError as error:  # not JSON, or not UTF-8
        raise ValueError(
            f"{path}: must be a whole JSON file, received {len(content):,} bytes that are none "
            f"({error}); {cure}"
        ) from None
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise ValueError(f"{path}: must hold a JSON object, received {kind}; {cure}")
    return value


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    with atomic_path(path) as sibling:
        sibling.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes JSON that is the same for the same value, whole or not at all.

    Raises:
        ValueError: for NaN and infinity, which JSON lacks.
    """
    write_text(path, _indented(value, "\n") + "\n")


def _indented(value: Any, line: str) -> str:
    """Returns what `json.dumps` returns with indents of one, which take its slow encoder.

    Lists of plain values, such as vocabularies, are written whole by the quick one.
    """
    inner = line + " "
    if isinstance(value, dict) and value:
        # a key alone is written as json.dumps writes it: of text, number or None
        heads = (json.dumps({key: 0}, **_JSON)[1:-2] for key in value)
        pairs = [head + _indented(v, inner) for head, v in zip(heads, value.values(), strict=True)]
        return "{" + inner + f",{inner}".join(pairs) + line + "}"
    if isinstance(value, list | tuple) and value:
        if any(isinstance(entry, dict | list | tuple) for entry in value):
            items = f",{inner}".join(_indented(entry, inner) for entry in value)
        else:
            items = json.dumps(value, separators=(f",{inner}", ": "), **_JSON)[1:-1]
        return "[" + inner + items + line + "]"
    return json.dumps(value, **_JSON)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Gives a hidden sibling folder to build in, which replaces `path` when all went well.

    What killed processes left beside `path` is removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{PREFIX}{path.name}-"
    remove_leftovers(path.parent, prefix)
    sibling = path.parent / f"{prefix}{os.getpid()}"
    shutil.rmtree(sibling, ignore_errors=True)
    sibling.mkdir()
    try:
        yield sibling
        flush_tree(sibling)
        _exchange(sibling, path)
        flush(path.parent)
    finally:
        shutil.rmtree(sibling, ignore_errors=True)


def remove_leftovers(folder: Path, prefix: str) -> None:
    """Removes folders named by a prefix and the number of a process that runs no more."""
    for path in folder.glob(f"{prefix}*"):
        owner = path.name.removeprefix(prefix).removesuffix("-old")
        if owner.isdigit() and not _runs(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def flush(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Waits until a folder and everything in it are on the disk."""
    for path in [*folder.rglob("*"), folder]:
        flush(path)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _exchange(sibling: Path, path: Path) -> None:
    """Puts `sibling` in the place of `path` in one step; what was there is then in `sibling`."""
    if not path.exists():
        sibling.rename(path)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    exchange = getattr(libc, "renameat2", None)
    names = (os.fsencode(sibling.absolute()), os.fsencode(path.absolute()))
    if exchange and exchange(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0:
        return
    # file systems without an exchange: two renames
    old = path.parent / f"{sibling.name}-old"
    path.rename(old)
    sibling.rename(path)
    shutil.rmtree(old, ignore_errors=True)
