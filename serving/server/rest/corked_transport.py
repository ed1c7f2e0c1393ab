"""A transport that sends an answer's head together with its body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class CorkedTransport:
    """A transport that sends an answer's head together with its body: one packet, one wake-up."""

    def __init__(self, transport: asyncio.Transport, lingers: Callable[[], bool]) -> None:
        self._transport = transport
        self._lingers = lingers
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends; holds back a head until what follows it."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._held = data
            return
        self._transport.write(data)

    def write_whole(self, data: bytes) -> None:
        """Sends a whole answer, or what an answer is not part of."""
        self._transport.write(data)

    def flush(self) -> None:
        """Sends a head that nothing follows."""
        if self._held:
            self._transport.write(self._held)
            self._held = b""

    def close(self) -> None:
        """Sends what is held, then closes, unless the connection has something to read first."""
        self.flush()
        if not self._lingers():
            self._transport.close()
