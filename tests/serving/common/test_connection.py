"""Connections that are kept, dropped, slow or overloaded, against an odd server of our own."""

import math
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serving.client import Client, ConnectionFailedError, OverloadedError, TimeoutExpiredError


class _Odd(BaseHTTPRequestHandler):
    """Answers as told by the path's model name; keeps connections, and counts them."""

    protocol_version = "HTTP/1.1"
    connections: set = set()
    tokens: list = []

    def do_GET(self):
        self.connections.add(self.client_address)
        self.tokens.append(self.headers["Authorization"])
        if "slow" in self.path:
            threading.Event().wait(1.0)
        if "drop" in self.path and len(self.connections) == 1:
            self.close_connection = True  # as if the server had closed a kept connection
            return
        status = 503 if "busy" in self.path else 200
        body = b'{"error": "too much"}' if status == 503 else b'{"model_version_status": []}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"outputs": {"ctr": [NaN], "cvr": [1e-05], "ctcvr": [-Infinity]}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def odd():
    _Odd.connections, _Odd.tokens = set(), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_netrc_file_does_not_take_the_tokens_place(odd, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password other\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Client(odd, "cvr", token="secret") as client:
        client.status()
    assert _Odd.tokens == ["Bearer secret"]


def test_a_dead_proxy_is_not_taken_for_the_server(odd, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Client(odd, "cvr") as client, pytest.raises(ConnectionFailedError) as raised:
        client.status()
    message = str(raised.value)
    assert f"asks for the proxy {proxy}; is it running? NO_PROXY=127.0.0.1 leaves it out" in message
    assert "Is a server running" not in message
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Client(odd, "cvr") as client:
        client.status()


def test_connection_is_kept_and_the_token_sent(odd):
    with Client(odd, "cvr", token="secret") as client:
        for _ in range(5):
            client.status()
    assert len(_Odd.connections) == 1
    assert _Odd.tokens == ["Bearer secret"] * 5


def test_dropped_connection_is_tried_once_more(odd):
    with Client(odd, "drop") as client:
        assert client.status() == []
    assert len(_Odd.connections) == 2


def test_timeouts_and_overload_have_their_own_errors(odd):
    with (
        pytest.raises(TimeoutExpiredError, match="no answer within"),
        Client(odd, "slow", timeout=0.2) as client,
    ):
        client.status()
    with pytest.raises(OverloadedError, match="503: too much"), Client(odd, "busy") as client:
        client.status()


def test_bare_nan_and_infinity_are_read(odd, tiny):
    with Client(odd, "cvr", tiny.SCHEMA) as client:
        scores = client.predict(tiny.make_frame(1, seed=2))
    assert math.isnan(scores["ctr"][0])
    assert (scores["cvr"], scores["ctcvr"]) == ([1e-05], [-math.inf])
