"""Persistent compilation cache: programs that XLA compiled, kept on disk for the next process.

IDEFN_TF_XLA_CACHE=DIR asks for it. What XLA compiled is machine code: a folder of DIR belongs to
one TensorFlow, one set of features of the processor and one set of XLA's flags. TensorFlow reads
where it is when it starts, so `pipelines` sets it before TensorFlow is imported.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import platform
import sys
import threading
from collections.abc import MutableMapping
from importlib import metadata
from pathlib import Path

#: What asks for it.
VARIABLE = "IDEFN_TF_XLA_CACHE"
_TF_FLAGS, _XLA_FLAGS = "TF_XLA_FLAGS", "XLA_FLAGS"
_CPUINFO = Path("/proc/cpuinfo")
#: What TensorFlow's reader writes of every program that it finds: it tries text before binary.
_NOISE = b"Error parsing text-format tensorflow.XlaSerializedCacheEntry"


def keep_programs(environment: MutableMapping[str, str]) -> Path | None:
    """Tells TensorFlow, before it starts, where compiled programs are kept, if that is asked for.

    Args:
        environment: of the process; TensorFlow's flags are added to it.

    Returns:
        The folder, or None where none was asked for.

    Raises:
        ValueError: if it is a file, or its path holds a blank, where TensorFlow cuts its flags.
    """
    asked = environment.get(VARIABLE)
    flags = environment.get(_TF_FLAGS, "")
    if not asked or "--tf_xla_persistent_cache_directory" in flags:
        return None
    root = Path(asked).expanduser().absolute()
    if len(str(root).split()) != 1 or (root.exists() and not root.is_dir()):
        raise ValueError(
            f"{VARIABLE}: must be a folder whose path holds no blank, received {asked!r}; name "
            "another one"
        )
    folder = root / _key(flags, environment.get(_XLA_FLAGS, ""))
    added = f"--tf_xla_persistent_cache_directory={folder}"
    environment[_TF_FLAGS] = f"{flags} {added}".strip()
    return folder


def without_noise() -> None:
    """Leaves out of standard error, until the process ends, what TensorFlow writes of its cache.

    What C++ writes passes through a pipe. Python's own stream goes where it went, unfiltered, so
    that a terminal stays one.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    sys.stderr = os.fdopen(os.dup(kept), "w", 1, encoding="utf-8", errors="backslashreplace")

    def forward() -> None:
        with open(reading, "rb", buffering=0) as pipe, open(kept, "wb", buffering=0) as out:
            rest = b""
            while some := pipe.read(65_536):
                *lines, rest = (rest + some).split(b"\n")
                out.write(b"".join(line + b"\n" for line in lines if _NOISE not in line))
            out.write(rest)

    thread = threading.Thread(target=forward, daemon=True, name="standard error")
    thread.start()

    def end() -> None:
        """Closes the pipe, so that what is left in it is written."""
        os.dup2(sys.stderr.fileno(), 2)
        thread.join(1.0)

    atexit.register(end)


def _key(*flags: str) -> str:
    """Returns the name of the folder whose programs run here."""
    told = "\n".join((platform.machine(), _features(), *flags))
    return f"tensorflow-{_version()}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _version() -> str:
    for name in ("tensorflow", "tensorflow-cpu", "tensorflow-intel"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def _features() -> str:
    """Returns what the processor can do, as the kernel tells it, or else its name."""
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("flags", "Features"):
                return " ".join(sorted(value.split()))
    return platform.processor()
