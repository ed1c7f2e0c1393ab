"""Remakes the paper's comparison on data at hand: a grid of runs, its statistics, one page.

    python -m benchmarks.paper --data PREPARED --name kuairand_slice --settings fixed equal

Each cell of the grid is a run's folder under --out, made by a process of its own. The same command
given again runs only what is missing, and writes benchmarks/results/paper_<name>.json, .md and .png
anew. With --keep, rows of the result as it lies there need no folder.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.paper import case_study, report
from benchmarks.paper import result as paper_result
from benchmarks.paper import sweeps as paper_sweeps
from benchmarks.paper import tuning as paper_tuning
from benchmarks.paper.bootstrap import DRAWS
from benchmarks.paper.grid import Cell, grid_parser, run_cells
from benchmarks.paper.kept import Kept, read_kept
from benchmarks.paper.result import data_facts
from benchmarks.paper.settings import BACKBONES, SETTINGS, is_shipped, make_config
from benchmarks.paper.variants import TABLES, get_variant
from pipelines.cli import console as consoles
from pipelines.cli.console import Console
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

README = Path(__file__).resolve().parents[2] / "README.md"


def grid(
    out: Path,
    settings: Sequence[str],
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    family: str,
    tuned: Mapping[tuple[str, str], Mapping[str, float]],
) -> list[Cell]:
    """Returns the tables' cells, seed by seed, so that an interrupted grid holds whole pairs.

    Under ``equal`` a method that tuning has not settled is left out, under ``shipped`` one without
    a config of the project.
    """
    cells = []
    for setting in settings:
        for backbone in backbones:
            for seed in seeds:
                for name in methods:
                    point = tuned.get((backbone, name)) if setting == "equal" else None
                    if setting == "equal" and point is None:
                        continue
                    if setting == "shipped" and not is_shipped(name, family):
                        continue
                    config = make_config(setting, name, backbone, seed, family, point)
                    folder = out / setting / backbone / name / f"seed{seed}"
                    cells.append(Cell(setting, name, backbone, seed, config, folder))
    return cells


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = grid_parser("paper", __doc__, Path("runs/paper"))
    add = parser.add_argument
    add("--settings", nargs="+", default=["fixed"], choices=SETTINGS)
    add("--methods", nargs="+", help="rows (default: those of --tables)")
    add("--tables", nargs="+", type=int, default=[1], choices=sorted(TABLES))
    add("--backbones", nargs="+", default=["mlp"], choices=BACKBONES)
    add("--seeds", type=int, default=10, help="how many, from 0")
    add("--tuning-seeds", type=int, default=1, help="seeds of each point tuned under equal")
    add("--tuned-on", choices=BACKBONES, help="whose points all take (default: each its own)")
    add("--figures", nargs="+", type=int, default=[], choices=(4, 5), help="of the paper")
    add("--figure-seeds", type=int, default=3, help="seeds of each point of figure 4")
    add("--case-study", action="store_true", help="look into one batch of the first IdeFN run")
    add(
        "--draws", type=int, default=DRAWS, help="of the bootstrap over users and items; 0 for none"
    )
    add("--jobs", type=int, default=1, help="cells at a time")
    add("--keep", action="store_true", help="keep the result's rows whose runs are not at hand")
    add("--minutes", type=float, help="begin no further cell after so long")
    add("--readme", action="store_true", help="put the first table into README.md")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)
    signal.signal(signal.SIGTERM, _stop)
    return consoles.run_job(lambda: _run(given, console), console)


def _run(given: argparse.Namespace, console: Console) -> int:
    data, methods = Prepared.open(given.data), _methods(given)
    family = "simulated" if data.card["dataset"].startswith("simulated") else "kuairand"
    out, seeds = given.out / given.name, range(given.seeds)
    deadline = None if given.minutes is None else time.monotonic() + 60 * given.minutes
    failures: list[str] = []
    kept = Kept()
    if given.keep:
        kept = read_kept(paper_result.path_of(given.results, given.name), data_facts(data))

    def run(cells: Sequence[Cell]) -> None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        failures.extend(run_cells(kept.missing(cells), given.data, console, given.jobs, left))

    # -- plain settings first: they need no tuning ----------------------------------------------
    plain = [s for s in given.settings if s != "equal"]
    run(grid(out, plain, given.backbones, methods, seeds, family, {}))
    tuned: list[dict[str, Any]] = []
    if "equal" in given.settings:
        judged = [given.tuned_on] if given.tuned_on else given.backbones
        tuning = paper_tuning.tuning_cells(out, judged, methods, given.tuning_seeds, family)
        tuned, tuning = kept.split_tuning(tuning)
        run(tuning)
        tuned += paper_tuning.choose(tuning)
    points = paper_tuning.choices(tuned, given.backbones if given.tuned_on else ())
    cells = grid(out, given.settings, given.backbones, methods, seeds, family, points)
    run(cells)

    # -- figure 4 --------------------------------------------------------------------------------
    setting, backbone = given.settings[0], given.backbones[0]
    sweeps: list[Cell] = []
    if 4 in given.figures:
        own = {m: p for (b, m), p in points.items() if b == backbone and setting == "equal"}
        some = range(given.figure_seeds)
        sweeps = paper_sweeps.sweep_cells(out, setting, backbone, some, family, own)
        run(sweeps)

    # -- report ----------------------------------------------------------------------------------
    command = _command(given)
    result = paper_result.collect(
        given.name, data, cells, command, sweeps, tuned, given.draws, kept
    )
    if not result["rows"]:
        raise ValueError(f"--out: no cell of {out} is finished")
    for path in paper_result.write(result, given.results, given.figures):
        console.wrote(path)
    if given.case_study:
        folder = out / setting / backbone / "idefn" / "seed0"
        for path in case_study.write(given.name, Run.open(folder), data, given.results):
            console.wrote(path)
    if given.readme:
        report.write_readme(README, report.readme_block(result, setting, backbone))
        console.wrote(README)
    for failure in failures:
        console.error(failure)
    return 1 if failures else 0


def _methods(given: argparse.Namespace) -> list[str]:
    for name in ("seeds", "tuning_seeds", "figure_seeds"):
        if getattr(given, name) < 1:
            raise ValueError(
                f"--{name.replace('_', '-')}: must be 1 or more, received {getattr(given, name)}"
            )
    wanted = list(given.methods or [m for table in given.tables for m in TABLES[table]])
    wanted += list(paper_result.ABLATION) if 5 in given.figures else []
    return [get_variant(name).name for name in dict.fromkeys(wanted)]


def _command(given: argparse.Namespace) -> str:
    """The command that gives these results again, with the reader's own folder for the data."""
    words = ["python", "-m", "benchmarks.paper", "--data", "DIR", "--name", given.name]
    words += ["--settings", *given.settings]
    words += ["--methods", *given.methods] if given.methods else []
    words += [] if given.methods else ["--tables", *map(str, given.tables)]
    words += ["--backbones", *given.backbones, "--seeds", str(given.seeds)]
    words += ["--tuned-on", given.tuned_on] if given.tuned_on else []
    words += ["--figures", *map(str, given.figures)] if given.figures else []
    words += ["--figure-seeds", str(given.figure_seeds)] if 4 in given.figures else []
    words += ["--case-study"] if given.case_study else []
    return shlex.join(words)


def _stop(number: int, frame: object) -> None:
    """A polite request to end: cells that run are ended too, and can be taken up again."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
