"""The two kinds of load that `serving.load` puts on a server, and what they measure.

Closed loop: N clients, each sends its next request when the last is answered. Open loop: requests
leave at fixed times, and a latency counts from the time the request was due.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import math
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from idefn_tf._rules import COUNT, Number, checked

_LOST = 0  # status of a request without an answer


@dataclasses.dataclass
class Load:
    """What a run measured.

    Attributes:
        seconds: How long it lasted.
        latencies: Seconds of each answered request, in order of the answers.
        statuses: Number of answers by HTTP status; 0 counts requests without an answer.
        rows: Rows per request.
    """

    seconds: float = 0.0
    latencies: list[float] = dataclasses.field(default_factory=list)
    statuses: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    rows: int = 1

    @property
    def failed(self) -> int:
        """Requests without an answer of status 200."""
        return sum(count for status, count in self.statuses.items() if status != 200)

    def percentile(self, share: float) -> float:
        """The latency in seconds that this share of the answers kept to; NaN without answers."""
        if not self.latencies:
            return float("nan")
        ordered = sorted(self.latencies)
        return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]

    def summary(self) -> dict[str, Any]:
        """Milliseconds, rates and failures, ready for JSON."""
        answered = self.statuses[200]
        return {
            "requests": sum(self.statuses.values()),
            "failed": self.failed,
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "seconds": round(self.seconds, 3),
            "requests_per_second": round(answered / self.seconds, 1) if self.seconds else 0.0,
            "rows_per_second": round(answered * self.rows / self.seconds, 1) if self.seconds else 0,
            **{
                f"{name}_ms": round(1000 * self.percentile(share), 3)
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
                if self.latencies
            },
        }


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._received = bytearray()
        self._missing = -1  # bytes of the body still to come; -1: the head is not complete
        self._status = _LOST
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(_LOST)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._received += data
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end]).lower()
            self._status = int(head[9:12])
            self._closing = b"\r\nconnection: close" in head
            start = head.find(b"\r\ncontent-length:")
            size = int(head[start + 17 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            self._missing = size - (len(self._received) - end - 4)
            self._received.clear()
        else:
            self._missing -= len(data)
        if self._missing <= 0 and self._answer is not None and not self._answer.done():
            self._missing = -1
            self._answer.set_result(self._status)
            if self._closing and self.transport is not None:
                self.transport.close()
                self.transport = None

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Sends a request; the future gives the answer's status."""
        self._answer = asyncio.get_running_loop().create_future()
        if self.transport is None:
            self._answer.set_result(_LOST)
        else:
            self.transport.write(request)
        return self._answer


class Target:
    """A server's address and the request to send to it.

    Args:
        url: http(s)://host:port.
        path: The request's path.
        body: Its body.
        headers: Further headers.
        insecure: Accept any certificate.
    """

    def __init__(
        self,
        url: str,
        path: str,
        body: bytes,
        headers: dict[str, str] | None = None,
        insecure: bool = False,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: must be http(s)://host:port, received '{url}'")
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.context = None
        if parts.scheme == "https":
            self.context = ssl.create_default_context()
            if insecure:
                self.context.check_hostname = False
                self.context.verify_mode = ssl.CERT_NONE
        lines = [f"POST {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.request = ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    async def connect(self) -> _Connection:
        """Opens a connection; one without a transport if that fails."""
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, self.host, self.port, ssl=self.context
            )
        except OSError:
            await asyncio.sleep(0.01)
            return _Connection()
        return connection


async def closed_loop(
    target: Target,
    clients: int,
    seconds: float,
    rows: int = 1,
    warmup: float = 0.5,
    requests: int | None = None,
) -> Load:
    """N clients, each with one request under way.

    Args:
        target: Where to.
        clients: How many.
        seconds: How long at most, after the warm-up.
        rows: Rows per request, for the report.
        warmup: Seconds before the clock starts; none where `requests` is given.
        requests: Stop after this many; None for no limit.

    Returns:
        The measurements.
    """
    checked("clients", COUNT, clients)
    found = Load(rows=rows)
    start = time.perf_counter() + (warmup if requests is None else 0.0)
    end = start + seconds
    left = math.inf if requests is None else requests

    async def client() -> None:
        nonlocal left
        connection = await target.connect()
        while left > 0 and (begun := time.perf_counter()) < end:
            left -= 1
            if connection.transport is None:
                connection = await target.connect()
            status = await connection.ask(target.request)
            if begun >= start:
                found.statuses[status] += 1
                if status != _LOST:
                    found.latencies.append(time.perf_counter() - begun)
        if connection.transport is not None:
            connection.transport.close()

    await asyncio.gather(*[client() for _ in range(clients)])
    found.seconds = time.perf_counter() - start
    return found


async def open_loop(
    target: Target, rate: float, seconds: float, rows: int = 1, connections: int = 256
) -> Load:
    """Requests at fixed times; a latency counts from the time a request was due.

    Args:
        target: Where to.
        rate: Requests per second.
        seconds: How long to send.
        rows: Rows per request, for the report.
        connections: Most requests under way at once; a request that finds all taken waits, and its
            waiting counts.

    Returns:
        The measurements.
    """
    checked("rate", Number(above=0), rate)
    found = Load(rows=rows)
    idle: list[_Connection] = []
    free = asyncio.Semaphore(connections)

    async def one(due: float) -> None:
        async with free:
            connection = idle.pop() if idle else await target.connect()
            status = await connection.ask(target.request)
            found.statuses[status] += 1
            if status != _LOST:
                found.latencies.append(time.perf_counter() - due)
            if connection.transport is not None:
                idle.append(connection)

    start = time.perf_counter()
    tasks: set[asyncio.Task[None]] = set()
    for number in range(int(rate * seconds)):
        due = start + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    while tasks:
        await asyncio.gather(*tasks)
    found.seconds = time.perf_counter() - start
    for connection in idle:
        if connection.transport is not None:
            connection.transport.close()
    return found


def run(work: Any) -> Load:
    """Runs one of the loops above, on uvloop where it is installed."""
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        found: Load = runner.run(work)
    return found
