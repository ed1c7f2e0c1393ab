"""Memory stays flat: over many requests of every kind, and over versions that come and go."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from serving import load

pytestmark = pytest.mark.slow


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def press(server: Any, model: str, body: Any, seconds: float, clients: int = 8) -> int:
    target = load.Target(server.url, f"/v1/models/{model}:predict", json.dumps(body).encode())
    found = load.run(load.closed_loop(target, clients, seconds, warmup=0.0))
    return sum(found.statuses.values())


def test_over_many_requests(conformance_server: Any) -> None:
    server = conformance_server
    rows = [{"user": "somebody", "age": 3, "price": 0.5}] * 20
    kinds = [
        ("multi", {"instances": rows}),
        ("multi", {"instances": [*rows, {"user": 1}]}),  # refused
        ("nope", {"instances": [1.0]}),
        ("echo", {"inputs": ["x" * 2000] * 20}),
        ("half_plus_two", {"instances": [[1.0, 2.0], [3.0]]}),
    ]
    for model, body in kinds:
        press(server, model, body, 1.0)
    before = resident_mib(server.process.pid)
    count = sum(press(server, model, body, 2.0) for model, body in kinds)
    grown = resident_mib(server.process.pid) - before
    assert count > 1_000
    assert grown < 12, f"{grown:.0f} MiB more after {count} requests"


def test_over_many_versions(
    start_server: Any, model_folder: Path, tmp_path: Path, http_tools: Any
) -> None:
    base = tmp_path / "m"
    shutil.copytree(model_folder / "multi/1", base / "1")
    server = start_server("--model_name=m", f"--model_base_path={base}")

    def publish(number: int) -> None:
        shutil.copytree(model_folder / "multi/1", base / f".tmp-{number}")
        (base / f".tmp-{number}").rename(base / str(number))
        http_tools.wait_until(lambda: server.states("m").get(str(number - 1)) == "END", 60)

    body = {"instances": [{"user": "a", "age": 1, "price": 0.5}]}
    stop = threading.Event()
    failed: list[int] = []

    def client() -> None:
        while not stop.wait(0.004):  # some hundred requests a second
            status = server.predict("m", body).status
            if status != 200:
                failed.append(status)

    thread = threading.Thread(target=client)
    thread.start()
    for number in range(2, 6):
        publish(number)
    before = resident_mib(server.process.pid)
    for number in range(6, 16):
        publish(number)
    stop.set()
    thread.join()
    grown = resident_mib(server.process.pid) - before
    assert not failed
    assert grown < 40, f"{grown:.0f} MiB more after ten versions"
