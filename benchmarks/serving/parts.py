"""The measurements of benchmarks.serving: servers in processes of their own, load from another."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving.processes import (
    QUIET,
    ROOT,
    Process,
    load,
    start,
    start_kserve,
    start_server,
    wait_for,
)


def newest(base: Path) -> int:
    """The newest version under a model's folder."""
    return max(int(path.name) for path in base.iterdir() if path.name.isdigit())


def show(name: str, cell: dict[str, Any]) -> None:
    """One line on the console."""
    rate, p50, p99 = (cell.get(key) for key in ("requests_per_second", "p50_ms", "p99_ms"))
    sys.stdout.write(f"{name:40} {rate:>9} req/s  p50 {p50} ms  p99 {p99} ms\n")
    sys.stdout.flush()


class Parts:
    """What can be measured, each part by itself.

    Args:
        options: the command line's.
        base: the model's folder, which a reload adds versions to.
        folder: for the requests.
    """

    def __init__(self, options: argparse.Namespace, base: Path, folder: Path) -> None:
        self._options = options
        self._base = base
        self._folder = folder

    @property
    def names(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """The parts by name."""
        return {
            "floor": self.floor,
            "columns": lambda: self._cells("columns"),
            "rows": lambda: self._cells("rows"),
            "unbatched": self.unbatched,
            "reload": self.reload,
            "memory": self.memory,
            "versions": self.versions,
            "kserve": self.kserve,
        }

    def floor(self) -> dict[str, Any]:
        """The signature called in process, by rows."""
        command = [sys.executable, "-m", "benchmarks.serving.floor"]
        command += [str(self._base / str(newest(self._base))), json.dumps(self._options.rows)]
        done = subprocess.run(
            [*command, str(self._options.seconds)],
            cwd=ROOT, capture_output=True, text=True, env=QUIET, check=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
        sys.stdout.write(f"floor {json.dumps(found)}\n")
        return found

    def unbatched(self) -> dict[str, Any]:
        """One row a request, without batching."""
        found = {}
        with self._server("--enable_batching=false") as server:
            for clients in self._options.clients:
                cell = self._cell(server.url, "columns", 1, clients)
                found[f"1 rows, {clients} clients"] = cell
                show(f"unbatched 1 row {clients} clients", cell)
        return found

    def kserve(self) -> dict[str, Any]:
        """KServe's Python server, in the row form it knows."""
        with self._server():
            pass  # only for the requests' bodies
        found = {}
        version = self._base / str(newest(self._base))
        with start_kserve(self._options.kserve, self._options.model, version) as server:
            for rows in self._options.rows:
                for clients in self._options.clients:
                    cell = self._cell(server.url, "rows", rows, clients)
                    found[f"{rows} rows, {clients} clients"] = cell
                    show(f"kserve {rows} rows {clients} clients", cell)
        return found

    def reload(self) -> dict[str, Any]:
        """One row at a fixed rate, undisturbed and while versions load."""
        options = self._options
        with self._server() as server:
            common = (
                options.model, self._folder / "columns_1.json", 1, max(4.0, 4 * options.seconds),
                "--rate", str(options.rate),
            )  # fmt: skip
            undisturbed = load(server.url, *common)
            show(f"{options.rate:g} requests a second", undisturbed)
            stop, counts = threading.Event(), []
            publisher = threading.Thread(
                target=lambda: counts.append(_publish_again(self._base, stop, options.seconds))
            )
            publisher.start()
            disturbed = load(server.url, *common)
            stop.set()
            publisher.join()
            show("the same while versions load", disturbed)
        return {"undisturbed": undisturbed, "while_loading": disturbed, "versions": counts[0]}

    def memory(self) -> dict[str, Any]:
        """The server's memory over many requests: rows in both forms, and bodies it refuses."""
        from serving.common.load_memory import resident_mib

        options = self._options
        kinds = ["columns_1", "columns_1", "rows_10", "columns_100", "broken"]
        each = max(1, options.requests // (4 * len(kinds)))
        with self._server(rows=(1, 10, 100)) as server:
            whole = (self._folder / "columns_1.json").read_bytes()
            (self._folder / "broken.json").write_bytes(whole[:-2] + b', "oops": [1, }}')
            samples: list[list[float]] = []
            asked = 0
            for _ in range(5):  # the first round warms up and is counted, not judged
                for kind in kinds:
                    body = self._folder / f"{kind}.json"
                    more = ("--clients", "16", "--requests", str(each))
                    cell = load(server.url, options.model, body, 1, 600, *more)
                    wanted = "400" if kind == "broken" else "200"
                    if set(cell["statuses"]) != {wanted}:
                        raise RuntimeError(f"{kind}: answers {cell['statuses']}, not {wanted}")
                    asked += cell["requests"]
                    samples.append([asked, round(resident_mib(server.process.pid), 1)])
                sys.stdout.write(f"{asked:,} requests: {samples[-1][1]} MiB\n")
                sys.stdout.flush()
        warm = samples[len(kinds) - 1]
        return {
            "requests": asked - int(warm[0]),
            "after_warm_up_mib": warm[1],
            "last_mib": samples[-1][1],
            "grown_mib": round(samples[-1][1] - warm[1], 1),
            "samples": samples,
        }

    def versions(self) -> dict[str, Any]:
        """The server's memory with one to five versions of a model, and with the last alone."""
        from serving.common.load_memory import resident_mib

        name, base = self._options.model, self._folder / "versions" / self._options.model
        shutil.copytree(self._base / str(newest(self._base)), base / "1")
        config = self._folder / "versions.config"
        config.write_text(
            f'model_config_list {{ config {{ name: "{name}" base_path: "{base}" '
            'model_platform: "tensorflow" model_version_policy { all {} } } }'
        )
        with self._server(rows=(1,)):
            body = self._folder / "columns_1.json"  # only for the request's body
        samples: list[list[float]] = []
        with start(f"--model_config_file={config}") as server:
            for number in range(1, 6):
                if number > 1:
                    hidden = base / ".new"
                    shutil.copytree(base / "1", hidden)
                    hidden.rename(base / str(number))
                wait_for(server.url, name, set(range(1, number + 1)))
                load(server.url, name, body, 1, 60, "--clients", "4", "--requests", "2000")
                samples.append([number, round(resident_mib(server.process.pid), 1)])
            for number in range(1, 5):
                shutil.rmtree(base / str(number))
            wait_for(server.url, name, {5})
            time.sleep(3)  # a version ends before its memory is given back
            last = round(resident_mib(server.process.pid), 1)
        files = [path.stat().st_size for path in base.rglob("*") if path.is_file()]
        return {
            "samples": samples,
            "per_version_mib": round((samples[-1][1] - samples[0][1]) / 4, 1),
            "last_alone_mib": last,
            "files_mib": round(sum(files) / 2**20, 1),
        }

    def _cells(self, form: str) -> dict[str, Any]:
        """Every number of rows with every number of clients, in one form."""
        found = {}
        with self._server() as server:
            for rows in self._options.rows:
                for clients in self._options.clients:
                    cell = self._cell(server.url, form, rows, clients)
                    found[f"{rows} rows, {clients} clients"] = cell
                    show(f"server {form} {rows} rows {clients} clients", cell)
        return found

    def _cell(self, url: str, form: str, rows: int, clients: int) -> dict[str, Any]:
        body = self._folder / f"{form}_{rows}.json"
        arguments = (self._options.model, body, rows, self._options.seconds)
        return load(url, *arguments, "--clients", str(clients))

    def _server(self, *flags: str, rows: Sequence[int] = ()) -> Process:
        """Starts the embedded server, and writes the requests for its model."""
        from serving.load import made_up_body

        server = start_server(self._options.model, self._base, *flags)
        address = f"{server.url}/v1/models/{self._options.model}/metadata"
        with urllib.request.urlopen(address, timeout=30) as answer:
            metadata = json.load(answer)
        for count in rows or self._options.rows:
            for form, columnar in (("columns", True), ("rows", False)):
                body = made_up_body(metadata, count, columnar=columnar)
                (self._folder / f"{form}_{count}.json").write_bytes(body)
        return server


def _publish_again(base: Path, stop: threading.Event, every: float) -> int:
    """Publishes copies of the newest version until stopped; returns how many."""
    count = 0
    while not stop.wait(every):
        number = newest(base)
        hidden = base / f".tmp-{number + 1}"
        shutil.copytree(base / str(number), hidden)
        hidden.rename(base / str(number + 1))
        count += 1
    return count
