"""What the gRPC door costs beside handlers that do less, and beside REST.

    python -m benchmarks.serving.grpc_door [MODEL_BASE] [--before CHECKOUT] [--rounds 9]

Without a folder a model of 46 inputs is exported. Server processes: one with both doors, one with
REST alone, that of another checkout of this project if one is named, and three whose only call runs
on the same gRPC server and does less (benchmarks.serving.grpc_floor). Threads of one client process
ask each by turns; 100 different rows are sent one after the other. Then requests of 1,000 rows as
raw tensor content against REST in columns. Ratios are taken within each round; medians over rounds
are shown.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import orjson
import requests

from benchmarks.common.free_ports import free_ports
from benchmarks.common.machine import code_fingerprint, machine_facts
from idefn_tf.export.corner_cases import edge_rows
from idefn_tf.export.serving_protos import message_class
from idefn_tf.schema import Schema
from serving.common.command_line import command_parser
from serving.common.tensor_protos import to_proto

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
FLOORS = ("empty", "read", "session")
_DIFFERENT = 100
#: Of two measurements in one round: what is divided by what, and which number of both.
RATIOS = {
    "grpc_to_empty_p50": ("grpc", "empty", "p50_ms"),
    "read_to_empty_p50": ("read", "empty", "p50_ms"),
    "session_to_empty_p50": ("session", "empty", "p50_ms"),
    "before_to_empty_p50": ("before", "empty", "p50_ms"),
    "grpc_to_before_calls": ("grpc", "before", "calls_per_second"),
    "rest_to_empty_p50": ("rest", "empty", "p50_ms"),
    "rest_to_rest_without_grpc_p50": ("rest", "rest_alone", "p50_ms"),
    "grpc_1000_to_rest_1000_rows": ("grpc_1000", "rest_1000", "calls_per_second"),
}


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


def measure(
    base: Path,
    rows: Mapping[str, np.ndarray],
    clients: int,
    seconds: float,
    rounds: int,
    before: Path | None = None,
) -> dict[str, Any]:
    """Runs everything by turns and returns the medians over rounds."""
    version = max(base.glob("[0-9]*"), key=lambda path: int(path.name))
    in_process = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.floor", str(version), "[1, 16, 1000]", "2"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rest_port, rpc_port, alone_port, old_rest, old_rpc, *floor_ports = free_ports(5 + len(FLOORS))
    both, alone = f"http://127.0.0.1:{rest_port}", f"http://127.0.0.1:{alone_port}"
    processes = [
        _server(base, f"--rest_api_port={rest_port}", f"--port={rpc_port}"),
        _server(base, f"--rest_api_port={alone_port}"),
        *[
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.serving.grpc_floor", str(port), kind, version]
            )
            for kind, port in zip(FLOORS, floor_ports, strict=True)
        ],
    ]
    if before is not None:
        ports = f"--rest_api_port={old_rest}", f"--port={old_rpc}"
        processes.append(_server(base, *ports, folder=before))
    try:
        for url in (both, alone, *([f"http://127.0.0.1:{old_rest}"] if before else ())):
            _wait(f"{url}/v1/models/cvr")
        one = [{name: v[i : i + 1] for name, v in rows.items()} for i in range(_DIFFERENT)]
        calls = {
            **{k: (_rpc(p, one), clients) for k, p in zip(FLOORS, floor_ports, strict=True)},
            "grpc": (_rpc(rpc_port, one), clients),
            **({"before": (_rpc(old_rpc, one), clients)} if before else {}),
            "rest": (_rest(both, one), clients),
            "rest_alone": (_rest(alone, one), clients),
            "grpc_1000": (_rpc(rpc_port, [rows]), 2),
            "rest_1000": (_rest(both, [rows]), 2),
        }
        for call, count in calls.values():  # the first calls find out what may be run together
            closed_loop(call, count, seconds / 2)
        found = [
            {name: closed_loop(call, count, seconds) for name, (call, count) in calls.items()}
            for _ in range(rounds)
        ]
    finally:
        for process in processes:
            process.terminate()
            process.wait()
    return {
        "in_process": json.loads(in_process.stdout),
        "medians": {
            name: {key: round(statistics.median(r[name][key] for r in found), 3) for key in numbers}
            for name, numbers in found[0].items()
        },
        "ratios": {
            name: round(statistics.median(r[a][key] / r[b][key] for r in found), 3)
            for name, (a, b, key) in RATIOS.items()
            if {a, b} <= found[0].keys()
        },
    }


def _server(base: Path, *flags: str, folder: Path | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "serving.server", "--model_name=cvr"]
    command += [f"--model_base_path={base}", "--enable_serialization_as_tensor_content"]
    return subprocess.Popen([*command, *flags], cwd=folder, stdout=subprocess.DEVNULL)


def _wait(url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, timeout=5).status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{url}: no answer in two minutes")


def rows_of(base: Path) -> dict[str, np.ndarray]:
    """Returns 1,000 made rows for a model, without NaN, which JSON does not have."""
    version = max(base.glob("[0-9]*"), key=lambda path: int(path.name))
    schema = Schema.load(version / "assets.extra" / "schema.yaml", kept=True)
    made = edge_rows(schema, (), 1000)
    return {k: np.nan_to_num(v) if v.dtype.kind == "f" else v for k, v in made.items()}


def _rpc(port: int, requests: Sequence[Mapping[str, np.ndarray]]) -> Callable[[], Any]:
    bodies = []
    for rows in requests:
        request = message_class("PredictRequest")()
        request.model_spec.name = "cvr"
        for name, values in rows.items():
            request.inputs[name] = to_proto(values, content=True)
        bodies.append(request.SerializeToString())
    following = itertools.cycle(bodies)
    call = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary(_PREDICT)
    return lambda: call(next(following), timeout=60, wait_for_ready=True)


def _rest(url: str, made: Sequence[Mapping[str, np.ndarray]]) -> Callable[[], Any]:
    columns = [{k: v.tolist() for k, v in rows.items()} for rows in made]
    bodies = [orjson.dumps({"inputs": inputs}, default=bytes.decode) for inputs in columns]
    following, local = itertools.cycle(bodies), threading.local()

    def call() -> None:
        session = getattr(local, "session", None) or requests.Session()
        local.session = session
        session.post(f"{url}/v1/models/cvr:predict", data=next(following)).raise_for_status()

    return call


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.serving.grpc_door", __doc__)
    parser.add_argument("base", type=Path, nargs="?", help="a model's folder; else one is made")
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=1.0, help="per measurement")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    before = machine_facts(("tensorflow", "numpy", "grpcio", "uvloop", "uvicorn"))
    with tempfile.TemporaryDirectory() as folder:
        found = _measured(given, Path(folder))
    load = {"machine": before, "load_after": machine_facts(())["load"]}
    result = {**load, "code": code_fingerprint("serving"), **found}
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


def _measured(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    base = given.base
    if base is None:
        from benchmarks.serving import many_inputs

        base = folder / "cvr"
        many_inputs.write(base)
        rows = many_inputs.rows(1000)
    else:
        rows = rows_of(base)
    return measure(base, rows, given.clients, given.seconds, given.rounds, given.before)


if __name__ == "__main__":
    main()
