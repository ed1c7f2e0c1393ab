"""How quick is the embedded server: against the model called in process, and against KServe.

    python -m benchmarks.serving                                # all of it, about six minutes
    python -m benchmarks.serving --kserve OTHER_ENV/bin/python  # with the rival
    python -m benchmarks.serving --model-base runs/demo/models/cvr --model cvr

Measured: the signature called in process (the floor); the server with 1, 8, 16 and 32 clients and
1, 10, 100 and 500 rows a request in a closed loop; one row without batching; a fixed rate of
requests in an open loop, once undisturbed and once while new versions load. Server, load and (in a
reload) loader share the cores this process may use; the load average of other work is recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import code_fingerprint, machine_facts

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("tensorflow", "numpy", "uvicorn", "httptools", "uvloop", "orjson", "python-rapidjson")
_QUIET = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}

_FLOOR = """
import json, sys, time
import numpy as np, tensorflow as tf
tf.get_logger().setLevel("ERROR")
path, rows, seconds = sys.argv[1], json.loads(sys.argv[2]), float(sys.argv[3])
signature = tf.saved_model.load(path).signatures["serving_default"]
_, inputs = signature.structured_input_signature
sys.path.insert(0, sys.argv[4])
from serving.server.servable import Servable
session = Servable("floor", 1, path).signatures["serving_default"]
def times(call):
    for _ in range(20): call()
    found, end = [], time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        call()
        found.append(time.perf_counter() - begun)
    found.sort()
    return {f"p{q}_ms": round(1000 * found[min(len(found) - 1, len(found) * q // 100)], 3)
            for q in (50, 95, 99)}
report = {}
for count in rows:
    def column(spec):
        inner = [2 if size is None else size for size in spec.shape[1:]]
        if spec.dtype == tf.string:
            return np.full([count, *inner], b"1", object)
        return np.ones([count, *inner], spec.dtype.as_numpy_dtype)
    arrays = {name: column(spec) for name, spec in inputs.items()}
    def function():
        return {k: v.numpy() for k, v in
                signature(**{k: tf.constant(v) for k, v in arrays.items()}).items()}
    report[count] = {"function": times(function),
                     "stacked_session": times(lambda: session.run(arrays))}
print(json.dumps(report))
"""


class Process:
    """A server process and its address."""

    def __init__(self, command: Sequence[str], url: str = "") -> None:
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL if url else subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=_QUIET,
        )
        self.url = url

    def stop(self) -> None:
        """Ends it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_server(model: str, base: Path, *flags: str) -> Process:
    """Starts the embedded server on a free port."""
    command = [sys.executable, "-m", "serving.server", f"--model_name={model}"]
    found = Process([*command, f"--model_base_path={base}", "--rest_api_port=0", *flags])
    assert found.process.stdout is not None
    line = found.process.stdout.readline()
    if not line.startswith("ready "):
        raise RuntimeError("the server did not start")
    found.url = line.split()[1]
    return found


def start_kserve(python: str, model: str, version: Path) -> Process:
    """Starts KServe's server with the same model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = str(Path(__file__).parent / "serving_kserve.py")
    url = f"http://127.0.0.1:{port}"
    found = Process([python, script, model, str(version), str(port)], url)
    for _ in range(240):
        try:
            with urllib.request.urlopen(f"{url}/v1/models/{model}", timeout=2):
                return found
        except OSError:
            if found.process.poll() is not None:
                break
            time.sleep(0.5)
    found.stop()
    raise RuntimeError("KServe's server did not start")


def load(url: str, model: str, body: Path, rows: int, seconds: float, *more: str) -> dict[str, Any]:
    """Runs the load generator in a process of its own."""
    command = [sys.executable, "-m", "serving.load", "--url", url, "--model", model]
    command += ["--body", str(body), "--rows", str(rows), "--seconds", str(seconds), "--json", "-"]
    done = subprocess.run(
        [*command, *more], cwd=ROOT, capture_output=True, text=True, env=_QUIET, check=False
    )
    if not done.stdout:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def write_bodies(metadata: dict[str, Any], rows: Sequence[int], folder: Path) -> None:
    """Writes the requests: columns_N.json and rows_N.json."""
    from serving.load import made_up_body

    for count in rows:
        for form, columnar in (("columns", True), ("rows", False)):
            body = made_up_body(metadata, count, columnar=columnar)
            (folder / f"{form}_{count}.json").write_bytes(body)


def newest(base: Path) -> int:
    """The newest version under a model's folder."""
    return max(int(path.name) for path in base.iterdir() if path.name.isdigit())


def publish_again(base: Path, stop: threading.Event, every: float) -> int:
    """Publishes copies of the newest version until stopped; returns how many."""
    count = 0
    while not stop.wait(every):
        number = newest(base)
        hidden = base / f".tmp-{number + 1}"
        shutil.copytree(base / str(number), hidden)
        hidden.rename(base / str(number + 1))
        count += 1
    return count


def measure_reload(
    server: Process, options: argparse.Namespace, base: Path, bodies: Path
) -> dict[str, Any]:
    """One row at a fixed rate, undisturbed and while versions load."""
    common = (options.model, bodies / "columns_1.json", 1, max(4.0, 4 * options.seconds))
    rate = ("--rate", str(options.rate))
    undisturbed = load(server.url, *common, *rate)
    stop, counts = threading.Event(), []
    publisher = threading.Thread(
        target=lambda: counts.append(publish_again(base, stop, options.seconds))
    )
    publisher.start()
    disturbed = load(server.url, *common, *rate)
    stop.set()
    publisher.join()
    return {"undisturbed": undisturbed, "while_loading": disturbed, "versions": counts[0]}


def measure_server(options: argparse.Namespace, base: Path, folder: Path) -> dict[str, Any]:
    """The embedded server in all its settings."""
    found: dict[str, Any] = {"columns": {}, "rows": {}, "unbatched": {}}
    server = start_server(options.model, base)
    try:
        with urllib.request.urlopen(
            f"{server.url}/v1/models/{options.model}/metadata", timeout=30
        ) as answer:
            write_bodies(json.load(answer), options.rows, folder)
        for form in ("columns", "rows"):
            for count in options.rows:
                for clients in options.clients if form == "columns" else options.clients[:2]:
                    body = folder / f"{form}_{count}.json"
                    arguments = (options.model, body, count, options.seconds)
                    cell = load(server.url, *arguments, "--clients", str(clients))
                    found[form][f"{count} rows, {clients} clients"] = cell
                    show(f"server {form} {count} rows {clients} clients", cell)
        found["reload"] = measure_reload(server, options, base, folder)
        show("reload", found["reload"]["while_loading"])
    finally:
        server.stop()
    server = start_server(options.model, base, "--enable_batching=false")
    try:
        for clients in options.clients:
            body = folder / "columns_1.json"
            arguments = (options.model, body, 1, options.seconds)
            cell = load(server.url, *arguments, "--clients", str(clients))
            found["unbatched"][f"1 rows, {clients} clients"] = cell
            show(f"unbatched 1 row {clients} clients", cell)
    finally:
        server.stop()
    return found


def measure_kserve(options: argparse.Namespace, base: Path, folder: Path) -> dict[str, Any]:
    """KServe's Python server, in the row form it knows."""
    found = {}
    server = start_kserve(options.kserve, options.model, base / str(newest(base)))
    try:
        for count in options.rows:
            for clients in options.clients:
                arguments = (options.model, folder / f"rows_{count}.json", count, options.seconds)
                cell = load(server.url, *arguments, "--clients", str(clients))
                found[f"{count} rows, {clients} clients"] = cell
                show(f"kserve {count} rows {clients} clients", cell)
    finally:
        server.stop()
    return found


def measure_floor(options: argparse.Namespace, version: Path) -> dict[str, Any]:
    """The signature called in process, by rows."""
    command = [sys.executable, "-c", _FLOOR, str(version), json.dumps(options.rows)]
    command += [str(options.seconds), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, env=_QUIET, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def targets(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The aims, with what was measured."""
    floor = result["floor"]["1"]["function"]["p50_ms"]
    cells = result["server"]["columns"]
    one = cells["1 rows, 1 clients"]["p50_ms"]
    many = cells.get("1 rows, 16 clients", {}).get("requests_per_second", 0)
    reload = result["server"]["reload"]["while_loading"]
    return {
        "one row p50 at most 3 times the call in process": {
            "measured": round(one / floor, 2),
            "met": one <= 3 * floor,
        },
        "2,000 requests per second at 16 clients": {"measured": many, "met": many >= 2000},
        "no failed request while a version loads": {
            "measured": reload["failed"],
            "met": reload["failed"] == 0,
        },
        "p99 under 25 ms while a version loads": {
            "measured": reload["p99_ms"],
            "met": reload["p99_ms"] < 25,
        },
    }


def show(name: str, cell: dict[str, Any]) -> None:
    """One line on the console."""
    rate, p50, p99 = (cell.get(key) for key in ("requests_per_second", "p50_ms", "p99_ms"))
    sys.stdout.write(f"{name:40} {rate:>9} req/s  p50 {p50} ms  p99 {p99} ms\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", default="cvr", help="the model's name")
    parser.add_argument("--model-base", type=Path, help="its folder; without it one is made up")
    parser.add_argument("--seconds", type=float, default=4.0, help="per measurement")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 16, 32])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 10, 100, 500])
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second at reload")
    parser.add_argument("--kserve", help="a Python with kserve and tensorflow installed")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/serving.json")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, writes the result, and shows whether the aims are met."""
    options = _parser().parse_args(argv)
    result: dict[str, Any] = {
        "machine": machine_facts(PACKAGES),
        "code": code_fingerprint("serving"),
        "model": "made up: 20 integer features, 3 outputs"
        if options.model_base is None
        else "export",
        "seconds": options.seconds,
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = folder / "models" / options.model
        if options.model_base is None:
            from benchmarks import serving_model

            serving_model.write(base / "1")
        else:
            number = newest(options.model_base)
            shutil.copytree(options.model_base / str(number), base / str(number))
        result["floor"] = measure_floor(options, base / str(newest(base)))
        sys.stdout.write(f"floor {json.dumps(result['floor'])}\n")
        result["server"] = measure_server(options, base, folder)
        if options.kserve:
            result["kserve"] = measure_kserve(options, base, folder)
    result["targets"] = targets(result)
    result["load_after"] = machine_facts(())["load"]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    beside = options.out.with_suffix(".tmp")
    beside.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    beside.rename(options.out)
    for name, target in result["targets"].items():
        sys.stdout.write(f"{'met' if target['met'] else 'MISSED'}: {name}: {target['measured']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
