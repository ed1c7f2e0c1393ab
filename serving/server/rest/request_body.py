"""A request's body: read within limits of size and time, and decompressed."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from serving.server.errors import StatusError
from serving.server.flags import Limits

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]

#: Larger bodies are decompressed and parsed in a thread.
LARGE_BODY = 256 * 1024


class DisconnectedError(Exception):
    """The client left before its request was complete."""


def header(scope: Scope, name: bytes) -> bytes:
    """The value of a request's header; b"" if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return value
    return b""


async def read(scope: Scope, receive: Receive, limits: Limits) -> bytes:
    """Reads the body of a request, decompressed.

    Args:
        scope: The request's ASGI scope.
        receive: Gives its parts.
        limits: How large it may be, and how long it may take.

    Raises:
        StatusError: It is too large or too slow.
        DisconnectedError: The client left.
    """
    limit = limits.max_body_bytes
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    if scope.get("state", {}).get("whole"):  # `Protocol` has all of it: no clock is needed
        body = await _collect(receive, limit)
    else:
        try:
            async with asyncio.timeout(limits.timeout_seconds):
                body = await _collect(receive, limit)
        except TimeoutError:
            raise StatusError(
                "DEADLINE_EXCEEDED", "The request body did not arrive in time", http_status=408
            ) from None
    if b"gzip" in header(scope, b"content-encoding").lower():
        large = len(body) > LARGE_BODY
        return await asyncio.to_thread(_gunzip, body, limit) if large else _gunzip(body, limit)
    return body


async def _collect(receive: Receive, limit: int) -> bytes:
    """The body, as far as it is not too large."""
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> StatusError:
    return StatusError(
        "RESOURCE_EXHAUSTED", f"Request body is larger than {limit} bytes", http_status=413
    )


def _gunzip(body: bytes, limit: int) -> bytes:
    """The decompressed body, all members of it; what is not gzip counts as empty."""
    plain, unpacked = [], 0
    while body:
        unzip = zlib.decompressobj(wbits=31)
        try:
            plain.append(unzip.decompress(body, limit + 1 - unpacked))
        except zlib.error:
            return b""
        unpacked += len(plain[-1])
        if unpacked > limit:
            raise _too_large(limit)
        if not unzip.eof:
            return b""
        body = unzip.unused_data.lstrip(b"\0")  # padding, as gzip has it
    return b"".join(plain)
