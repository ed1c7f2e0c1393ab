"""Free TCP ports of this machine, for programs that must be told theirs.

Where a program can bind to port 0 and say what it got, that is better: between this answer and the
program's start another process may take the port.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Returns ports of the loopback interface that were free and differ from each other."""
    with ExitStack() as stack:  # all at once, so that they differ
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def free_addresses(count: int) -> list[str]:
    """Returns the same as "127.0.0.1:PORT"."""
    return [f"127.0.0.1:{port}" for port in free_ports(count)]
