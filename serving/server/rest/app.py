"""The ASGI application: reads a request, finds its model, runs it, answers.

Every answer, refusals included, is TensorFlow Serving's; an unforeseen failure is a 500 with a
short text, and its details go to the log only.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hmac
import logging
import re
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np

from serving.server import json_text
from serving.server.codec import document, examples, format, tensors
from serving.server.errors import StatusError, invalid_argument
from serving.server.flags import Limits
from serving.server.metrics import Metrics
from serving.server.models.manager import ModelManager
from serving.server.rest import routes
from serving.server.runtime.batching import Batcher
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import Arrays, Signature

log = logging.getLogger("serving.server")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
)
_RUNS = ("predict", "classify", "regress")
_LARGE_BODY = 256 * 1024
_MANY_NUMBERS = 20_000
_ORIGIN = re.compile(rb"https?://")
_NOT_FOUND_PAGE = (
    b"<html><head><title>404 Not Found</title></head>"
    b"<body><h1>Not Found</h1><p>The requested URL was not found on this server.</p></body></html>"
)


@dataclasses.dataclass(frozen=True)
class _Work:
    """A request on its way to the graph, and how its outputs are written."""

    servable: Servable
    signature: Signature
    arrays: Arrays
    write: Callable[[Mapping[str, np.ndarray]], bytes]


class DisconnectedError(Exception):
    """The client left before its request was complete."""


class RestApp:
    """TensorFlow Serving's REST API over a `ModelManager`.

    Args:
        manager: The models.
        batcher: Runs signatures.
        metrics: Counters.
        limits: What a request may cost.
        metrics_path: Where the metrics page is; None for nowhere.
        cors: Whether every answer allows other origins.
        token: The bearer token that every request must show; None for no check.
        check_method: Whether classify and regress insist on the signature's method name.
        log_requests: Whether each request gets a line in the log.
    """

    def __init__(
        self,
        manager: ModelManager,
        batcher: Batcher,
        metrics: Metrics,
        limits: Limits,
        metrics_path: str | None = None,
        cors: bool = False,
        token: str | None = None,
        check_method: bool = False,
        log_requests: bool = False,
    ) -> None:
        self._manager = manager
        self._batcher = batcher
        self._metrics = metrics
        self._limits = limits
        self._metrics_path = metrics_path
        self._cors = cors
        self._check_method = check_method
        self._log_requests = log_requests
        self._token = token.encode() if token else None

    def use_token(self, token: str) -> None:
        """Asks for another bearer token from now on."""
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request (the ASGI entry point)."""
        if scope["type"] != "http":
            return
        headers: list[tuple[bytes, bytes]] = [_JSON]
        started = time.perf_counter()
        target = _target(scope)
        route = None
        code = "OK"
        try:
            self._authorize(scope)
            if target == self._metrics_path:
                headers = [(b"content-type", b"text/plain")]
                status, body = 200, self._metrics.page()
            elif target[:4].lower() != "/v1/":
                if target.lower() != "/v1":
                    headers = [(b"content-type", b"text/html")]
                status, body = 404, _NOT_FOUND_PAGE
            elif scope["method"] == "OPTIONS":
                origin = _header(scope, b"origin")
                status, body = (200 if _ORIGIN.search(origin) else 400), b""
            else:
                route = routes.parse(scope["method"], target)
                status, body = 200, await self._answer(route, scope, receive)
        except StatusError as error:
            code, status = error.code, error.http_status
            body = b"" if error.bare else json_text.error_body(error.message)
            if status == 401:
                headers.append((b"www-authenticate", b"Bearer"))
            if status in (408, 413):
                headers.append((b"connection", b"close"))
        except DisconnectedError:
            return
        except Exception:
            log.exception("%s %s failed", scope["method"], target)
            code, status, body = "INTERNAL", 500, json_text.error_body("Internal error")
        if route is not None and route.verb in _RUNS and route.model in self._manager.names():
            self._metrics.count(route.model, code)
            if code == "OK":
                self._metrics.request(route.model, route.verb, time.perf_counter() - started)
        if self._log_requests:
            taken = 1000 * (time.perf_counter() - started)
            log.info("%s %s %d %d %.1f ms", scope["method"], target, status, len(body), taken)
        if self._cors:
            headers.extend(_CORS)
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body})

    def _authorize(self, scope: Scope) -> None:
        if self._token is None:
            return
        scheme, _, shown = _header(scope, b"authorization").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(shown.strip(), self._token):
            raise StatusError("UNAUTHENTICATED", "A valid bearer token is required")

    async def _answer(self, route: routes.Route, scope: Scope, receive: Receive) -> bytes:
        if route.verb == "status":
            if not route.model:
                raise invalid_argument("Missing model name in request.")
            states = self._manager.status(route.model, route.version)
            return json_text.proto_json({"model_version_status": states})
        if route.verb == "metadata":
            if not route.model:
                raise invalid_argument("Missing model name in request.")
            servable = self._manager.acquire(route.model, route.version, route.label)
            try:
                return servable.metadata
            finally:
                servable.release()
        body = await self._read(scope, receive)
        deadline = asyncio.get_running_loop().time() + self._limits.timeout_seconds
        # What takes long is done in a thread, so that other requests get their turn.
        large = len(body) > _LARGE_BODY
        work = await asyncio.to_thread(self._prepare, route, body) if large else None
        work = work or self._prepare(route, body)
        try:
            outputs = await self._batcher.run(
                work.servable, work.signature, work.arrays, deadline, route.verb.capitalize()
            )
            if large or sum(array.size for array in outputs.values()) > _MANY_NUMBERS:
                return await asyncio.to_thread(work.write, outputs)
            return work.write(outputs)
        finally:
            work.servable.release()

    def _prepare(self, route: routes.Route, body: bytes) -> _Work:
        """Everything up to the graph, in TensorFlow Serving's order of checks."""
        request = document.parse(body, self._limits.max_depth)
        if tensors.row_count(request) > self._limits.max_rows:
            raise invalid_argument(
                f"Request has more rows than the server accepts: {self._limits.max_rows}"
            )
        name = request.get("signature_name", "")
        if type(name) is not str:
            raise invalid_argument(
                f"JSON Value: {json_text.quote(request)} not formatted correctly. "
                "'signature_name' key must be a string value."
            )
        predict = route.verb == "predict"
        serialized = None if predict else examples.serialize(request)
        servable = self._manager.acquire(route.model, route.version, route.label)
        try:
            if serialized is not None:
                signature = examples.find(route.verb, servable, name, self._check_method)
                write = functools.partial(examples.results, route.verb, count=len(serialized))
                return _Work(servable, signature, {"inputs": serialized}, write)
            signature = servable.find(name)
            arrays, rows = tensors.from_request(
                request, signature.inputs, signature.alike, signature.feeds_alike
            )
            answer = format.predictions if rows else format.columns
            return _Work(servable, signature, arrays, answer)
        except BaseException:
            servable.release()
            raise

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        limit = self._limits.max_body_bytes
        declared = _header(scope, b"content-length")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        chunks, size = [], 0
        try:
            async with asyncio.timeout(self._limits.timeout_seconds):
                more = True
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
        except TimeoutError:
            raise StatusError(
                "DEADLINE_EXCEEDED", "The request body did not arrive in time", http_status=408
            ) from None
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if b"gzip" in _header(scope, b"content-encoding").lower():
            large = len(body) > _LARGE_BODY
            return await asyncio.to_thread(_gunzip, body, limit) if large else _gunzip(body, limit)
        return body


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


def _header(scope: Scope, name: bytes) -> bytes:
    for key, value in scope["headers"]:
        if key == name:
            return value
    return b""


def _target(scope: Scope) -> str:
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"")
    return (path + b"?" + query if query else path).decode("latin-1")
