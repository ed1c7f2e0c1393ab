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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.history import kuairand_study
from benchmarks.labels import ceiling_table
from benchmarks.labels.kept_scores import keep_scores, users_and_items
from benchmarks.paper.bootstrap import report_labels
from pipelines.cli import console as consoles
from pipelines.cli.arguments import add_quiet
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.preparation.prepared_folder import Prepared
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
    keep_scores(path, config_of(cell), Prepared.open(data / cell.history), PARTS)


def _table(data: Path, out: Path, name: str, console: Console) -> int:
    prepared = Prepared.open(data / HISTORIES[0])
    users, items = users_and_items(prepared, "--data", data)
    scores, columns = ceiling_table.read_scores(out, "test"), report_labels(prepared)
    found = ceiling_table.study(scores, columns, users, items)
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
