"""What a label likelihood costs in training: each one's step beside that of `observed`.

    python -m benchmarks.training.feedback --out benchmarks/results/training/feedback.json

All models read the same made batches, already encoded, with delays drawn for every click. Cells
take turns: every round runs a stretch of steps of each, and a cell's ratio is the median over
rounds of its stretch over that of `observed` in the same round, in time of the clock and in time of
the processor. The first call, which traces and compiles, is not timed.
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
from benchmarks.training import ours, rows
from idefn_tf._files import write_json
from idefn_tf.backbones import MLP
from idefn_tf.features import FeatureColumns
from idefn_tf.models import get_method
from idefn_tf.models.feedback import FEEDBACKS, WindowedLikelihood
from idefn_tf.optimizers import RowSparseAdam
from idefn_tf.tables import look_ahead
from serving.common.command_line import command_parser

WINDOW, TABLE_ROWS, BATCHES = 7.0, 100_000, 40
#: The most that a step may cost in units of `observed`: without heads, and with.
TARGETS = {"weights": 1.05, "heads": 1.15}


@dataclass
class Cell:
    """One compiled step and its times.

    Attributes:
        step: the model's train step as Keras compiles it.
        heads: whether the likelihood has heads.
        clock: milliseconds per step, one entry per round.
        processor: the same in time of the processor.
    """

    step: Any
    heads: bool
    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def run(self, batches: list[Any], count: int, start: int) -> None:
        """Runs `count` steps and notes their times."""
        clock, processor = time.perf_counter(), time.process_time()
        for turn in range(start, start + count):
            logs = self.step(batches[turn % len(batches)])
        float(logs["loss"])
        self.clock.append((time.perf_counter() - clock) * 1000 / count)
        self.processor.append((time.process_time() - processor) * 1000 / count)


def make(method: str, name: str, towers: tuple[int, ...]) -> tuple[Cell, FeatureColumns]:
    """Builds a method with a likelihood."""
    keras.utils.set_random_seed(0)
    options = {"window": WINDOW} if issubclass(FEEDBACKS[name], WindowedLikelihood) else {}
    features = FeatureColumns.from_schema(ours.schema(TABLE_ROWS), {})
    likelihood = FEEDBACKS[name](**options)
    model = get_method(method)(features, MLP(towers), feedback=likelihood)
    model.compile(RowSparseAdam(rows.RATE))
    model.build_all()
    return Cell(tf.function(model.train_step, autograph=False), bool(likelihood.heads)), features


def read_batches(features: FeatureColumns) -> list[Any]:
    """Encoded batches in memory, with the labels of delays."""
    made, generator = rows.make(BATCHES * rows.BATCH, TABLE_ROWS), np.random.default_rng(1)
    elapsed = made.click * generator.uniform(0.0, 10.0, len(made.click))
    delay = generator.exponential(1.0, len(made.click))
    known = made.conversion * (delay <= np.minimum(elapsed, WINDOW))
    labels = {
        "click": made.click,
        "conversion": known,
        "conversion_final": made.conversion,
        "elapsed": elapsed,
        "conversion_delay": delay * known,
    }
    parts = (made.columns(), {k: np.float32(v) for k, v in labels.items()})
    whole = tf.data.Dataset.from_tensor_slices((*parts, np.ones(len(known), np.float32)))
    encoded = whole.batch(rows.BATCH).map(lambda x, y, w: (features.encode(x), y, w))
    return list(look_ahead(encoded))


def measure(method: str, towers: tuple[int, ...], rounds: int, stretch: int) -> dict[str, Any]:
    """Times every likelihood with one method and one set of towers."""
    cells: dict[str, Cell] = {}
    alone = vars(get_method(method)).get("clicks_alone", False)
    for name in ("observed", *sorted(set(FEEDBACKS) - {"observed"})):
        if alone or not FEEDBACKS[name].corrects:
            cells[name], features = make(method, name, towers)
    batches = read_batches(features)
    for turn in range(rounds + 1):  # the first traces and compiles
        for cell in cells.values():
            cell.run(batches, stretch, turn * stretch)
    base, found = cells["observed"], {}
    for name, cell in cells.items():
        ratios = {
            "ratio": np.array(cell.clock[1:]) / base.clock[1:],
            "processor_ratio": np.array(cell.processor[1:]) / base.processor[1:],
        }
        found[name] = {
            "step_ms": round(float(np.median(cell.clock[1:])), 2),
            "target": TARGETS["heads" if cell.heads else "weights"],
            **{key: round(float(np.median(values)), 3) for key, values in ratios.items()},
            "ratio_of_rounds": [round(float(value), 3) for value in ratios["ratio"]],
        }
    return found


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.training.feedback", __doc__)
    parser.add_argument("--methods", nargs="*", default=["all_negative", "esmm"])
    parser.add_argument("--towers", type=int, nargs="*", default=list(rows.TOWERS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--stretch", type=int, default=20, help="steps per cell and round")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/training/feedback.json")
    )
    given = parser.parse_args()
    found: dict[str, Any] = {
        "command": "python -m benchmarks.training.feedback",
        "batch": rows.BATCH,
        "towers": given.towers,
        "rounds": given.rounds,
        "steps_per_round": given.stretch,
        "machine": machine_facts(),
        "code": code_fingerprint("idefn_tf"),
        "methods": {},
    }
    for method in given.methods:
        cells = measure(method, tuple(given.towers), given.rounds, given.stretch)
        found["methods"][method] = cells
        for name, values in cells.items():
            shown = {k: v for k, v in values.items() if not k.endswith("_of_rounds")}
            print(method, name, shown, flush=True)
    write_json(given.out, found)


if __name__ == "__main__":
    main()
