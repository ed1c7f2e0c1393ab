"""The sequence benchmark's task in torch-rechub, in its environment; see `benchmarks.sequences`.

It gets whole batches, sliced from tensors: its own loader builds each row in Python, which would
be most of its time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch_rechub.basic.features import SequenceFeature, SparseFeature
from torch_rechub.models.ranking import DIN
from torch_rechub.trainers import CTRTrainer

from benchmarks.sequences import rows
from benchmarks.training.rechub import Counted
from benchmarks.training.rows import auc
from serving.common.command_line import command_parser


class Batches:
    """Whole batches of ({feature: ids}, click)."""

    def __init__(self, made: rows.Made, size: int) -> None:
        histories = {f"hist_{name}": values for name, values in made.histories.items()}
        given = {**made.columns, **histories}
        self.columns = {name: torch.from_numpy(values) for name, values in given.items()}
        self.click, self.size = torch.from_numpy(made.click), size

    def __len__(self) -> int:
        return -(-len(self.click) // self.size)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.click), self.size):
            at = slice(start, start + self.size)
            yield {name: values[at] for name, values in self.columns.items()}, self.click[at]


def run(length: int, stretches: int) -> dict[str, Any]:
    """Trains DIN of clicks with the library's trainer and measures; its weight decay is off."""
    torch.manual_seed(0)
    train, held_out = rows.task(length, stretches)
    fields = {
        name: SparseFeature(name, size + 1, rows.WIDTH, padding_idx=0)
        for name, size in rows.SIZES.items()
    }
    histories = [
        SequenceFeature(
            f"hist_{name}",
            rows.SIZES[name] + 1,
            rows.WIDTH,
            pooling="concat",
            shared_with=name,
            padding_idx=0,
        )
        for name in rows.ITEMS
    ]
    model = DIN(
        [field for name, field in fields.items() if name not in rows.ITEMS],
        histories,
        [fields[name] for name in rows.ITEMS],
        {"dims": list(rows.TOWERS)},
        {"dims": list(rows.UNITS), "activation": "sigmoid"},
    )
    trainer = CTRTrainer(model, optimizer_params={"lr": rows.RATE, "weight_decay": 0.0}, n_epoch=1)
    batches = Counted(Batches(train, rows.BATCH), rows.Clock())
    trainer.train_one_epoch(batches)  # what its fit runs before it evaluates
    found: dict[str, Any] = {**batches.watch.result(), "torch": torch.__version__}
    found["metrics_in_fit"] = 1  # the loss; it has no others while it trains
    model.eval()
    with torch.no_grad():
        scored = torch.cat([model(x) for x, _ in Batches(held_out, 8192)]).numpy()
    return {**found, "ctr_auc": round(auc(held_out.click, scored), 4)}


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.sequences.rechub", __doc__)
    parser.add_argument("--length", type=int, default=rows.LENGTH)
    parser.add_argument("--stretches", type=int, default=rows.STRETCHES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found = run(given.length, given.stretches)
    given.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
