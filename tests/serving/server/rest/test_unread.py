"""What one side does not read: refused bodies, trailers, whole heads, answers."""

import contextlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

LIMIT = 100_000
MODEL = "/v1/models/echo:predict"


@pytest.fixture(scope="module")
def server(start_server: Any, model_folder: Path) -> Any:
    return start_server(
        "--model_name=echo",
        f"--model_base_path={model_folder / 'echo'}",
        f"--rest_api_max_body_bytes={LIMIT}",
        "--rest_api_write_timeout_in_ms=700",
    )


@pytest.fixture
def connection(server: Any) -> Any:
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as made:
        yield made


def answer(connection: socket.socket) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPResponse(connection)) as found:
        found.begin()
        return found.status, found.read()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_sends_all_of_a_refused_body_reads_the_answer(
    server: Any, chunked: bool
) -> None:
    """Twenty megabytes, of which the server needs none to say no."""
    parts = urlsplit(server.url)
    body = b" " * 20_000_000
    pieces = (body[at : at + 100_000] for at in range(0, len(body), 100_000))
    for _ in range(5):
        client = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        client.request("POST", MODEL, pieces if chunked else body, encode_chunked=chunked)
        found = client.getresponse()
        assert (found.status, found.getheader("connection")) == (413, "close")
        text = f"Request body is larger than {LIMIT} bytes"
        assert json.loads(found.read()) == {"error": text}
        client.close()
        pieces = (body[at : at + 100_000] for at in range(0, len(body), 100_000))


def test_a_head_that_comes_in_one_piece_is_limited_too(connection: socket.socket) -> None:
    fields = b"".join(b"x-%d: %s\r\n" % (i, b"a" * 1000) for i in range(70))
    connection.sendall(b"GET /v1/models/echo HTTP/1.1\r\nhost: a\r\n" + fields + b"\r\n")
    assert answer(connection)[0] == 431
    assert connection.recv(1) == b""


def test_trailers_are_limited(connection: socket.socket) -> None:
    head = b"POST %s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" % MODEL.encode()
    body = b'{"instances": ["here"]}'
    connection.sendall(head + b"%x\r\n%s\r\n0\r\n" % (len(body), body))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for i in range(200):
            connection.sendall(b"x-%d: %s\r\n" % (i, b"a" * 1000))
        assert answer(connection)[0] == 431


def test_a_few_trailers_are_dropped(connection: socket.socket) -> None:
    head = b"POST %s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" % MODEL.encode()
    body = b'{"instances": ["here"]}'
    for trailers in (b"x-checksum: 12\r\n", b"", b"connection: close\r\n"):
        end = b"0\r\n" + trailers + b"\r\n"
        connection.sendall(head + b"%x\r\n%s\r\n" % (len(body), body) + end)
        status, text = answer(connection)
        assert (status, json.loads(text)) == (200, {"predictions": ["here"]})
    assert connection.recv(1) == b""  # the last one asked for it, if late


def ask_without_reading(connection: socket.socket, seconds: float) -> None:
    """Asks until its answers fill all buffers, and goes on."""
    ask = b"GET /v1/models/echo/metadata HTTP/1.1\r\nhost: a\r\n\r\n"
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        with contextlib.suppress(TimeoutError):
            connection.send(ask * 50)


def test_a_client_that_reads_nothing_is_let_go(server: Any) -> None:
    parts = urlsplit(server.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.2)
        connection.connect((parts.hostname, parts.port))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            ask_without_reading(connection, 25)
    assert server.ask("GET", "/v1/models/echo").status == 200
