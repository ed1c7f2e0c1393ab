"""The parent of warm processes: has TensorFlow loaded, and forks at each request.

    python tests/warm_parent.py SOCKET MODULE ...

`tests/warm_processes.py` says what for. Messages on a socket are JSON behind their length.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any


def send(connection: socket.socket, value: Any) -> None:
    data = json.dumps(value).encode()
    connection.sendall(len(data).to_bytes(4, "big") + data)


def receive(connection: socket.socket) -> Any:
    def exactly(count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = connection.recv(count - len(data))
            if not piece:
                raise RuntimeError("the process that starts others has ended")
            data += piece
        return data

    return json.loads(exactly(int.from_bytes(exactly(4), "big")))


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Forks at each request. Returns the request in the child; None at the end, in the parent."""
    woken, wakes = socket.socketpair()
    for end in (woken, wakes):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    children: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _reap(children, os.WNOHANG)
        if control not in ready:
            continue
        mark, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        if not mark:
            break
        connection = socket.socket(fileno=descriptors.pop())
        request = receive(connection)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for stream, descriptor in enumerate(descriptors):
                os.dup2(descriptor, stream)
            for ours in (control, woken, wakes, connection, *children.values()):
                ours.close()
        for descriptor in descriptors:
            os.close(descriptor)
        if pid == 0:
            return request
        children[pid] = connection
        send(connection, pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    while children:
        _reap(children, 0)
    return None


def _reap(children: dict[int, socket.socket], options: int) -> None:
    while children:
        pid, status = os.waitpid(-1, options)
        if pid == 0:
            return
        with children.pop(pid) as connection, contextlib.suppress(BrokenPipeError):
            send(connection, os.waitstatus_to_exitcode(status))


def become(request: dict[str, Any]) -> None:
    """Runs what the request says, as a process that has just been started."""
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    tempfile.tempdir = None
    os.chdir(request["cwd"])
    if "numpy" in sys.modules:  # Python's own generator is seeded anew by the fork
        sys.modules["numpy"].random.seed()
    kind, *words = request["command"]
    if kind == "-m":
        sys.path[0] = request["cwd"]
        sys.argv = words
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.path[0] = ""
        sys.argv = ["-c", *words[1:]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(words[0], "<string>", "exec"), vars(main))
    else:
        sys.path[0] = str(Path(kind).resolve().parent)
        sys.argv = [kind, *words]
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # or each child's own collections would copy and walk all of this
    # at the top of the stack, so that a child ends as the interpreter does
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        become(asked)
