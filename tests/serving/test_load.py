"""The load generator: what it sends, what it counts, and that its clock starts when it should."""

import asyncio
import http.server
import json
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from serving import load
from serving.common import load_memory


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers 200; every third request to /uneven fails; /close ends the connection."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, dict[str, str], bytes]]
    delay = 0.0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        number = len(self.server.seen)  # type: ignore[attr-defined]
        threading.Event().wait(0.02 if self.path == "/slow" else 0)
        self.send_response(503 if self.path == "/uneven" and number % 3 == 0 else 200)
        answer = b"x" * 100_000 if self.path == "/large" else b"{}"
        self.send_header("Content-Length", str(len(answer)))
        if self.path == "/close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        spec = {"dtype": "DT_INT64", "tensor_shape": {"dim": [{"size": "-1"}]}}
        signatures = {"serving_default": {"inputs": {"a": spec}}}
        answer = json.dumps({"metadata": {"signature_def": {"signature_def": signatures}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.daemon_threads = True
    found.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def url(server: Any) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_percentiles_by_hand() -> None:
    found = load.Load(seconds=2.0, latencies=[n / 1000 for n in range(1, 101)], rows=10)
    found.statuses.update({200: 98, 503: 1, 0: 1})
    assert found.percentile(0.5) == 0.05
    assert found.percentile(0.99) == 0.099
    assert found.percentile(1.0) == 0.1
    summary = found.summary()
    assert summary["requests"] == 100
    assert summary["failed"] == 2
    assert summary["requests_per_second"] == 49.0
    assert summary["rows_per_second"] == 490.0
    assert (summary["p50_ms"], summary["p95_ms"], summary["max_ms"]) == (50.0, 95.0, 100.0)
    assert math.isnan(load.Load().percentile(0.5))
    json.dumps(load.Load().summary())


def test_closed_loop_sends_whole_requests(server: Any) -> None:
    target = load.Target(url(server), "/v1/models/m:predict", b'{"a": 1}', {"X-Key": "k"})
    found = load.run(load.closed_loop(target, 3, 0.3, rows=5, warmup=0.1))
    assert found.failed == 0
    assert len(found.latencies) == found.statuses[200] > 3
    assert len(server.seen) >= found.statuses[200]  # the warm-up is sent but not counted
    path, headers, body = server.seen[0]
    assert (path, body) == ("/v1/models/m:predict", b'{"a": 1}')
    assert headers["X-Key"] == "k"
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["/large", "/close"])
def test_large_answers_and_closed_connections(server: Any, path: str) -> None:
    found = load.run(load.closed_loop(load.Target(url(server), path, b"{}"), 2, 0.3, warmup=0.0))
    assert found.statuses[200] > 2
    assert found.failed == 0


def test_failures_are_counted(server: Any) -> None:
    found = load.run(
        load.closed_loop(load.Target(url(server), "/uneven", b"{}"), 1, 0.3, warmup=0.0)
    )
    assert found.statuses[503] == sum(found.statuses.values()) // 3
    assert found.failed == found.statuses[503]


def test_nobody_there(server: Any) -> None:
    target = load.Target("http://127.0.0.1:9", "/", b"{}")
    found = load.run(load.closed_loop(target, 2, 0.2, warmup=0.0))
    assert found.statuses[200] == 0
    assert found.failed > 0
    assert not found.latencies


def test_open_loop_counts_waiting(server: Any) -> None:
    """One connection, answers after 20 ms, requests due every 10 ms: the waiting adds up."""
    target = load.Target(url(server), "/slow", b"{}")
    found = load.run(load.open_loop(target, rate=100, seconds=0.3, connections=1))
    assert sum(found.statuses.values()) == 30
    assert found.failed == 0
    assert found.latencies[-1] > 5 * found.latencies[0]
    assert found.latencies[-1] > 0.25


def test_made_up_requests() -> None:
    def info(kind: str, *dims: int) -> dict[str, Any]:
        return {"dtype": kind, "tensor_shape": {"dim": [{"size": str(d)} for d in dims]}}

    inputs = {
        "id": info("DT_INT64", -1),
        "price": info("DT_FLOAT", -1),
        "tags": info("DT_STRING", -1, 3),
        "flag": info("DT_BOOL", -1),
        "any": info("DT_INT32", -1, -1),
    }
    known = {
        "metadata": {"signature_def": {"signature_def": {"serving_default": {"inputs": inputs}}}}
    }
    columns = json.loads(load.made_up_body(known, 2))["inputs"]
    assert columns == {
        "id": [1, 1],
        "price": [0.5, 0.5],
        "tags": [["1", "1", "1"]] * 2,
        "flag": [True, True],
        "any": [[1, 1]] * 2,
    }
    rows = json.loads(load.made_up_body(known, 2, columnar=False))["instances"]
    assert rows == [{name: values[0] for name, values in columns.items()}] * 2
    with pytest.raises(ValueError, match=r"signature: must be one of \['serving_default'\]"):
        load.made_up_body(known, 2, "nope")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda t: load.closed_loop(t, 0, 1),
            "clients: must be a whole number from 1 to 2147483647, received 0",
        ),
        (lambda t: load.open_loop(t, 0, 1), "rate: must be a finite number above 0, received 0"),
    ],
)
def test_wrong_arguments(call: Any, message: str) -> None:
    target = load.Target("http://127.0.0.1:9", "/", b"")
    with pytest.raises(ValueError, match=message):
        asyncio.run(call(target))
    with pytest.raises(ValueError, match="url: must be http"):
        load.Target("127.0.0.1:8501", "/", b"")


def test_command_line(server: Any, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    flags = ["--url", url(server), "--model", "m", "--clients", "2", "--seconds", "0.2"]
    assert load.main([*flags, "--rows", "3", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["failed"] == 0
    assert report["rows_per_second"] == pytest.approx(3 * report["requests_per_second"], rel=0.01)
    path, _, body = server.seen[-1]
    assert path == "/v1/models/m:predict"
    assert json.loads(body)["inputs"] == {"a": [1, 1, 1]}

    (tmp_path / "body.json").write_text('{"instances": [7]}')
    flags += ["--body", str(tmp_path / "body.json"), "--version", "3", "--rate", "50"]
    assert load.main([*flags, "--json", str(tmp_path / "report.json")]) == 0
    assert server.seen[-1][0] == "/v1/models/m/versions/3:predict"
    assert server.seen[-1][2] == b'{"instances": [7]}'
    assert json.loads((tmp_path / "report.json").read_text())["requests"] == 10
    assert "p99_ms" in capsys.readouterr().out

    assert load.main(["--url", "http://127.0.0.1:9", "--model", "m"]) == 2
    assert "serving.load: " in capsys.readouterr().err


def test_so_many_requests_and_no_more(server: Any) -> None:
    target = load.Target(url(server), "/", b"{}")
    found = load.run(load.closed_loop(target, 3, 60.0, warmup=0.0, requests=25))
    assert sum(found.statuses.values()) == len(server.seen) == 25
    assert found.seconds < 30


def test_memory_of_a_process(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A process that fills 60 MiB while it is watched: seen, and given back at the end."""
    program = "import sys; sys.stdin.readline(); a = b'x' * (60 << 20); print(1, flush=True)"
    program += "; sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with load_memory.MemoryWatch(process.pid, every=0.01) as watch:
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
        found = watch.summary()
        assert found["memory_last_mib"] - found["memory_first_mib"] > 55
        assert found["memory_largest_mib"] >= found["memory_last_mib"]
        flags = ["--url", url(server), "--model", "m", "--requests", "20", "--clients", "2"]
        assert load.main([*flags, "--pid", str(process.pid), "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["memory_largest_mib"] > 55
        process.stdin.write("\n")
        process.stdin.flush()
    assert load.main([*flags, "--pid", str(process.pid)]) == 2
    assert "pid: must be a running process on this machine" in capsys.readouterr().err
    with load_memory.MemoryWatch(None) as watch:
        pass
    assert watch.summary() == {}
