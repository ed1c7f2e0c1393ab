"""What a request may cost, slow and rude clients, and a stop that answers what was accepted."""

import gzip
import http.client
import json
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

BODY_LIMIT = 20_000


@pytest.fixture(scope="module")
def server(start_server: Any, slow_model: Path) -> Any:
    return start_server(
        "--model_name=slow",
        f"--model_base_path={slow_model / 'slow'}",
        "--enable_batching",
        f"--batching_parameters_file={slow_model / 'batching.config'}",
        f"--rest_api_max_body_bytes={BODY_LIMIT}",
        "--rest_api_max_rows=50",
        "--rest_api_max_depth=2000",
        "--rest_api_timeout_in_ms=1500",
        "--rest_api_header_timeout_in_ms=1000",
        "--rest_api_max_connections=40",
    )


@pytest.fixture(scope="module")
def steps_for_a_second(server: Any) -> int:
    """How far the model counts in about a second on this machine."""
    steps = 2_000
    while True:
        begun = time.monotonic()
        found = server.predict("slow", {"inputs": [steps]})
        taken = time.monotonic() - begun
        if found.status == 504 or taken > 0.4:
            return max(1_000, int(steps / max(taken, 0.4)))
        steps *= 4


def double(server: Any, **options: Any) -> Any:
    body = {"signature_name": "double", "instances": [1.5]}
    return server.predict("slow", body, **options)


def raw(server: Any) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def read_all(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def test_a_body_beyond_the_limit(server: Any) -> None:
    body = json.dumps({"signature_name": "double", "instances": [0.5], "pad": "x" * BODY_LIMIT})
    found = server.predict("slow", body)
    assert found.status == 413
    assert found.error == f"Request body is larger than {BODY_LIMIT} bytes"
    assert double(server).json == {"predictions": [3.0]}


def test_a_chunked_body_beyond_the_limit(server: Any) -> None:
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    pieces = (b"[" * 5_000 for _ in range(20))
    connection.request("POST", "/v1/models/slow:predict", pieces, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    assert double(server).status == 200


def test_a_chunked_body_within_the_limit(server: Any) -> None:
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    body = json.dumps({"signature_name": "double", "instances": [1.5]}).encode()
    connection.request(
        "POST", "/v1/models/slow:predict", (body[i : i + 7] for i in range(0, len(body), 7)),
        encode_chunked=True,
    )  # fmt: skip
    assert json.loads(connection.getresponse().read()) == {"predictions": [3.0]}
    connection.close()


def test_a_small_body_that_unpacks_to_a_large_one(server: Any) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) > BODY_LIMIT
    smaller = gzip.compress(b" " * 5_000_000)
    assert len(smaller) < BODY_LIMIT
    for body in (bomb, smaller):
        found = server.predict("slow", body, headers={"Content-Encoding": "gzip"})
        assert found.status == 413


def test_members_that_unpack_to_a_large_body_together(server: Any) -> None:
    half = gzip.compress(b" " * (BODY_LIMIT * 2 // 3))
    found = server.predict("slow", half * 2, headers={"Content-Encoding": "gzip"})
    assert found.status == 413


def test_too_many_rows(server: Any) -> None:
    found = server.predict("slow", {"signature_name": "double", "instances": [1.0] * 51})
    assert found.status == 400
    assert "more rows than the server accepts: 50" in found.error
    columns = {"signature_name": "double", "inputs": {"x": [1.0] * 51}}
    assert server.predict("slow", columns).status == 400


def test_too_many_rows_for_a_batch(server: Any) -> None:
    found = server.predict("slow", {"signature_name": "double", "instances": [1.0] * 5})
    assert found.status == 400
    assert found.error == "Task size 5 is larger than maximum input batch size 4"


def test_too_deep(server: Any) -> None:
    deep = '{"signature_name": "double", "instances": [1.0], "z": ' + "[" * 3000 + "]" * 3000 + "}"
    found = server.predict("slow", deep)
    assert found.status == 400
    assert "nested deeper than 2000 levels" in found.error
    assert double(server).status == 200


def test_time_over_is_504(server: Any, steps_for_a_second: int) -> None:
    found = server.predict("slow", {"inputs": [4 * steps_for_a_second]})
    assert found.status == 504
    assert found.error == "Timed out waiting for notification"
    assert double(server).status == 200  # another signature is not held up


def test_a_full_queue_is_503(server: Any, http_tools: Any, steps_for_a_second: int) -> None:
    http_tools.wait_until(lambda: server.predict("slow", {"inputs": [1]}).status == 200)
    found: list[Any] = []

    def ask() -> None:
        found.append(server.predict("slow", {"inputs": [steps_for_a_second // 2] * 3}))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    statuses = sorted(answer.status for answer in found)
    assert statuses[0] == 200
    assert 503 in statuses
    refused = next(answer for answer in found if answer.status == 503)
    assert "queue to which this task was submitted is full" in refused.error


def test_a_head_that_never_ends(server: Any) -> None:
    """Byte by byte, and not at all: cut off, and nobody else notices."""
    silent, dripping = raw(server), raw(server)
    dripping.sendall(b"POST /v1/models/slow:predict HTTP/1.1\r\nX-A: ")
    for _ in range(4):
        dripping.sendall(b"a")
        time.sleep(0.05)
        assert double(server).status == 200
    begun = time.monotonic()
    assert read_all(dripping).startswith(b"HTTP/1.1 408 ")
    assert read_all(silent).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begun < 20
    silent.close()
    dripping.close()


def test_a_head_too_large(server: Any) -> None:
    connection = raw(server)
    try:
        connection.sendall(b"GET /v1/models/slow HTTP/1.1\r\n")
        for number in range(40):
            connection.sendall(b"X-%d: %s\r\n" % (number, b"a" * 4000))
        answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 431 ")
    except (BrokenPipeError, ConnectionResetError):
        pass  # cut off while we were still sending
    finally:
        connection.close()
    assert double(server).status == 200


def test_a_body_that_never_ends(server: Any) -> None:
    connection = raw(server)
    connection.sendall(
        b"POST /v1/models/slow:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"
    )
    answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive in time" in answer
    connection.close()


def test_a_client_that_leaves(server: Any, steps_for_a_second: int) -> None:
    body = json.dumps({"inputs": [steps_for_a_second // 4]}).encode()
    head = b"POST /v1/models/slow:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    for part in (head + body, head + body[:5], head[:20], b""):
        connection = raw(server)
        connection.sendall(part)
        connection.close()
    assert double(server).status == 200


def test_what_is_not_http(server: Any) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        connection = raw(server)
        connection.sendall(garbage + b"\r\n\r\n")
        answer = read_all(connection)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
        connection.close()
    assert double(server).status == 200


def test_pipelined_requests_are_answered_in_order(server: Any) -> None:
    connection = raw(server)
    for value in (1, 2, 3):
        body = b'{"signature_name": "double", "inputs": [%d]}' % value
        close = b"Connection: close\r\n" if value == 3 else b""
        connection.sendall(
            b"POST /v1/models/slow:predict HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s"
            % (close, len(body), body)
        )
    answer = read_all(connection)
    values = [json.loads(part.split(b"\r\n\r\n", 1)[1]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert values == [{"outputs": [2.0 * n]} for n in (1, 2, 3)]
    connection.close()


def test_expect_continue_and_upgrade(server: Any) -> None:
    """curl asks before a large body; Java's client offers HTTP/2: both get their answer."""
    body = b'{"signature_name": "double", "inputs": [1]}'
    connection = raw(server)
    connection.sendall(
        b"POST /v1/models/slow:predict HTTP/1.1\r\nExpect: 100-continue\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.sendall(body)
    assert b'"outputs": [2.0]' in read_all(connection)
    connection.close()

    connection = raw(server)
    connection.sendall(
        b"POST /v1/models/slow:predict HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    connection.settimeout(10)
    answer = connection.recv(65536)
    assert b'"outputs": [2.0]' in answer
    connection.close()


def test_head_and_options(server: Any) -> None:
    found = server.ask("HEAD", "/v1/models/slow")
    assert (found.status, found.body) == (400, b"")
    found = server.ask("OPTIONS", "/v1/models/slow:predict")
    assert (found.status, found.body) == (400, b"")
    assert "access-control-allow-origin" not in found.headers


def test_too_many_connections(server: Any) -> None:
    crowd = [raw(server) for _ in range(45)]
    time.sleep(0.2)
    try:
        crowd[-1].sendall(b"GET /v1/models/slow HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert read_all(crowd[-1]).startswith(b"HTTP/1.1 503 ")
    finally:
        for connection in crowd:
            connection.close()
    time.sleep(0.2)
    assert double(server).status == 200


def test_nothing_of_this_left_a_stack_trace(server: Any) -> None:
    assert "Traceback" not in server.log
    assert "failed" not in server.log


def test_sigterm_answers_what_was_accepted(
    server: Any, http_tools: Any, steps_for_a_second: int
) -> None:
    """Runs last: a request under way is answered, an idle connection closed, the status is 0."""
    http_tools.wait_until(lambda: server.predict("slow", {"inputs": [1]}).status == 200)
    idle = raw(server)
    answers: list[Any] = []

    def ask() -> None:
        answers.append(server.predict("slow", {"inputs": [steps_for_a_second // 4]}))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.15)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200, 200]
    assert read_all(idle) == b""
    assert server.stop() == 0
    idle.close()
