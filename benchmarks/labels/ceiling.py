"""What could any relabelling gain? The truth relabelled against AllNegative, with history or not.

    python -m benchmarks.labels.ceiling run --data WORK/data --out OUT --seeds 10
    python -m benchmarks.labels.ceiling table --data WORK/data --out OUT

`--data` holds the folders `none` and `aggregates` that ``benchmarks.history.kuairand_study`` makes
in its step ``prepare``; settings are that study's. Both sides of a pair meet the same batches in
the same order. Each cell's scores are saved as it ends; the same command given again runs what is
missing, seed by seed, alpha .5 before .8. What is done with the result was written down first:
docs/transport-measurements.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.history import kuairand_study
from benchmarks.labels import ceiling_table
from benchmarks.paper.bootstrap import report_labels
from benchmarks.paper.oracle_rows import open_with_truth
from idefn_tf._files import atomic_path
from idefn_tf.data import to_arrays
from idefn_tf.evaluation.resampling import find_items
from pipelines.cli import console as consoles
from pipelines.cli.arguments import add_quiet
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.evaluation import predict
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import train
from serving.common.command_line import command_parser

RESULTS = Path(__file__).resolve().parents[1] / "results" / "labels"
HISTORIES = ("aggregates", "none")
#: AllNegative, and the same loss that is told every recorded unclicked conversion.
METHODS = ("all_negative", "oracle_relabel")
ALPHAS = (0.5, 0.8)
PARTS = ("validation", "test")


@dataclass(frozen=True)
class Cell:
    """One training of the ceiling's table.

    Attributes:
        history: which prepared folder, of `HISTORIES`.
        method: of `METHODS`.
        alpha: the weight of clicked rows in Eq. 15.
        seed: of initial weights and of the order of rows.
    """

    history: str
    method: str
    alpha: float
    seed: int

    @property
    def row(self) -> str:
        """How results call its row."""
        return f"{self.history}-{self.method}-{self.alpha:g}"

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.row}-{self.seed}"


def cells(seeds: Sequence[int]) -> Iterator[Cell]:
    """Yields the cells; an early end leaves whole pairs of the first alpha first."""
    for alpha in ALPHAS:
        for seed in seeds:
            for history in HISTORIES:
                for method in METHODS:
                    yield Cell(history, method, alpha, seed)


def config_of(cell: Cell) -> Config:
    """Returns AllNegative's config of the history study at the cell's alpha, under its method."""
    like = kuairand_study.Cell(cell.history, "all_negative", "mean", cell.seed)
    plain = kuairand_study.config_of(like).model_dump(mode="json", exclude_unset=True)
    plain["method"] = cell.method
    plain["model"] = {**plain["model"], "alpha": cell.alpha}
    return Config.parse(plain)


def run(cell: Cell, data: Path, out: Path, console: Console) -> None:
    """Trains a cell and keeps its CVR of validation and test rows, unless that is done."""
    path = out / "scores" / f"{cell.name}.npz"
    if path.exists():
        return
    console.step(cell.name)
    prepared = Prepared.open(data / cell.history)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        quiet = Console(quiet=True)
        run_of = Path(folder) / "run"
        # the rows with truth for both: AllNegative leaves that label aside
        done = train(config_of(cell), prepared, run_of, quiet, open_with_truth, evaluate=False)
        model = done.load_model()
    scores = {p: predict(model, prepared.schema, prepared.table(p))["cvr"] for p in PARTS}
    with atomic_path(path) as sibling, sibling.open("wb") as file:
        np.savez_compressed(file, **{p: np.ravel(s).astype(np.float32) for p, s in scores.items()})


def _table(data: Path, out: Path, name: str, console: Console) -> int:
    prepared = Prepared.open(data / HISTORIES[0])
    schema, columns = prepared.schema, report_labels(prepared)
    arrays = to_arrays(schema, prepared.table("test"))
    item = find_items(schema, arrays)
    if schema.user_key is None or item is None:
        raise ValueError(f"--data: must tell users and items apart, received {data} that does not")
    found = ceiling_table.study(
        ceiling_table.read_scores(out, "test"), columns, arrays[schema.user_key], arrays[item]
    )
    seeds = max(pair["seeds"] for pair in found["pairs"])
    command = f"python -m benchmarks.labels.ceiling run --data DATA --out OUT --seeds {seeds}"
    for path in ceiling_table.write({**found, "command": command}, RESULTS, name):
        console.wrote(path)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("benchmarks.labels.ceiling", __doc__)
    parser.add_argument("step", choices=["run", "table"])
    parser.add_argument("--data", type=Path, required=True, help="holds none/ and aggregates/")
    parser.add_argument("--out", type=Path, required=True, help="where scores go")
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0")
    parser.add_argument("--name", default="kuairand_slice", help="of the results")
    add_quiet(parser)
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> int:
        if given.step == "table":
            return _table(given.data, given.out, given.name, console)
        for cell in cells(range(given.seeds)):
            run(cell, given.data, given.out, console)
        return 0

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
