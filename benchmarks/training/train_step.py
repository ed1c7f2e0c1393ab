"""What the transport costs in training: IdeFN's step beside AllNegative's, the same loss without.

    python -m benchmarks.training.train_step --data PREPARED \
        --out benchmarks/results/training/train_step.json

PREPARED is a folder that pipelines.prepare made of KuaiRand-Pure.

Both models read the same batches of the KuaiRand config, held in memory already encoded, so that
nothing but the step is timed. Cells take turns: every round runs a stretch of steps of each, and a
cell's ratio is the median over rounds of its stretch over AllNegative's stretch of that round. The
first call, which traces and compiles, is timed apart.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.common.machine import code_fingerprint, machine_facts
from idefn_tf._files import write_json
from idefn_tf.data import EpochClock
from idefn_tf.export.run_files import read_vocabularies
from idefn_tf.models import EntireSpaceModel
from pipelines.experiment.build import build_model
from pipelines.experiment.config import Config
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import open_train
from serving.common.command_line import command_parser

BATCH = 2048
TOWERS = {"paper": [512, 256, 128, 64], "small": [64, 32]}
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "all_negative": ("all_negative", {}),
    "idefn": ("idefn", {}),
    "idefn_memory_512": ("idefn", {"memory": 512}),
}
#: The most that a step may cost in units of AllNegative's.
TARGETS = {"paper": 1.15, "small": 1.6}


@dataclass
class Cell:
    """One compiled model and its times.

    Attributes:
        model: the model.
        step: its train step as Keras compiles it.
        first: seconds of the first call: tracing, compiling and one step.
        stretches: milliseconds per step, one entry per round.
    """

    model: EntireSpaceModel
    step: Any
    first: float = 0.0
    stretches: list[float] = field(default_factory=list)

    def run(self, batches: list[Any], count: int, start: int) -> float:
        """Runs `count` steps and returns milliseconds per step."""
        began = time.perf_counter()
        for turn in range(start, start + count):
            logs = self.step(batches[turn % len(batches)])
        float(logs["loss"])
        return (time.perf_counter() - began) * 1000 / count


def make(data: Prepared, towers: list[int], method: str, transport: dict[str, Any]) -> Cell:
    """Builds the shipped config of a method with the given towers."""
    arguments: dict[str, Any] = {"alpha": 0.8, "gamma": 30}
    if method == "idefn":
        arguments |= {"kappa": 0.02, "transport": transport}
    config = Config.model_validate(
        {
            "method": method,
            "model": arguments,
            "backbone": {"name": "mlp", "units": towers},
            "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.001, "l2_rows": 0.01},
            "training": {"batch_size": BATCH},
        }
    )
    keras.utils.set_random_seed(0)
    model = build_model(config, data.schema, read_vocabularies(data.vocabularies))
    model.optimizer.build(model.trainable_variables)
    return Cell(model, tf.function(model.train_step, autograph=False))


def read_batches(data: Prepared, model: EntireSpaceModel, count: int) -> list[Any]:
    """Encoded training batches, in memory."""
    config = Config.model_validate({"method": "esmm", "training": {"batch_size": BATCH}})
    dataset = open_train(data, config.training, EpochClock(), encode=model.features)
    return list(dataset.take(count))


def measure(data: Prepared, towers: list[int], rounds: int, stretch: int) -> dict[str, Any]:
    """Times every cell with one set of towers."""
    cells = {name: make(data, towers, *how) for name, how in CELLS.items()}
    batches = read_batches(data, cells["all_negative"].model, 50)
    for cell in cells.values():
        cell.first = cell.run(batches, 1, 0) / 1000
        cell.run(batches, len(batches), 1)  # the memory fills, embeddings leave their start
    for turn in range(rounds):
        for cell in cells.values():
            cell.stretches.append(cell.run(batches, stretch, turn * stretch))
    base = np.array(cells["all_negative"].stretches)
    found: dict[str, Any] = {}
    for name, cell in cells.items():
        ratios = np.array(cell.stretches) / base
        found[name] = {
            "step_ms": round(float(np.median(cell.stretches)), 2),
            "step_ms_of_rounds": [round(s, 2) for s in cell.stretches],
            "samples_per_second": round(BATCH * 1000 / float(np.median(cell.stretches))),
            "ratio": round(float(np.median(ratios)), 3),
            "ratio_of_rounds": [round(float(r), 3) for r in ratios],
            "first_call_seconds": round(cell.first, 2),
        }
        if name != "all_negative":
            found[name] |= transport_facts(cell, batches)
    return found


def transport_facts(cell: Cell, batches: list[Any]) -> dict[str, Any]:
    """What the solver had to do in the last round, and its time alone."""
    model, rpot = cell.model, cell.model.rpot
    logs = model.get_metrics_result()
    encoded, batch = model._unpack(batches[0])
    z = model.features(encoded)

    # As in training, where the unclicked rows are gathered first; what a call moves is put back.
    @tf.function(jit_compile=True, autograph=False)
    def alone() -> tf.Tensor:
        return rpot(z, batch.click, batch.conversion, training=True).labels

    kept = [variable.numpy() for variable in rpot.variables]
    times = []
    for _ in range(21):
        began = time.perf_counter()
        alone().numpy()
        times.append((time.perf_counter() - began) * 1000)
        for variable, value in zip(rpot.variables, kept, strict=True):
            variable.assign(value)
    return {
        "rpot_alone_ms": round(float(np.median(times[1:])), 2),
        "positives": round(float(logs["transport_positives"]), 1),
        "iterations": round(float(logs["transport_iterations"]), 1),
        "converged": round(float(logs["transport_converged"]), 4),
        "pseudo_positive_rate": round(float(logs["pseudo_positive_rate"]), 4),
        "overflow": float(logs["transport_overflow"]),
    }


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.training.train_step", __doc__)
    parser.add_argument("--data", type=Path, required=True, help="a prepared KuaiRand folder")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--stretch", type=int, default=20, help="steps per cell and round")
    parser.add_argument("--towers", choices=sorted(TOWERS), nargs="*", default=sorted(TOWERS))
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/training/train_step.json")
    )
    given = parser.parse_args()
    data = Prepared.open(given.data)
    found: dict[str, Any] = {
        "command": "python -m benchmarks.training.train_step --data PREPARED",
        "data": {"name": data.schema.name, "fingerprint": data.card.get("fingerprint")},
        "batch": BATCH,
        "rounds": given.rounds,
        "steps_per_round": given.stretch,
        "machine": machine_facts(),
        "code": code_fingerprint("idefn_tf"),
        "towers": {},
    }
    for name in given.towers:
        cells = measure(data, TOWERS[name], given.rounds, given.stretch)
        found["towers"][name] = {"units": TOWERS[name], "target": TARGETS[name], "cells": cells}
        for cell, values in cells.items():
            shown = {k: v for k, v in values.items() if not k.endswith("_of_rounds")}
            print(name, cell, shown, flush=True)
    write_json(given.out, found)


if __name__ == "__main__":
    main()
