"""Requests whose body comes with their head: taken without a task, and answered as any other."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn

from serving.server.rest.protocol import protocol, web_config


def request(body: bytes, path: str = "/", more: bytes = b"", version: bytes = b"1.1") -> bytes:
    head = b"POST %s HTTP/%s\r\nHost: a\r\n%s" % (path.encode(), version, more)
    return b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)


def answer(file: Any) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """The next answer: status line, headers but the date, body."""
    line, headers = file.readline(), {}
    while found := file.readline().strip():
        name, _, value = found.partition(b": ")
        headers[name] = value
    headers.pop(b"date", None)
    return line, headers, file.read(int(headers[b"content-length"]))


def exchange(url: str, *pieces: bytes, answers: int = 1) -> list[Any]:
    """Sends pieces a moment apart on a connection of their own; whether it ends comes last."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        file = made.makefile("rb")
        for piece in pieces:
            made.sendall(piece)
            time.sleep(0.03 * (len(pieces) > 1))
        found: list[Any] = [answer(file) for _ in range(answers)]
        made.settimeout(0.3)
        try:
            return [*found, file.read(1) == b""]
        except TimeoutError:
            return [*found, False]


class Either:
    """An application that says which way a request came, and takes all but those that say "no"."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        body = b"called " + body
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def take(self, scope: Any, body: bytes, reply: Callable[..., None]) -> bool:
        if body == b"no":
            return False
        text = b"taken " + body

        def later() -> None:
            reply(202, [(b"content-length", b"%d" % len(text))], text)

        if body == b"later":
            asyncio.get_running_loop().call_later(0.05, later)
        else:
            later()
        return True


@pytest.fixture(scope="module")
def either() -> Iterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    server = uvicorn.Server(web_config(Either(), protocol(10.0), loop="asyncio"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
    listener.close()


def test_a_whole_request_is_offered_and_any_other_is_not(either: str) -> None:
    for pieces, expected in (
        ([request(b"a")], b"taken a"),
        ([request(b"no")], b"called no"),
        ([request(b"")], b"taken "),
        ([request(b"ab")[:-1], b"b"], b"called ab"),
        ([request(b"")[:-2], b"\r\n"], b"taken "),
        ([request(b"a", more=b"Expect: 100-continue\r\n")], None),
        ([request(b"a", more=b"Upgrade: h2c\r\nConnection: upgrade\r\n")], b"taken a"),
        ([request(b"a").replace(b"POST", b"PUT")], b"called a"),
    ):
        if expected is None:  # it asks first, and is told to go on
            assert exchange(either, *pieces[:1], answers=0) == [False]
            continue
        (found, ended) = exchange(either, *pieces)
        assert found[2] == expected
        assert found[0].split()[1] == (b"202" if expected.startswith(b"taken") else b"200")
        assert not ended


def test_whole_requests_in_one_piece_are_answered_in_order(either: str) -> None:
    bodies = [b"1", b"later", b"2", b"no", b"later", b"3"]
    found = exchange(either, b"".join(map(request, bodies)), answers=6)
    # behind an answer that is still to come, requests wait in line for a task
    texts = [b"taken 1", b"taken later", b"called 2", b"called no", b"called later", b"called 3"]
    assert [one[2] for one in found[:-1]] == texts


def test_a_connection_ends_or_stays_as_the_client_says(either: str) -> None:
    (found, ended) = exchange(either, request(b"a", more=b"Connection: close\r\n"))
    assert (found[1][b"connection"], found[2], ended) == (b"close", b"taken a", True)
    (found, ended) = exchange(either, request(b"a", version=b"1.0"))
    assert (found[1][b"connection"], found[2], ended) == (b"close", b"taken a", True)
    kept = request(b"a", version=b"1.0", more=b"Connection: keep-alive\r\n")
    (found, ended) = exchange(either, kept)
    assert (found[1][b"connection"], found[2], ended) == (b"keep-alive", b"taken a", False)


def test_a_client_that_leaves_before_its_answer_harms_nobody(either: str) -> None:
    exchange(either, request(b"later"), answers=0)
    assert exchange(either, request(b"a"))[0][2] == b"taken a"


REQUESTS = {
    "rows": ("half_plus_two:predict", b'{"instances": [1.0, 5.0]}'),
    "columns": ("multi:predict", b'{"inputs": {"user": ["\xc3\xa9"], "age": [7], "price": [0.5]}}'),
    "a label": ("half_plus_two/labels/stable:predict", b'{"instances": [1.0]}'),
    "a version": ("half_plus_two/versions/1:predict", b'{"inputs": 1.0}'),
    "two rows": (
        "matrix:predict",
        b'{"signature_name": "rows", "instances": [[1, 2, 3], [4, 5, 6]]}',
    ),
    "no rows in the outputs": ("matrix:predict", b'{"instances": [[1, 2, 3]]}'),
    "no JSON": ("multi:predict", b"{"),
    "empty": ("multi:predict", b""),
    "an input is missing": ("multi:predict", b'{"inputs": {"user": ["a"], "age": [7]}}'),
    "a wrong type": ("multi:predict", b'{"inputs": {"user": ["a"], "age": [7.5], "price": [1]}}'),
    "two lengths": ("multi:predict", b'{"inputs": {"user": ["a"], "age": [7], "price": [1, 2]}}'),
    "another shape": ("matrix:predict", b'{"instances": [[1, 2]]}'),
    "another model": ("nobody:predict", b'{"instances": [1.0]}'),
    "another signature": ("multi:predict", b'{"signature_name": "x", "instances": [1.0]}'),
    "another verb": ("multi:guess", b"{}"),
    "classify": (
        "examples:classify",
        b'{"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}]}',
    ),
    "the graph refuses it": ("examples:predict", b'{"instances": ["no example"]}'),
    "larger": ("half_plus_two:predict", json.dumps({"instances": [0.5] * 9_000}).encode()),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_whole_or_in_pieces_a_request_has_one_answer(conformance_server: Any, name: str) -> None:
    path, body = REQUESTS[name]
    for more in (b"", b"Connection: close\r\n"):
        sent = request(body, f"/v1/models/{path}", more)
        head = len(sent) - len(body)
        whole = exchange(conformance_server.url, sent)
        # a body that is empty has no second piece: its head is cut instead
        cut = head if body else head - 4
        pieces = exchange(conformance_server.url, sent[:cut], sent[cut:])
        assert whole[0] == pieces[0]
        assert whole[-1] == bool(more)
