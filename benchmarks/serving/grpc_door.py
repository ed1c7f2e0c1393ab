"""What the gRPC door costs beside an empty handler, and beside REST.

    python -m benchmarks.serving.grpc_door MODEL_BASE [--clients 16] [--seconds 5]

One server process with both doors, and one whose only call gives a fixed answer through the same
gRPC server settings. Threads of one client process ask each by turns; the same row is sent each
time. Then requests of 1,000 rows as raw tensor content against REST in columns.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import orjson
import requests

from benchmarks.common.free_ports import free_ports
from idefn_tf.export.corner_cases import edge_rows
from idefn_tf.export.serving_protos import message_class
from idefn_tf.schema import Schema
from serving.common.command_line import command_parser
from serving.common.tensor_protos import to_proto

_PREDICT = "/tensorflow.serving.PredictionService/Predict"


class Empty(grpc.GenericRpcHandler):
    """Gives one answer to everything."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def service(self, details: Any) -> Any:
        """Finds the handler, the same for every call."""
        return grpc.unary_unary_rpc_method_handler(lambda body, context: self._answer)


def closed_loop(call: Callable[[], Any], clients: int, seconds: float) -> dict[str, float]:
    """Calls from several threads for some seconds; returns milliseconds and calls a second."""
    found: list[float] = []
    end = time.perf_counter() + seconds

    def client() -> None:
        own = []
        while (begun := time.perf_counter()) < end:
            call()
            own.append(time.perf_counter() - begun)
        found.extend(own)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "p50_ms": round(1000 * statistics.median(found), 3),
        "p99_ms": round(1000 * float(np.quantile(found, 0.99)), 3),
        "calls_per_second": round(len(found) / seconds, 1),
    }


def measure(base: Path, clients: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Runs everything by turns and returns the medians over rounds."""
    version = max(base.glob("[0-9]*"), key=lambda path: int(path.name))
    schema = Schema.load(version / "assets.extra" / "schema.yaml", kept=True)
    rest_port, rpc_port, empty_port = free_ports(3)
    server = subprocess.Popen(
        [sys.executable, "-m", "serving.server", f"--rest_api_port={rest_port}",
         f"--port={rpc_port}", "--model_name=cvr", f"--model_base_path={base}",
         "--enable_serialization_as_tensor_content"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    empty = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serving.grpc_door", "--empty", str(empty_port)]
    )
    url = f"http://127.0.0.1:{rest_port}"
    try:
        _wait(f"{url}/v1/models/cvr")
        rows = _rows(schema)
        calls = {
            "empty": _rpc(empty_port, {k: v[:1] for k, v in rows.items()}),
            "grpc": _rpc(rpc_port, {k: v[:1] for k, v in rows.items()}),
            "rest": _rest(url, {k: v[:1] for k, v in rows.items()}),
        }
        large = {"grpc_1000": _rpc(rpc_port, rows), "rest_1000": _rest(url, rows)}
        rounds_of: dict[str, list[dict[str, float]]] = {}
        for _ in range(rounds):
            for name, call in calls.items():
                rounds_of.setdefault(name, []).append(closed_loop(call, clients, seconds))
            for name, call in large.items():
                rounds_of.setdefault(name, []).append(closed_loop(call, 2, seconds))
    finally:
        for process in (server, empty):
            process.terminate()
            process.wait()
    return {
        name: {key: round(statistics.median(r[key] for r in found), 3) for key in found[0]}
        for name, found in rounds_of.items()
    }


def _wait(url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, timeout=5).status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{url}: no answer in two minutes")


def _rows(schema: Schema) -> dict[str, np.ndarray]:
    """Returns 1,000 made rows, without NaN, which JSON does not have."""
    made = edge_rows(schema, (), 1000)
    return {k: np.nan_to_num(v) if v.dtype.kind == "f" else v for k, v in made.items()}


def _rpc(port: int, rows: dict[str, np.ndarray]) -> Callable[[], Any]:
    request = message_class("PredictRequest")()
    request.model_spec.name = "cvr"
    for name, values in rows.items():
        request.inputs[name] = to_proto(values, content=True)
    body = request.SerializeToString()
    call = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary(_PREDICT)
    return lambda: call(body, timeout=30, wait_for_ready=True)


def _rest(url: str, rows: dict[str, np.ndarray]) -> Callable[[], Any]:
    body = orjson.dumps({"inputs": {k: v.tolist() for k, v in rows.items()}}, default=bytes.decode)
    local = threading.local()

    def call() -> None:
        session = getattr(local, "session", None) or requests.Session()
        local.session = session
        session.post(f"{url}/v1/models/cvr:predict", data=body).raise_for_status()

    return call


def serve_empty(port: int) -> None:
    """Serves one answer until the process ends."""
    answer = message_class("PredictResponse")()
    for name in ("ctr", "cvr", "ctcvr"):
        answer.outputs[name] = to_proto(np.zeros(1, np.float32), content=True)
    pool = futures.ThreadPoolExecutor(16)
    server = grpc.server(pool, [Empty(answer.SerializeToString())])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.serving.grpc_door", __doc__)
    parser.add_argument("base", type=Path, nargs="?", help="a model's folder")
    parser.add_argument("--empty", type=int, help="serve one answer on this port")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.empty:
        serve_empty(given.empty)
        return
    found = measure(given.base, given.clients, given.seconds, given.rounds)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
