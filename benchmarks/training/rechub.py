"""The training benchmark's task in torch-rechub, in its environment; see `benchmarks.training`.

Its own loader (``--own-loader``) builds every batch row by row in Python, which is most of its
time; otherwise it gets whole batches, sliced from tensors, so that what is measured is its model
and its trainer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch_rechub.basic.features import SparseFeature
from torch_rechub.models.multi_task import ESMM
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator

from benchmarks.training import rows
from serving.common.command_line import command_parser


class Batches:
    """Whole batches of ({field: ids}, [cvr, ctr, ctcvr] labels)."""

    def __init__(self, made: rows.Made, size: int) -> None:
        self.columns = {n: torch.from_numpy(v) for n, v in made.columns("int32").items()}
        targets = np.stack([made.conversion, made.click, made.conversion], 1)
        self.targets, self.size = torch.from_numpy(targets), size

    def __len__(self) -> int:
        return -(-len(self.targets) // self.size)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.targets), self.size):
            at = slice(start, start + self.size)
            yield {name: values[at] for name, values in self.columns.items()}, self.targets[at]


class Counted:
    """Any loader, watched."""

    def __init__(self, loader: Any, watch: rows.Watch) -> None:
        self.loader, self.watch = loader, watch

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            yield batch
            self.watch.batch()


def run(table_rows: int, stretches: int, own_loader: bool) -> dict[str, Any]:
    """Trains with the library's trainer and measures; its weight decay is off."""
    torch.manual_seed(0)
    train, held_out = rows.task(table_rows)
    train = train.part(0, rows.BATCH * rows.STRETCH * stretches)
    size = table_rows // rows.FIELDS
    fields = [SparseFeature(f"f{i}", size, rows.WIDTH) for i in range(rows.FIELDS)]
    half = rows.FIELDS // 2
    towers = {"dims": list(rows.TOWERS)}
    model = ESMM(fields[:half], fields[half:], dict(towers), dict(towers))
    trainer = MTLTrainer(
        model,
        task_types=["classification"] * 3,
        optimizer_params={"lr": rows.RATE, "weight_decay": 0.0},
        n_epoch=1,
    )
    loader: Any = Batches(train, rows.BATCH)
    if own_loader:
        made = DataGenerator(train.columns("int32"), loader.targets.numpy())
        loader = DataLoader(made.dataset, rows.BATCH)  # its generate_dataloader, unshuffled
    batches = Counted(loader, rows.Watch())
    trainer.train_one_epoch(batches)  # what its fit runs before it evaluates
    found: dict[str, Any] = {**batches.watch.result(), "torch": torch.__version__}
    found["metrics_in_fit"] = 3  # the tasks' losses; it has no others while it trains
    model.eval()
    with torch.no_grad():
        scored = torch.cat([model(x) for x, _ in Batches(held_out, 8192)]).numpy()
    return {**found, **rows.aucs(held_out, scored[:, 1], scored[:, 2])}


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.training.rechub", __doc__)
    parser.add_argument("--table-rows", type=int, default=1_000_000)
    parser.add_argument("--stretches", type=int, default=rows.STRETCHES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--own-loader", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found = run(given.table_rows, given.stretches, given.own_loader)
    given.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
