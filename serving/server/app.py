"""The ASGI application: reads a request, finds its model, runs it, answers.

Every answer, refusals included, is TensorFlow Serving's; an unforeseen failure is a 500 with a
short text, and its details go to the log only.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from serving.server import document, examples, format, jsontext, routes, tensors
from serving.server.batching import Batcher
from serving.server.errors import StatusError
from serving.server.flags import Limits
from serving.server.metrics import Metrics
from serving.server.models import ModelManager

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
_ORIGIN = re.compile(rb"https?://")
_NOT_FOUND_PAGE = (
    b"<html><head><title>404 Not Found</title></head>"
    b"<body><h1>Not Found</h1><p>The requested URL was not found on this server.</p></body></html>"
)


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
    ) -> None:
        self._manager = manager
        self._batcher = batcher
        self._metrics = metrics
        self._limits = limits
        self._metrics_path = metrics_path
        self._cors = cors
        self._check_method = check_method
        self._token = token.encode() if token else None

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
            body = b"" if error.bare else jsontext.error_body(error.message)
            if status == 401:
                headers.append((b"www-authenticate", b"Bearer"))
            if status in (408, 413):
                headers.append((b"connection", b"close"))
        except DisconnectedError:
            return
        except Exception:
            log.exception("%s %s failed", scope["method"], target)
            code, status, body = "INTERNAL", 500, jsontext.error_body("Internal error")
        if route is not None and route.verb in _RUNS and route.model in self._manager.names():
            self._metrics.count(route.model, code)
            if code == "OK":
                self._metrics.request(route.model, route.verb, time.perf_counter() - started)
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
                raise StatusError("INVALID_ARGUMENT", "Missing model name in request.")
            states = self._manager.status(route.model, route.version)
            return jsontext.proto_json({"model_version_status": states})
        if route.verb == "metadata":
            if not route.model:
                raise StatusError("INVALID_ARGUMENT", "Missing model name in request.")
            servable = self._manager.acquire(route.model, route.version, route.label)
            try:
                return servable.metadata
            finally:
                servable.release()
        body = await self._read(scope, receive)
        request = document.parse(body, self._limits.max_depth)
        if tensors.row_count(request) > self._limits.max_rows:
            raise StatusError(
                "INVALID_ARGUMENT",
                f"Request has more rows than the server accepts: {self._limits.max_rows}",
            )
        name = request.get("signature_name", "")
        if type(name) is not str:
            raise StatusError(
                "INVALID_ARGUMENT",
                f"JSON Value: {jsontext.quote(request)} not formatted correctly. "
                "'signature_name' key must be a string value.",
            )
        serialized = examples.serialize(request) if route.verb != "predict" else None
        servable = self._manager.acquire(route.model, route.version, route.label)
        try:
            deadline = asyncio.get_running_loop().time() + self._limits.timeout_seconds
            if serialized is not None:
                signature = examples.find(route.verb, servable, name, self._check_method)
                return await examples.answer(
                    route.verb, servable, signature, serialized, self._batcher, deadline
                )
            signature = servable.find(name)
            arrays, rows = tensors.from_request(request, signature.inputs, signature.alike)
            outputs = await self._batcher.run(servable, signature, arrays, deadline, "Predict")
            return format.predictions(outputs) if rows else format.columns(outputs)
        finally:
            servable.release()

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
        if b"gzip" in _header(scope, b"content-encoding"):
            return _gunzip(body, limit)
        return body


def _too_large(limit: int) -> StatusError:
    return StatusError(
        "RESOURCE_EXHAUSTED", f"Request body is larger than {limit} bytes", http_status=413
    )


def _gunzip(body: bytes, limit: int) -> bytes:
    """The decompressed body; what is not gzip counts as empty."""
    unzip = zlib.decompressobj(wbits=31)
    try:
        plain = unzip.decompress(body, limit + 1)
    except zlib.error:
        return b""
    if len(plain) > limit:
        raise _too_large(limit)
    return plain if unzip.eof else b""


def _header(scope: Scope, name: bytes) -> bytes:
    for key, value in scope["headers"]:
        if key == name:
            return value
    return b""


def _target(scope: Scope) -> str:
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"")
    return (path + b"?" + query if query else path).decode("latin-1")
