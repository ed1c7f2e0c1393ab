"""How good are the pseudo-labels, epoch by epoch? Precision and lift on recorded conversions.

    python -m benchmarks.labels.relabelling --data PREPARED --name kuairand_slice

Trains the relabelling methods once each with the audit on (`training.audit`), at one point of the
tuning grid, and draws what it recorded: which share of the relabelled rows is a recorded
conversion without a click (precision), and how many times the share among all unclicked rows that
is (lift). Those conversions are known to the report alone; no method sees them. Runs are resumable;
the page and the picture are benchmarks/results/relabelling_<name>.json, .md and .png.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.machine import machine_facts
from benchmarks.labels.relabelling_plot import save_plot
from benchmarks.paper.grid import Cell, grid_parser, run_cells
from benchmarks.paper.settings import make_config
from benchmarks.paper.variants import get_variant
from idefn_tf._files import write_json, write_text
from pipelines.audit import read_epochs
from pipelines.cli import console as consoles
from pipelines.cli.console import Console
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

VARIANTS = ("idefn", "idefn_light", "nearest_positive", "top_k_cvr", "random_relabel")
SEED = 3000  # no seed of a table
KEPT = ("epoch", "relabelled", "share", "precision", "precision_low", "precision_high", "lift")


def cells_of(out: Path, family: str, names: Sequence[str], epochs: int) -> list[Cell]:
    """Returns one cell a method, of `epochs` epochs whatever validation says."""
    cells = []
    for name in names:
        more = {"training.epochs": epochs, "training.patience": epochs, "training.audit": True}
        config = make_config("one_point", name, "mlp", SEED, family, more)
        cells.append(Cell("one_point", name, "mlp", SEED, config, out / name))
    return cells


def collect(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Returns {"method", "label", "epochs": [...]} of every run that has an audit."""
    found = []
    for cell in cells:
        if not (cell.folder / "cell.json").is_file():
            continue
        epochs = read_epochs(Run.open(cell.folder))
        kept = [{key: _number(row[key]) for key in KEPT} for row in epochs]
        label = get_variant(cell.variant).label
        found.append({"method": cell.variant, "label": label, "epochs": kept})
    return found


def to_markdown(name: str, runs: Sequence[Mapping[str, Any]], command: str) -> str:
    """The page: every method's first, best and last epoch."""
    lines = [f"# Pseudo-labels on {name}, epoch by epoch", "", f"`{command}`", ""]
    lines += [f"![precision and lift by epoch](relabelling_{name}.png)", ""]
    lines += ["| method | labels an epoch | precision, first | best | last | lift, last |"]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    for run in runs:
        told = [row for row in run["epochs"] if row["precision"] is not None]
        if not told:
            continue
        best = max(row["precision"] for row in told)
        last = told[-1]
        lines.append(
            f"| {run['label']} | {last['relabelled']:,.0f} | {told[0]['precision']:.4f} | "
            f"{best:.4f} | {last['precision']:.4f} | {last['lift']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _number(value: float) -> float | None:
    """JSON has no nan: what is not defined (no label, no conversion) is null."""
    return float(value) if value == value else None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = grid_parser("relabelling", __doc__, Path("runs/relabelling"))
    add = parser.add_argument
    add("--methods", nargs="+", default=list(VARIANTS), help="variants of the comparison")
    add("--epochs", type=int, default=8, help="of every run")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)
    return consoles.run_job(lambda: _run(given, console), console)


def _run(given: argparse.Namespace, console: Console) -> int:
    data = Prepared.open(given.data)
    family = "simulated" if data.card["dataset"].startswith("simulated") else "kuairand"
    cells = cells_of(given.out / given.name, family, given.methods, given.epochs)
    failures = run_cells(cells, given.data, console)
    runs = collect(cells)
    if not runs:
        raise ValueError(f"--out: no run of {given.out / given.name} is finished")
    command = f"python -m benchmarks.labels.relabelling --data DIR --name {given.name}"
    base = given.results / f"relabelling_{given.name}"
    result = {"data": given.name, "command": command, "machine": machine_facts(), "runs": runs}
    write_json(base.with_suffix(".json"), result)
    write_text(base.with_suffix(".md"), to_markdown(given.name, runs, command))
    save_plot(base.with_suffix(".png"), runs)
    console.wrote(base.with_suffix(".md"))
    for failure in failures:
        console.error(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
