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
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np

from serving.server import json_text
from serving.server.errors import StatusError, invalid_argument
from serving.server.flags import Limits
from serving.server.metrics import Metrics
from serving.server.models.manager import ModelManager
from serving.server.rest import request_body, routes
from serving.server.rest.preparation import Preparation, PreparedRequest
from serving.server.rest.request_body import DisconnectedError, Receive, Scope, header
from serving.server.runtime.batching import Batcher
from serving.server.runtime.job_queue import Outcome

log = logging.getLogger("serving.server")

Headers = list[tuple[bytes, bytes]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
)
_RUNS = ("predict", "classify", "regress")
_SMALL_BODY = 16 * 1024
_MANY_NUMBERS = 20_000
_ORIGIN = re.compile(rb"https?://")
_INTERNAL = ("INTERNAL", 500, json_text.error_body("Internal error"))
_NOT_FOUND_PAGE = (
    b"<html><head><title>404 Not Found</title></head>"
    b"<body><h1>Not Found</h1><p>The requested URL was not found on this server.</p></body></html>"
)


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
        self._most_bytes = min(_SMALL_BODY, limits.max_body_bytes)
        self._prepare = Preparation(manager, limits, check_method).prepare
        self._metrics_path = metrics_path
        self._cors = cors
        self._log_requests = log_requests
        self._token = token.encode() if token else None

    def use_token(self, token: str) -> None:
        """Asks for another bearer token from now on."""
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request (the ASGI entry point)."""
        if scope["type"] != "http":
            return
        headers: Headers = [_JSON]
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
                origin = header(scope, b"origin")
                status, body = (200 if _ORIGIN.search(origin) else 400), b""
            else:
                route = routes.parse(scope["method"], target)
                status, body = 200, await self._answer(route, scope, receive)
        except StatusError as error:
            code, status, body = _refusal(error)
            if status == 401:
                headers.append((b"www-authenticate", b"Bearer"))
            if status in (408, 413):
                headers.append((b"connection", b"close"))
        except DisconnectedError:
            return
        except Exception:
            log.exception("%s %s failed", scope["method"], target)
            code, status, body = _INTERNAL
        self._note(scope, target, route, code, status, body, started)
        headers.extend(self._last_headers(body))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body})

    def take(self, scope: Scope, body: bytes, reply: Callable[[int, Headers, bytes], None]) -> bool:
        """Answers a whole small predict request without a task of the event loop.

        Args:
            scope: The request, as `__call__` gets it.
            body: Its body, as sent.
            reply: Gets status, headers and body of the answer: before this returns, or later.

        Returns:
            Whether `reply` was or will be called. If not, `__call__` is to answer: the request is
            another one, or it is refused, for which `__call__` has the words.
        """
        target = _target(scope)
        if len(body) > self._most_bytes or target == self._metrics_path:
            return False
        started = time.perf_counter()
        try:
            self._authorize(scope)
            route = routes.parse(scope["method"], target)
            if route.verb != "predict" or header(scope, b"content-encoding"):
                return False
            work = self._prepare(route, body)
        except Exception:  # noqa: BLE001 - it comes again in __call__, and is told there
            return False

        def end(code: str, status: int, answer: bytes) -> None:
            try:  # what is noted of an answer does not hold it up
                reply(status, [_JSON, *self._last_headers(answer)], answer)
            finally:
                work.servable.release()
                self._note(scope, target, route, code, status, answer, started)

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, StatusError):
                end(*_refusal(outcome))
            elif _is_many(outcome):  # written in a thread, so that others get their turn
                aside = loop.run_in_executor(None, _written, work, outcome, target)
                aside.add_done_callback(lambda found: end(*found.result()))
            else:
                end(*_written(work, outcome, target))

        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.timeout_seconds
        try:
            self._batcher.submit(
                work.servable, work.signature, work.arrays, deadline, "Predict", done
            )
        except StatusError:
            work.servable.release()
            return False
        return True

    def _note(
        self,
        scope: Scope,
        target: str,
        route: routes.Route | None,
        code: str,
        status: int,
        body: bytes,
        started: float,
    ) -> None:
        """Counts an answer, and logs it if that is asked for."""
        if route is not None and route.verb in _RUNS and route.model in self._manager.names():
            self._metrics.count(route.model, code)
            if code == "OK":
                self._metrics.request(route.model, route.verb, time.perf_counter() - started)
        if self._log_requests:
            taken = 1000 * (time.perf_counter() - started)
            log.info("%s %s %d %d %.1f ms", scope["method"], target, status, len(body), taken)

    def _last_headers(self, body: bytes) -> Headers:
        length = (b"content-length", b"%d" % len(body))
        return [*_CORS, length] if self._cors else [length]

    def _authorize(self, scope: Scope) -> None:
        if self._token is None:
            return
        scheme, _, shown = header(scope, b"authorization").partition(b" ")
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
        body = await request_body.read(scope, receive, self._limits)
        deadline = asyncio.get_running_loop().time() + self._limits.timeout_seconds
        # What takes long is done in a thread, so that other requests get their turn.
        large = len(body) > request_body.LARGE_BODY
        work = await asyncio.to_thread(self._prepare, route, body) if large else None
        work = work or self._prepare(route, body)
        try:
            outputs = await self._batcher.run(
                work.servable, work.signature, work.arrays, deadline, route.verb.capitalize()
            )
            if large or _is_many(outputs):
                return await asyncio.to_thread(work.write, outputs)
            return work.write(outputs)
        finally:
            work.servable.release()


def _refusal(error: StatusError) -> tuple[str, int, bytes]:
    return error.code, error.http_status, b"" if error.bare else json_text.error_body(error.message)


def _written(
    work: PreparedRequest, outputs: Mapping[str, np.ndarray], target: str
) -> tuple[str, int, bytes]:
    try:
        return "OK", 200, work.write(outputs)
    except StatusError as error:
        return _refusal(error)
    except Exception:
        log.exception("POST %s failed", target)
        return _INTERNAL


def _is_many(outputs: Mapping[str, np.ndarray]) -> bool:
    """Whether writing the outputs takes so long that others should get their turn."""
    return sum([array.size for array in outputs.values()]) > _MANY_NUMBERS


def _target(scope: Scope) -> str:
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"")
    return (path + b"?" + query if query else path).decode("latin-1")
