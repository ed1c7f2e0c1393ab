"""Many requests on one connection, over a real socket: each has its own body's answer, in order.

What a request offers beside (another protocol) or says of its connection changes no answer.
"""

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

LIMIT = 4_000
MODEL = "/v1/models/m:predict"
OFFERS = {
    "none": b"",
    "h2c, as Java": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n",
    "websocket": b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "unknown": b"connection: keep-alive\r\nUPGRADE: TLS/1.3, x/1\r\nconnection: upgrade\r\n",
}


class Connection:
    """A kept connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, *requests: bytes, piece: int | None = None) -> None:
        data = b"".join(requests)
        for at in range(0, len(data), piece or len(data)):
            self.socket.sendall(data[at : at + (piece or len(data))])

    def answer(self, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers, body."""
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip().decode():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        length = int(headers.get("content-length", 0)) if has_body else 0
        return status, headers, self.file.read(length)

    def value(self) -> float:
        status, _, body = self.answer()
        assert status == 200, body
        return json.loads(body)["predictions"][0]

    def ended(self) -> bool:
        return self.file.read(1) == b""


def body_of(x: float) -> bytes:
    return json.dumps({"instances": [x]}).encode()


def post(body: bytes, more: bytes = b"", path: str = MODEL, chunks: int = 0) -> bytes:
    """A request; with `chunks`, its body comes in chunks of so many bytes."""
    head = b"POST %s HTTP/1.1\r\nHost: a\r\n%s" % (path.encode(), more)
    if not chunks:
        return b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)
    parts = [body[at : at + chunks] for at in range(0, len(body), chunks)]
    coded = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"


def get(path: str = "/v1/models/m", more: bytes = b"", method: str = "GET") -> bytes:
    return b"%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n" % (method.encode(), path.encode(), more)


@pytest.fixture(scope="module")
def server(start_server: Any, model_folder: Path) -> Any:
    return start_server(
        "--model_name=m",
        f"--model_base_path={model_folder / 'half_plus_two'}",  # its newest version adds 3
        f"--rest_api_max_body_bytes={LIMIT}",
    )


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("chunks", [0, 5], ids=["length", "chunked"])
@pytest.mark.parametrize("sent", ["in turn", "at once", "byte by byte"])
def test_each_request_has_its_own_answer(server: Any, offer: bytes, chunks: int, sent: str) -> None:
    plain = {
        name: server.ask(method, path, body)
        for name, method, path, body in (
            ("status", "GET", "/v1/models/m", None),
            ("broken", "POST", MODEL, "{"),
            ("lost", "POST", "/v2/m", "{}"),
            ("nobody", "POST", "/v1/models/nobody:predict", body_of(1)),
            ("empty", "POST", MODEL, b""),
        )
    }
    requests: list[tuple[bytes, Any]] = [
        (post(body_of(1), offer, chunks=chunks), 3.5),
        (post(body_of(2), offer, chunks=chunks), 4.0),
        (get(more=offer), "status"),
        (post(body_of(4), offer, chunks=chunks), 5.0),
        (post(b"{", offer, chunks=chunks), "broken"),
        (post(body_of(6), offer, chunks=chunks), 6.0),
        (post(body_of(7), offer, path="/v2/m", chunks=chunks), "lost"),
        (post(body_of(8), offer, chunks=chunks), 7.0),
        (post(b"", offer, chunks=chunks), "empty"),
        (get(more=offer, method="HEAD"), 400),
        (post(body_of(10), offer, "/v1/models/nobody:predict", chunks), "nobody"),
        (post(body_of(12), offer, chunks=chunks), 9.0),
    ]
    with Connection(server.url) as connection:
        if sent != "in turn":
            piece = 1 if sent == "byte by byte" else None
            connection.send(*(request for request, _ in requests), piece=piece)
        for request, expected in requests:
            if sent == "in turn":
                connection.send(request)
            status, headers, body = connection.answer(has_body=expected != 400)
            assert "connection" not in headers
            if isinstance(expected, float):
                assert (status, json.loads(body)) == (200, {"predictions": [expected]})
            elif expected == 400:
                assert (status, body) == (400, b"")
            else:
                assert (status, body) == (plain[expected].status, plain[expected].body), expected


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("chunks", [0, 700], ids=["length", "chunked"])
def test_a_body_beyond_the_limit_ends_the_connection(
    server: Any, offer: bytes, chunks: int
) -> None:
    with Connection(server.url) as connection:
        connection.send(post(body_of(1), offer))
        assert connection.value() == 3.5
        connection.send(post(b" " * (LIMIT + 1), offer, chunks=chunks))
        status, headers, _ = connection.answer()
        assert (status, headers["connection"]) == (413, "close")


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_a_client_that_asks_before_it_sends(server: Any, offer: bytes) -> None:
    """As curl before a large body; twice, then to a place where there is nothing."""
    expect = b"Expect: 100-continue\r\n" + offer
    with Connection(server.url) as connection:
        for x in (2, 4):
            head, blank, body = post(body_of(x), expect).partition(b"\r\n\r\n")
            connection.send(head, blank)
            assert connection.file.readline().startswith(b"HTTP/1.1 100 ")
            assert connection.file.readline() == b"\r\n"
            connection.send(body)
            status, headers, found = connection.answer()
            assert (status, json.loads(found)) == (200, {"predictions": [x / 2 + 3]})
            assert "connection" not in headers
        # refused before it sends: a body or another request may follow, so nothing more is read
        connection.send(head.replace(b"/v1", b"/v2", 1), blank)
        status, headers, _ = connection.answer()
        assert (status, headers["connection"]) == (404, "close")
        assert connection.ended()


def test_a_client_that_asks_and_sends_at_once_keeps_its_connection(server: Any) -> None:
    expect = b"Expect: 100-continue\r\n"
    with Connection(server.url) as connection:
        connection.send(post(body_of(1), expect, path="/v2/m"), get(more=expect, path="/v2/m"))
        for _ in range(2):
            status, headers, _ = connection.answer()
            assert status == 404
            assert "connection" not in headers
        connection.send(post(body_of(2)))
        assert connection.value() == 4.0


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize(
    "last", [b"Connection: close\r\n", b"connection: foo\r\nCONNECTION: x, Close\r\n"]
)
def test_a_client_may_end_its_connection(server: Any, offer: bytes, last: bytes) -> None:
    with Connection(server.url) as connection:
        connection.send(post(body_of(1), offer), post(body_of(2), offer + last))
        assert connection.value() == 3.5
        status, headers, body = connection.answer()
        assert (status, json.loads(body)) == (200, {"predictions": [4.0]})
        assert headers["connection"] == "close"
        assert connection.ended()


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_http_1_0(server: Any, offer: bytes) -> None:
    """The connection ends with the answer, unless the client asks to keep it."""

    def old(request: bytes) -> bytes:
        return request.replace(b"HTTP/1.1", b"HTTP/1.0", 1)

    keep = b"Connection: keep-alive\r\n"
    with Connection(server.url) as connection:
        for x in (2, 4):
            connection.send(old(post(body_of(x), keep + offer)))
            status, headers, body = connection.answer()
            assert (status, json.loads(body)) == (200, {"predictions": [x / 2 + 3]})
            assert headers["connection"] == "keep-alive"
        connection.send(old(post(body_of(6), offer.replace(keep.lower(), b""))))
        status, headers, body = connection.answer()
        assert (status, json.loads(body)) == (200, {"predictions": [6.0]})
        assert headers["connection"] == "close"
        assert connection.ended()


def test_header_names_in_any_case_and_words_that_offer_nothing(server: Any) -> None:
    for more in (
        b"connection: upgrade\r\nupgrade: h2c\r\n",
        b"CONNECTION: UPGRADE\r\nUPGRADE: H2C\r\n",
        b"Upgrade: h2c\r\n",
        b"Connection: Upgrade\r\n",
        b"Connection: Upgrade\r\nX: a\r\nUpgrade:\r\n",
        b"X-Upgrade: h2c\r\nConnection: Keep-Alive\r\n",
    ):
        with Connection(server.url) as connection:
            for x in (2, 4):
                request = post(body_of(x), more).replace(b"Content-Length", b"content-LENGTH")
                connection.send(request)
                assert connection.value() == x / 2 + 3, more


def test_a_tunnel_is_refused_and_nothing_in_it_is_read(server: Any) -> None:
    with Connection(server.url) as connection:
        connection.send(get("/v1/models/m", method="CONNECT"), post(body_of(2)))
        status, headers, _ = connection.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert connection.ended()
