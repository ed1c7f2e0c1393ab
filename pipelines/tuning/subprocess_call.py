"""A call in a process of its own: its memory is returned, its crash is one failed call.

The process ends with the one that began it, however that ends: SIGTERM and Ctrl-C are passed on as
SIGTERM, upon which a training saves where it stands, and a process whose parent is gone (SIGKILL)
sends itself one.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

#: Seconds that a process has to save and end after SIGTERM, before it is ended.
GRACE = 60.0


class Stopped(Exception):  # noqa: N818  (an outcome, no error)
    """SIGTERM came; the function may raise it too, to say what it saved."""


class Failed(Exception):  # noqa: N818  (what failed is in its text)
    """The function raised; the text is its traceback, so the last line says what and why."""


def run_apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a new process, which imports everything anew.

    Args:
        function: of a module, since it is found there by name.
        arguments: what it is given; they and its value are pickled.

    Returns:
        What the function returns.

    Raises:
        Failed: if the function raised.
        Stopped: after SIGTERM to this process or the other.
        RuntimeError: if the process was ended from outside, as by the system's memory guard.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, arguments), daemon=True)
    with _ignoring_interrupts():  # inherited: Ctrl-C reaches both, and this process decides
        process.start()
    theirs.close()
    try:
        with _passing_on_sigterm(process) as stopping:
            kind, value = _receive(ours)
            process.join()
    finally:
        ours.close()
        _end(process)
    if kind == "failed":
        raise Failed(value)
    if kind == "stopped":
        raise Stopped(value)
    if stopping.is_set() or process.exitcode == -signal.SIGTERM:
        raise Stopped("SIGTERM: the same command goes on from where it was last saved")
    if kind == "ended":
        raise RuntimeError(f"its process was ended, with status {process.exitcode}")
    return value


def peak_mib() -> float | None:
    """Returns the most memory that this process held at once (resident, in MiB).

    Linux says it in /proc; elsewhere it is None, as getrusage counts what the parent held too.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return round(peaks[0] / 1024, 1) if peaks else None


# -- the process that asks ------------------------------------------------------------------------


def _receive(pipe: Connection) -> tuple[str, Any]:
    try:
        answer: tuple[str, Any] = pipe.recv()
    except EOFError:
        return "ended", None
    return answer


def _end(process: BaseProcess) -> None:
    """Ends a process that is still there, after an interrupt; a second interrupt does not wait."""
    try:
        process.terminate()
        process.join(GRACE)
    finally:
        process.kill()
        process.join()


@contextlib.contextmanager
def _passing_on_sigterm(process: BaseProcess) -> Iterator[threading.Event]:
    """Hands SIGTERM to the other process, whose answer follows; a second one ends this process."""
    stopping = threading.Event()

    def pass_on(number: int, frame: Any) -> None:
        stopping.set()
        process.terminate()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    with _handling(signal.SIGTERM, pass_on):
        yield stopping


def _ignoring_interrupts() -> contextlib.AbstractContextManager[None]:
    return _handling(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _handling(number: signal.Signals, handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets only the main thread listen
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


# -- the process that is asked --------------------------------------------------------------------


def _answer(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> NoReturn:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answer: tuple[str, Any]
    try:
        answer = ("done", function(*arguments))
    except Stopped as reason:
        answer = ("stopped", str(reason))
    except Exception:  # noqa: BLE001  (told to the process that asked)
        answer = ("failed", traceback.format_exc())
    with contextlib.suppress(OSError):  # nobody listens any more
        pipe.send(answer)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # all is written and told; TensorFlow's teardown could only fail


def _end_with_parent() -> None:
    """Waits for the parent's end; what trains then saves and stops, or is ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(128 + signal.SIGTERM)
