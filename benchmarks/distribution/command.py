"""One process against two on this machine: the same batch, the same curve, how many rows a second.

``python -m benchmarks.distribution``

Both train the same ESMM on the same made rows through ``pipelines.train``; two workers join by
TF_CONFIG on loopback and share every batch. Each process is held to one core, so that a second
worker brings a second core; what is measured is the price of crossing processes: the median step
from the second epoch on. The gate comes first: both must end every epoch with the same loss.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.free_ports import free_addresses
from benchmarks.common.machine import machine_facts
from idefn_tf._files import write_json
from serving.common.command_line import command_parser

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "distribution" / "distribution.json"
_CONFIG: dict[str, Any] = {
    "method": "esmm",
    "backbone": {"name": "mlp", "units": [160, 80]},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.001},
    "training": {
        "batch_size": 4096,
        "epochs": 3,
        "patience": 9,
        "audit": False,
        "checkpoint": {"steps": None, "minutes": None},
    },
}
#: How far the losses of one and two workers may lie apart: float32 sums in another order.
_TOLERANCE = 2e-3


def measure(data: Path, folder: Path, workers: int, cores: int = 1) -> dict[str, Any]:
    """Trains with some workers and reads what they noted.

    Args:
        data: a prepared folder.
        folder: where the run goes, beside `config.yaml`, which this writes.
        workers: processes; 1 trains without a strategy.
        cores: that each of them has for itself.

    Returns:
        {"workers", "cores", "step_ms" (median of the slowest worker), "rows_per_second", "losses"}.

    Raises:
        ValueError: if a worker failed.
    """
    write_json(folder / "config.yaml", _CONFIG)
    out = folder / f"run-{workers}-{cores}"
    noted = [folder / f"steps-{workers}-{cores}-{index}.json" for index in range(workers)]
    processes = [
        subprocess.Popen(
            _command(data, folder, out, noted[index], held(index, cores), workers),
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **task},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index, task in enumerate(_tasks(workers))
    ]
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise ValueError("training failed:\n" + "\n".join(said))
    with (out / "history.csv").open(newline="", encoding="utf-8") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    step = max(_median(path, len(losses)) for path in noted)
    batch = _CONFIG["training"]["batch_size"]
    return {
        "workers": workers,
        "cores": cores,
        "step_ms": round(step, 2),
        "rows_per_second": round(1e3 * batch / step),
        "losses": losses,
    }


def _median(path: Path, epochs: int) -> float:
    """Returns the median of the steps after the first epoch's, which waits for compilers."""
    steps = json.loads(path.read_text(encoding="utf-8"))
    return statistics.median(steps[len(steps) // epochs :])


def held(index: int, cores: int) -> list[str]:
    """The words that hold a process to cores of its own."""
    there = sorted(os.sched_getaffinity(0))
    own = {str(there[(index * cores + n) % len(there)]) for n in range(cores)}
    return ["taskset", "-c", ",".join(sorted(own))]


def _command(
    data: Path, folder: Path, out: Path, noted: Path, held: Sequence[str], workers: int
) -> list[str]:
    command = [*held, sys.executable, "-m", "benchmarks.distribution.worker"]
    strategy = "none" if workers == 1 else "multi_worker"
    options = {"config": folder / "config.yaml", "data": data, "out": out, "steps": noted}
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    return [*command, "--strategy", strategy]


def _tasks(workers: int) -> list[dict[str, str]]:
    """Returns each worker's TF_CONFIG, on free ports of this machine."""
    if workers == 1:
        return [{}]
    hosts = free_addresses(workers)
    cluster = {"worker": hosts}
    return [
        {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}})}
        for i in range(workers)
    ]


def compare(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """Says how far the losses lie apart and what the second worker brought.

    Raises:
        ValueError: if the losses differ.
    """
    apart = max(abs(a - b) / abs(a) for a, b in zip(one["losses"], two["losses"], strict=True))
    if apart > _TOLERANCE:
        raise ValueError(f"gate: losses differ by {apart:.2e}: {one['losses']}, {two['losses']}")
    return {
        "losses_apart": apart,
        "rows_per_second": {"1": one["rows_per_second"], "2": two["rows_per_second"]},
        "speed_of_two": round(one["step_ms"] / two["step_ms"], 2),
    }


def prepare_simulated(folder: Path, exposures: int) -> Path:
    """Prepares made exposures; returns their folder."""
    data = folder / "data"
    prepare = ["simulated-funnel", "--out", str(data), "--exposures", str(exposures)]
    subprocess.run(
        [sys.executable, "-m", "pipelines.prepare", *prepare, "--quiet"], cwd=ROOT, check=True
    )
    return data


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = command_parser("benchmarks.distribution", __doc__)
    parser.add_argument("--exposures", type=int, default=200_000)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = prepare_simulated(folder, given.exposures)
        one, two = (measure(data, folder, workers) for workers in (1, 2))
    found = {
        "what": "ESMM, towers 160-80, global batch 4,096, RowSparseAdam; each process on one core",
        "exposures": given.exposures,
        **compare(one, two),
        "runs": [one, two],
        "machine": machine_facts(),
        "command": "python -m benchmarks.distribution",
    }
    write_json(given.out, found)
    print(json.dumps({k: found[k] for k in ("rows_per_second", "speed_of_two", "losses_apart")}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
