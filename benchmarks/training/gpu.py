"""What a GPU gives: the transport's solve, a step of IdeFN and of AllNegative, a step of DIN.

    python -m benchmarks.training.gpu --out gpu.json
    python -m benchmarks.training.gpu --device CPU:0 --minutes 2 --out trial.json

One script of under ten minutes for a machine that has a GPU; elsewhere it says why it skips, with
status 0. Each part runs on the processor and on the GPU in turn, in one process, from the same
initial weights; a step's time is the median of stretches that follow the compilation. It prepares
simulated users by itself; with --data it reads a prepared folder. A part that fails keeps its error
beside the others' figures, and the file is written after every part.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tensorflow as tf

from benchmarks.common.machine import code_fingerprint, machine_facts
from benchmarks.sequences import ours as sequences
from benchmarks.training.train_step import TOWERS, make, read_batches, transport_facts
from idefn_tf._files import write_json
from pipelines.cli.console import Console
from pipelines.datasets.registry import prepare
from pipelines.datasets.simulated_funnel import simulated_funnel
from pipelines.datasets.simulated_funnel.funnel_world import Options
from pipelines.preparation.prepared_folder import Prepared
from serving.common.command_line import command_parser

PROCESSOR = "CPU:0"
METHODS = ("all_negative", "idefn")
WARM, ROUNDS, STRETCH = 20, 5, 20
EXPOSURES = 400_000


def devices(asked: str | None) -> list[str]:
    """Returns the processor and the device asked for, by default the first GPU there is."""
    if asked is not None:
        return list(dict.fromkeys([PROCESSOR, asked]))
    found = tf.config.list_logical_devices("GPU")
    return [PROCESSOR, found[0].name.removeprefix("/device:")] if found else []


def steps(data: Prepared, device: str) -> dict[str, Any]:
    """Times a step of each method with the paper's towers, and the solve alone."""
    found: dict[str, Any] = {}
    with tf.device(f"/{device}"):
        cells = {method: make(data, TOWERS["paper"], method, {}) for method in METHODS}
        batches = read_batches(data, cells["all_negative"].model, 50)
        for name, cell in cells.items():
            cell.first = cell.run(batches, 1, 0) / 1000
            cell.run(batches, WARM, 1)
            found[name] = {"first_call_seconds": round(cell.first, 2)}
        for turn in range(ROUNDS):
            for cell in cells.values():
                cell.stretches.append(cell.run(batches, STRETCH, turn * STRETCH))
        for name, cell in cells.items():
            found[name]["step_ms"] = round(sorted(cell.stretches)[ROUNDS // 2], 3)
        found["idefn"] |= transport_facts(cells["idefn"], batches)
    return found


def din(device: str) -> dict[str, Any]:
    """Times DIN through fit, 10^6 ids, histories of twenty events in the mean."""
    with tf.device(f"/{device}"):
        return sequences.run("din", 50, 4, False, 10)


def _data(folder: Path) -> Prepared:
    raw, out = folder / "raw", folder / "data"
    simulated_funnel.simulate(raw, Options(exposures=EXPOSURES), Console(quiet=True))
    return prepare("simulated_funnel", raw, out, console=Console(quiet=True))


def measure(data: Prepared, names: list[str], minutes: float, out: Path) -> dict[str, Any]:
    """Runs every part on every device while there is time, and writes after each."""
    began = time.monotonic()
    found: dict[str, Any] = {
        "command": "python -m benchmarks.training.gpu",
        "data": {"name": data.schema.name, "fingerprint": data.card.get("fingerprint")},
        "gpus": [
            tf.config.experimental.get_device_details(gpu).get("device_name")
            for gpu in tf.config.list_physical_devices("GPU")
        ],
        "machine": machine_facts(),
        "code": code_fingerprint("idefn_tf"),
        "devices": {name: {} for name in names},
    }
    parts: dict[str, Callable[[str], dict[str, Any]]] = {
        "steps": lambda name: steps(data, name),
        "din": din,
    }
    for part, run in parts.items():
        for name in names:
            if time.monotonic() - began > minutes * 60:
                found["devices"][name][part] = {"skipped": f"{minutes:g} minutes were over"}
                continue
            try:
                found["devices"][name][part] = run(name)
            except (tf.errors.OpError, ValueError, RuntimeError) as error:
                found["devices"][name][part] = {"error": f"{type(error).__name__}: {error}"[:2000]}
            write_json(out, found)
    return found


def main() -> int:
    """The command line."""
    parser = command_parser("benchmarks.training.gpu", __doc__)
    parser.add_argument("--data", type=Path, help="a prepared folder; by default simulated users")
    parser.add_argument("--device", help="such as GPU:0; by default the first GPU")
    parser.add_argument("--minutes", type=float, default=8.0, help="begins no part after so long")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/training/gpu.json"))
    given = parser.parse_args()
    names = devices(given.device)
    if not names:
        sys.stdout.write("skipped: TensorFlow sees no GPU here; --device CPU:0 tries the script\n")
        return 0
    with TemporaryDirectory() as folder:
        data = Prepared.open(given.data) if given.data else _data(Path(folder))
        found = measure(data, names, given.minutes, given.out)
    for name, parts in found["devices"].items():
        sys.stdout.write(f"{name}: {parts}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
