"""Processes that need not import TensorFlow: forked from one that has it, and nothing else, loaded.

A job or a server that a test starts as `python -m pipelines.train ...` spends four to five seconds
of CPU on importing TensorFlow. A `WarmProcesses` has the signatures of `subprocess.Popen` and
`subprocess.run`, and gives the same: a process of its own, with its own identity, signals,
environment, folder, streams and exit status, which imports the project anew. Only its start
differs:

- pytest starts one parent (tests/warm_parent.py), which imports TensorFlow, Keras, pandas and what
  they import, runs no operation (TensorFlow can be forked until the first), and waits.
- A request carries command, folder, environment and the three streams over a socket. The parent
  forks. In the child the environment is replaced and `python -m MODULE` (or `-c CODE`, or a file)
  done as Python does it; it ends as any interpreter does, with atexit and traceback.
- The parent waits for its children and reports their ends. When pytest ends, however it ends, the
  socket does too, and the parent kills what still runs.

Variables that libraries read when they are imported (TF_*, KERAS_* and so on) cannot change after
that: each set of them has a parent of its own. Modules of the project are never loaded in advance:
they may read the environment too. The tests that are about the start itself (the
command line from cold, a TensorFlow without Keras) use `subprocess`. So should one that needs
another hash seed: children of one parent share theirs.
"""

import contextlib
import importlib.util
import io
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

_PARENT = Path(__file__).with_name("warm_parent.py")
_spec = importlib.util.spec_from_file_location("warm_parent", _PARENT)
assert _spec is not None
assert _spec.loader is not None
_parent = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_parent)

#: Variables that TensorFlow, Keras, NumPy, pandas or Python read at the import.
READ_AT_IMPORT = (
    "TF_", "XLA_", "KERAS_", "PYTHON", "OMP_", "OPENBLAS_", "MKL_", "ARROW_", "MALLOC_", "LD_",
    "NUMPY_", "NPY_", "SCIPY_", "SKLEARN_", "HOME", "LANG", "LC_",
)  # fmt: skip
#: Of these, what TensorFlow reads when a cluster is made.
READ_LATER = {"TF_CONFIG"}


class WarmProcesses:
    """Starts processes; see the module's docstring. A context manager: the end kills them.

    It can stand where code has the module `subprocess`, and so has its constants.
    """

    PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT
    TimeoutExpired, CalledProcessError = subprocess.TimeoutExpired, subprocess.CalledProcessError

    def __init__(self, preload: Sequence[str] = ("tensorflow", "keras", "pandas")) -> None:
        self._preload = preload
        self._parents: dict[tuple[tuple[str, str], ...], _Parent] = {}
        self._started: list[WarmPopen] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "WarmProcesses":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        for parent in self._parents.values():
            parent.close()

    def Popen(
        self,
        args: Sequence[str],
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: dict[str, str] | None = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        text: bool = False,
    ) -> "WarmPopen":
        """As `subprocess.Popen`, for `[sys.executable, "-m" | "-c" | FILE, ...]`."""
        command = [os.fspath(word) for word in args]
        if len(command) < 2 or command[0] != sys.executable:
            raise ValueError(f"args: must begin with sys.executable, received {args!r}")
        if command[1].startswith("-") and (command[1] not in ("-m", "-c") or len(command) < 3):
            raise ValueError(f"args: must go on with -m, -c or a file, received {args!r}")
        variables = dict(os.environ if env is None else env)
        request = {
            "command": command[1:],
            "cwd": os.path.abspath(cwd or os.getcwd()),
            "env": variables,
        }
        with self._lock:
            key = tuple(sorted(_at_import(variables).items()))
            if key not in self._parents:
                self._parents[key] = _Parent(self._preload, variables)
            with contextlib.ExitStack() as handed_over:
                ends = _streams(handed_over, stdin, stdout, stderr)
                connection, theirs = socket.socketpair()
                handed_over.callback(theirs.close)
                self._parents[key].hand_over([*(fd for fd, _ in ends), theirs.fileno()])
            streams = [_opened(ours, text, index == 0) for index, (_, ours) in enumerate(ends)]
            process = WarmPopen(command, connection, request, streams)
            self._started = [p for p in self._started if p.returncode is None]
            self._started.append(process)
        return process

    def run(
        self,
        args: Sequence[str],
        *,
        input: str | bytes | None = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        **options: Any,
    ) -> subprocess.CompletedProcess:
        """As `subprocess.run`."""
        if capture_output:
            options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        if input is not None:
            options["stdin"] = subprocess.PIPE
        with self.Popen(args, **options) as process:
            try:
                out, err = process.communicate(input, timeout)
            except BaseException:
                process.kill()
                raise
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        if check:
            done.check_returncode()
        return done


class WarmPopen:
    """The interface of `subprocess.Popen` to a process that another one started."""

    def __init__(
        self,
        args: list[str],
        connection: socket.socket,
        request: dict[str, Any],
        streams: list[IO[Any] | None],
    ) -> None:
        self.args = args
        self.returncode: int | None = None
        self.stdin, self.stdout, self.stderr = streams
        self._connection = connection
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._read: dict[str, Any] = {"stdout": None, "stderr": None}
        _parent.send(connection, request)
        self.pid: int = _parent.receive(connection)

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._ended(timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return status

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            with contextlib.suppress(ValueError):  # closed by another thread, which has the status
                select.select([self._connection], [], [], timeout and max(0.0, timeout))
            with self._lock:
                if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
                    self.returncode = _parent.receive(self._connection)
                    self._connection.close()
        return self.returncode

    def communicate(
        self,
        input: str | bytes | None = None,
        timeout: float | None = None,
    ) -> tuple[Any, Any]:
        if not self._threads:
            for name in ("stdout", "stderr"):
                if getattr(self, name) is not None:
                    self._begin(self._collect, name)
            if self.stdin is not None:
                self._begin(self._feed, input)
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
            if thread.is_alive():
                assert timeout is not None
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        return self._read["stdout"], self._read["stderr"]

    def _begin(self, function: Any, argument: Any) -> None:
        thread = threading.Thread(target=function, args=(argument,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _collect(self, name: str) -> None:
        with getattr(self, name) as stream:
            self._read[name] = stream.read()

    def _feed(self, data: str | bytes | None) -> None:
        assert self.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.stdin:
            if data:
                self.stdin.write(data)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> "WarmPopen":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdout, self.stderr, self.stdin):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.wait()


class _Parent:
    """The process that has TensorFlow loaded, seen from pytest."""

    def __init__(self, preload: Sequence[str], variables: dict[str, str]) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            # what is not read at the import may be as it is here: COVERAGE_*, for one
            others = {k: v for k, v in os.environ.items() if k not in _at_import(os.environ)}
            self._process = subprocess.Popen(
                [sys.executable, _PARENT, str(theirs.fileno()), *preload],
                env={**others, **_at_import(variables)},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches pytest, which ends the rest
            )

    def hand_over(self, descriptors: list[int]) -> None:
        socket.send_fds(self._control, [b"!"], descriptors)

    def close(self) -> None:
        self._control.close()
        self._process.wait()


def _at_import(variables: Any) -> dict[str, str]:
    return {
        name: value
        for name, value in variables.items()
        if name.startswith(READ_AT_IMPORT) and name not in READ_LATER
    }


def _streams(
    stack: contextlib.ExitStack, stdin: Any, stdout: Any, stderr: Any
) -> list[tuple[int, int | None]]:
    """For each stream the child's descriptor and ours; the stack closes what the child alone has.

    As in `subprocess`: None inherits, and there are PIPE, DEVNULL, STDOUT, descriptors and files.
    """
    found: list[tuple[int, int | None]] = []
    for number, wanted in enumerate((stdin, stdout, stderr)):
        if wanted is None:
            found.append((number, None))
        elif wanted == subprocess.PIPE:
            reading, writing = os.pipe()
            child, ours = (reading, writing) if number == 0 else (writing, reading)
            stack.callback(os.close, child)
            found.append((child, ours))
        elif wanted == subprocess.DEVNULL:
            nothing = os.open(os.devnull, os.O_RDWR)
            stack.callback(os.close, nothing)
            found.append((nothing, None))
        elif wanted == subprocess.STDOUT:
            found.append((found[1][0], None))
        else:
            found.append((wanted if isinstance(wanted, int) else wanted.fileno(), None))
    return found


def _opened(descriptor: int | None, text: bool, writing: bool) -> IO[Any] | None:
    if descriptor is None:
        return None
    binary: Any = io.BufferedWriter if writing else io.BufferedReader
    stream = binary(io.FileIO(descriptor, "wb" if writing else "rb"))
    return io.TextIOWrapper(stream, write_through=writing) if text else stream
