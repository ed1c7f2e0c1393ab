"""What the REST door costs over the model's own call and the HTTP server's own work.

    python -m benchmarks.serving.rest_door [--before CHECKOUT] [--seconds 1] [--rounds 9]

By turns in one run: the quickest call of the session in this process; an application that reads a
request and gives a fixed answer, on the same HTTP server (benchmarks.serving.http_floor); that
application with the session's call in each request ("called"); the server; and the server of
another checkout of this project, if one is named. One row a request, at one client and at 16.
Ratios are taken within each round; medians over rounds are shown.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common.free_ports import free_ports
from benchmarks.common.machine import code_fingerprint, machine_facts
from benchmarks.serving import saved_model
from benchmarks.serving.floor import percentiles
from benchmarks.serving.processes import ROOT, Process
from serving.common.command_line import command_parser
from serving.common.load_generator import Target, closed_loop, run
from serving.load import made_up_body
from serving.server.codec.tensors import from_request
from serving.server.flags import parser as server_flags
from serving.server.lifecycle import session_config
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import DEFAULT

PATH = "/v1/models/cvr:predict"


def session_call(version: Path, body: bytes) -> Callable[[], Any]:
    """The signature called as the server calls it, with the arrays of a request."""
    options = session_config(server_flags().parse_args([]))
    signature = Servable("cvr", 1, version, session_config=options).signatures[DEFAULT]
    arrays, _ = from_request(json.loads(body), signature.inputs, signature.alike, True)
    return lambda: signature.run(arrays)


def measure(base: Path, seconds: float, rounds: int, before: Path | None) -> dict[str, Any]:
    """Runs everything by turns and returns the medians over rounds."""
    flags = ["--model_name=cvr", f"--model_base_path={base}"]
    servers = {"rest": (ROOT, "serving.server", flags)}
    if before is not None:
        servers["before"] = (before, "serving.server", flags)
    servers["empty"] = (ROOT, "benchmarks.serving.http_floor", [])
    servers["called"] = (ROOT, "benchmarks.serving.http_floor", [f"--version={base / '1'}"])
    urls = {}
    with contextlib.ExitStack() as running:
        for name, (folder, module, more) in servers.items():
            (port,) = free_ports(1)
            command = [sys.executable, "-m", module, f"--rest_api_port={port}", *more]
            urls[name] = f"http://127.0.0.1:{port}"
            running.enter_context(Process(command, urls[name], folder))
        answers = {name: _first_answer(url) for name, url in urls.items()}
        body = made_up_body(json.loads(answers["rest"]), 1)
        session = session_call(base / "1", body)
        found = [_round(urls, body, session, seconds) for _ in range(rounds + 1)][1:]
    return _summary(found)


def _round(
    urls: dict[str, str], body: bytes, session: Callable[[], Any], seconds: float
) -> dict[str, Any]:
    measured: dict[str, Any] = {"session": percentiles(session, seconds)}
    for name, url in urls.items():
        for clients in (1, 16):
            load = run(closed_loop(Target(url, PATH, body), clients, seconds, 1))
            if load.failed:
                raise RuntimeError(f"{name}: {load.failed} requests failed")
            measured[f"{name}_{clients}"] = load.summary()
    return measured


def _summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("p50_ms", "p95_ms", "p99_ms", "requests_per_second")

    def median(number: Callable[[dict[str, Any]], float]) -> float:
        return round(statistics.median(map(number, found)), 3)

    def floor(one: dict[str, Any]) -> float:
        return float(one["session"]["p50_ms"] + one["empty_1"]["p50_ms"])

    ratios = {
        "one_row_p50_to_session_and_empty": median(lambda r: r["rest_1"]["p50_ms"] / floor(r)),
        "one_row_p50_to_called": median(lambda r: r["rest_1"]["p50_ms"] / r["called_1"]["p50_ms"]),
        "called_to_session_and_empty": median(lambda r: r["called_1"]["p50_ms"] / floor(r)),
    }
    if "before_1" in found[0]:
        ratios["before_to_session_and_empty"] = median(lambda r: r["before_1"]["p50_ms"] / floor(r))
        ratios["requests_per_second_to_before_16"] = median(
            lambda r: r["rest_16"]["requests_per_second"] / r["before_16"]["requests_per_second"]
        )
        ratios["p50_to_before_1"] = median(
            lambda r: r["rest_1"]["p50_ms"] / r["before_1"]["p50_ms"]
        )
    medians = {
        name: {
            key: median(lambda r, name=name, key=key: r[name][key])  # type: ignore[misc]
            for key in names
            if key in numbers
        }
        for name, numbers in found[0].items()
    }
    return {"medians": medians, "ratios": ratios}


def _first_answer(url: str) -> bytes:
    """Waits for a server; returns the model's metadata, or the floor's answer."""
    for _ in range(600):
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{url}/v1/models/cvr/metadata", timeout=5) as answer,
        ):
            return bytes(answer.read())
        time.sleep(0.2)
    raise RuntimeError(f"{url}: no answer in two minutes")


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.serving.rest_door", __doc__)
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--seconds", type=float, default=1.0, help="per measurement")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    before = machine_facts(("tensorflow", "numpy", "uvicorn", "uvloop", "httptools", "orjson"))
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "cvr"
        saved_model.write(base / "1")
        found = measure(base, given.seconds, given.rounds, given.before)
    load = {"machine": before, "load_after": machine_facts(())["load"]}
    result = {**load, "code": code_fingerprint("serving"), **found}
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
