"""The resident memory of a process while it is under load (Linux)."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any


def resident_mib(pid: int) -> float:
    """Returns a process's resident memory in MiB.

    Args:
        pid: the process.

    Raises:
        ValueError: if there is no such process, or the system does not tell (Linux does).
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        raise ValueError(
            f"pid: must be a running process on this machine (Linux), received {pid}"
        ) from None
    for line in lines:
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"pid: must be a process with memory of its own, received {pid}")


class MemoryWatch:
    """Samples a process's memory from a thread, between `with` and its end.

    Args:
        pid: the process; None watches nothing.
        every: seconds between two samples.
    """

    def __init__(self, pid: int | None, every: float = 0.25) -> None:
        self._pid = pid
        self._every = every
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.samples: list[float] = []

    def __enter__(self) -> MemoryWatch:
        if self._pid is not None:
            self.samples.append(resident_mib(self._pid))
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._sample()

    def summary(self) -> dict[str, Any]:
        """Returns first, last and largest in MiB; nothing if nothing was watched."""
        if not self.samples:
            return {}
        return {
            "memory_first_mib": round(self.samples[0], 1),
            "memory_last_mib": round(self.samples[-1], 1),
            "memory_largest_mib": round(max(self.samples), 1),
        }

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            if not self._sample():
                return

    def _sample(self) -> bool:
        assert self._pid is not None
        try:
            self.samples.append(resident_mib(self._pid))
        except ValueError:  # it has ended
            return False
        return True
