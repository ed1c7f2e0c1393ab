"""Folder locks: a folder that a job writes has one owner at a time."""

from __future__ import annotations

import fcntl
import functools
import inspect
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: Folders that this process owns, with the number of jobs inside one another that asked.
_HELD: dict[Path, int] = {}
_GUARD = threading.Lock()


@contextmanager
def owned(folder: str | Path, job: str, option: str = "--out") -> Iterator[None]:
    """Holds a folder while a job writes it.

    The kernel's lock of a hidden file beside the folder, which a kill frees; the file says who
    holds it. A job that runs inside another one of the same process holds it along.

    Args:
        folder: what is written; it need not be there yet.
        job: the job's name, for the message.
        option: how the user named the folder, for the message.

    Raises:
        ValueError: if another process holds it, naming the process.
    """
    path = Path(folder).resolve()
    with _GUARD:
        first = not _HELD.get(path)
        if not first:
            _HELD[path] += 1
    file = _lock(path, job, option) if first else None
    try:
        if first:
            with _GUARD:
                _HELD[path] = 1
        yield
    finally:
        with _GUARD:
            _HELD[path] -= 1
            if not _HELD[path]:
                del _HELD[path]
        if file is not None:
            with suppress(OSError):
                Path(file.name).unlink()  # the next owner makes another
            file.close()


def one_owner(
    job: str, parameter: str = "out", unless: Callable[[Mapping[str, Any]], bool] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a job hold the folder that one of its arguments names (`owned`).

    Args:
        job: the job's name, for the message.
        parameter: the argument: a path, or what has one as `root`.
        unless: says from the arguments whether another process holds the folder for this one, as
            a chief does for its workers.
    """

    def wrap(work: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(work)

        @functools.wraps(work)
        def holding(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs).arguments
            if unless is not None and unless(given):
                return work(*args, **kwargs)
            named = given[parameter]
            folder = named if isinstance(named, str | Path) else named.root
            with owned(folder, job, f"--{parameter.removesuffix('_dir')}"):
                return work(*args, **kwargs)

        return holding

    return wrap


def _lock(path: Path, job: str, option: str) -> IO[str]:
    beside = path.with_name(f".{path.name}.owner")
    beside.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = beside.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = _who(file)
            file.close()
            raise ValueError(
                f"{option}: {path} must be written by one job at a time, and is in use by {told}; "
                "wait for it, or give another folder"
            ) from None
        except OSError:  # a file system without locks
            return file
        with suppress(OSError):
            if os.fstat(file.fileno()).st_ino == beside.stat().st_ino:
                break
        file.close()  # its owner removed it in between
    file.truncate(0)
    start = datetime.now().astimezone().isoformat(timespec="seconds")
    owner = {"job": job, "pid": os.getpid(), "host": socket.gethostname(), "start": start}
    file.write(json.dumps(owner) + "\n")
    file.flush()
    return file


def _who(file: IO[str]) -> str:
    file.seek(0)
    try:
        owner = json.loads(file.read())
        return "{job} (process {pid} on {host}, since {start})".format(**owner)
    except (ValueError, KeyError):
        return "another process"
