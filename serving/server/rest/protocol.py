"""The HTTP connection: uvicorn's, with limits on a head's time and size and on an answer's time.

A client that sends its head byte by byte, or never ends it, would hold its connection for ever; so
would one that never reads its answer. An answer given before the request's body was read (413) is
followed by a while in which the rest is read and dropped: a connection that is closed on unread
data reaches the client as a reset, without the answer.
An offer of another protocol (Java's client offers HTTP/2 with each request) is not taken up: the
request is answered as if it had made none, as TensorFlow Serving does.
A small request whose body came with its head is offered to the application's `take`, if it has one,
which answers without a task of the event loop. Whatever it leaves goes the usual way (ASGI).
When the server stops, an idle connection stays open a moment longer, so that a request already on
its way is answered rather than cut off.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.server.rest.corked_transport import CorkedTransport

_MAX_HEAD_BYTES = 64 * 1024
_LINGER_SECONDS = 0.25
#: What of a refused body is read and dropped before the connection ends.
_DROP_SECONDS, _DROP_BYTES = 5.0, 256 * 1024 * 1024


class Protocol(HttpToolsProtocol):
    """One connection."""

    head_seconds = 10.0
    write_seconds = 60.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._take: Any = getattr(self.app, "take", None)
        self._parsing = False
        self._offered: Any = None  # the cycle of a request that `take` is to see when it is whole
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True
        self._stopping = False
        self._keeps_alive = False
        self._parses_offer = False
        self._fields = 0
        self._refused = False
        self._dropped: int | None = None
        self._drop_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock for the first head."""
        super().connection_made(CorkedTransport(transport, self._drop_the_rest))  # type: ignore[arg-type]
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        self._unwatch_head()
        for timer in (self._drop_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads what has come, and watches the head if it is not complete."""
        if self._dropped is not None:
            self._dropped += len(data)
            if self._dropped > _DROP_BYTES:
                self.transport.abort()
            return
        if self._in_head:
            self._head_bytes += len(data)
        self._parsing = True
        while data:
            data = self._feed(data)
        self._parsing = False
        if self._offered is not None:  # the rest of its body is still to come
            cycle, self._offered = self._offered, None
            super()._start_asgi_task(cycle, self.app)
        if self.transport.is_closing() or not self._in_head:
            self._unwatch_head()
        elif self._head_bytes > _MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._head_timer is None:
            self._watch_head()

    def _feed(self, data: bytes) -> bytes:
        """Parses; returns what is to be parsed anew, for the parser ends at an offer."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if self.parser.get_method() == b"CONNECT":  # what follows is no HTTP
                self.cycle.keep_alive = False
                return b""
            self._parses_offer = False
            head = self._head_without_offer()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
            return head + data[offer.args[0] :]
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        return b""

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        self._fields = 0
        self._unset_keepalive_if_required()  # it may follow another one in the same piece
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body, has come."""
        self._fields += len(name) + len(value)
        if self._fields > _MAX_HEAD_BYTES and not self._refused:
            self._refused = True
            self._refuse(b"431 Request Header Fields Too Large")
        if self._in_head and not self._refused:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        self._parses_offer = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if self._parses_offer or self._refused:
            return
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()
        cycle = self.cycle
        if self.scope["http_version"] == "1.0" and self.parser.should_keep_alive():
            cycle.keep_alive = True
            cycle.default_headers = [*cycle.default_headers, (b"connection", b"keep-alive")]
        self._keeps_alive = cycle.keep_alive
        if self._stopping or self.expect_100_continue:
            cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A part of its body has come."""
        if not self._refused:
            self._body_comes()
            super().on_body(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        if not self._parses_offer and not self._refused:
            self._body_comes()
            self.scope["state"]["whole"] = True  # nothing of the body is waited for
            if not self.parser.should_keep_alive():  # a trailer may say so: no more is parsed
                self.cycle.keep_alive = False
            super().on_message_complete()
            if self._offered is not None:
                self._offer()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Starts the application, or waits for the end of a request that it may take whole."""
        offers = self._parsing and self._take is not None and app is self.app
        if offers and self.scope["method"] == "POST" and not self.expect_100_continue:
            self._offered = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _offer(self) -> None:
        """Offers a whole request to the application; starts a task where it is left."""
        cycle, self._offered = self._offered, None
        reply = functools.partial(self._reply, cycle)
        if self.flow.write_paused or not self._take(self.scope, bytes(cycle.body), reply):
            super()._start_asgi_task(cycle, self.app)

    def _reply(
        self, cycle: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Sends a whole answer."""
        if cycle.disconnected or self.transport.is_closing():
            return
        lines = [b"%s: %s\r\n" % pair for pair in (*cycle.default_headers, *headers)]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        head = STATUS_LINE[status] + b"".join(lines) + b"\r\n"
        self.transport.write_whole(head + body)  # type: ignore[attr-defined]
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _body_comes(self) -> None:
        """Keeps the connection of a client that asked whether to send its body.

        Until then it is unknown whether a body or another request follows a refusal.
        """
        if self.expect_100_continue and not self._stopping:
            self.cycle.keep_alive = self._keeps_alive

    def on_response_complete(self) -> None:
        """An answer is written."""
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client reads slower than the answer is written."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def _drop_the_rest(self) -> bool:
        """Whether the connection stays open to read what is left of a refused body."""
        unread = self.cycle is not None and self.cycle.more_body and not self._refused
        if not unread or self.expect_100_continue or self._stopping or self._dropped is not None:
            return False
        self._dropped = 0
        self.flow.resume_reading()
        self._drop_timer = self.loop.call_later(_DROP_SECONDS, self.transport.close)
        return True

    def shutdown(self) -> None:
        """The server stops: answer what is under way, wait a moment for what is arriving."""
        self._stopping = True
        if self.cycle is not None and not self.cycle.response_complete:
            super().shutdown()
        else:
            self.loop.call_later(_LINGER_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _watch_head(self) -> None:
        self._head_timer = self.loop.call_later(
            self.head_seconds, self._refuse, b"408 Request Timeout"
        )

    def _unwatch_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: bytes) -> None:
        self._unwatch_head()
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()


def protocol(head_seconds: float, write_seconds: float = 60.0) -> type[Protocol]:
    """The connection class with these limits on the time of a head and of an unread answer."""
    limits = {"head_seconds": head_seconds, "write_seconds": write_seconds}
    return type("LimitedProtocol", (Protocol,), limits)


def web_config(app: Any, connection: type[Protocol], **options: Any) -> uvicorn.Config:
    """Uvicorn's settings for an application on these connections, and nothing beside it.

    Args:
        app: The ASGI application.
        connection: What `protocol` gives.
        options: Further ones of `uvicorn.Config`.
    """
    return uvicorn.Config(
        app,
        http=connection,
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        proxy_headers=False,
        **options,
    )
