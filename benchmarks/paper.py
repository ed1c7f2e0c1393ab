"""Remakes the paper's comparison on data at hand: a grid of runs, its statistics, one page.

    python -m benchmarks.paper --data PREPARED --name kuairand_slice --settings shipped --seeds 3

Each cell of the grid is a run's folder under --out, made by a process of its own. The same command
given again runs only what is missing, and writes benchmarks/results/paper_<name>.json and .md anew.
"""

from __future__ import annotations

import argparse
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import paper_report, paper_summary
from benchmarks.machine import machine_facts
from benchmarks.paper_cell import write_json_whole
from benchmarks.paper_grid import Cell, read_rows, run_cells
from benchmarks.paper_settings import (
    BACKBONES,
    SETTINGS,
    TABLES,
    get_variant,
    make_config,
)
from pipelines import console as consoles
from pipelines.console import Console
from pipelines.prepared import Prepared

RESULTS = Path(__file__).resolve().parent / "results"
README = Path(__file__).resolve().parent.parent / "README.md"


def grid(
    out: Path,
    settings: Sequence[str],
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    family: str,
) -> list[Cell]:
    """Returns the cells, seed by seed, so that an interrupted grid holds whole pairs."""
    cells = []
    for setting in settings:
        for backbone in backbones:
            for seed in seeds:
                for name in methods:
                    config = make_config(setting, name, backbone, seed, family)
                    folder = out / setting / backbone / name / f"seed{seed}"
                    cells.append(Cell(setting, name, backbone, seed, config, folder))
    return cells


def collect(name: str, data: Prepared, cells: Sequence[Cell], command: str) -> dict[str, Any]:
    """Reads the finished cells and computes what the page says."""
    rows = read_rows(cells)
    return {
        "name": name,
        "page": f"benchmarks/results/paper_{name}.md",
        "command": command,
        "data": data_facts(data),
        "machine": machine_facts(),
        "rows": rows,
        "summary": paper_summary.summarise(rows),
        "differences": paper_summary.compare(rows),
        "configs": _configs(cells),
    }


def data_facts(data: Prepared) -> dict[str, Any]:
    """Returns what a reader must know of the data: sizes, days, fingerprint."""
    card = data.card
    days = card.get("days") or {}
    keys = ("rows", "clicks", "conversions", "conversions_raw", "probes")
    return {
        "dataset": card["dataset"],
        "description": card.get("description", card["dataset"]),
        "fingerprint": card["fingerprint"],
        "rows": sum(part["rows"] for part in card["splits"].values()),
        "days": "; ".join(f"{part} {span}" for part, span in days.items()),
        "splits": {
            part: {key: facts.get(key, 0) for key in keys} for part, facts in card["splits"].items()
        },
    }


def _configs(cells: Sequence[Cell]) -> dict[str, Any]:
    """Returns every config once, without its seed, by "setting/backbone/method"."""
    found: dict[str, Any] = {}
    for cell in cells:
        plain = cell.config.model_dump(mode="json")
        plain["training"].pop("seed")
        found.setdefault(f"{cell.setting}/{cell.backbone}/{cell.variant}", plain)
    return found


def write(result: dict[str, Any], results: Path, console: Console) -> None:
    """Writes the JSON and the page."""
    base = results / f"paper_{result['name']}"
    write_json_whole(base.with_suffix(".json"), result)
    page = base.with_suffix(".md")
    beside = page.with_name(f".tmp-{page.name}")
    beside.write_text(paper_report.markdown(result), encoding="utf-8")
    beside.replace(page)
    console.wrote(page)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", required=True, type=Path, help="a prepared folder")
    parser.add_argument("--name", required=True, help="of the results, e.g. kuairand_slice")
    parser.add_argument("--out", type=Path, default=Path("runs/paper"), help="where the runs go")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the page goes")
    parser.add_argument("--settings", nargs="+", default=["fixed"], choices=SETTINGS)
    parser.add_argument("--methods", nargs="+", help="rows (default: those of --tables)")
    parser.add_argument("--tables", nargs="+", type=int, default=[1], choices=sorted(TABLES))
    parser.add_argument("--backbones", nargs="+", default=["mlp"], choices=BACKBONES)
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time")
    parser.add_argument("--minutes", type=float, help="begin no further cell after so long")
    parser.add_argument("--readme", action="store_true", help="put the first table into README.md")
    consoles.add_arguments(parser)
    given = parser.parse_args(arguments)
    console = Console(given.quiet)
    signal.signal(signal.SIGTERM, _stop)
    return consoles.run_job(lambda: _run(given, console), console)


def _run(given: argparse.Namespace, console: Console) -> int:
    data = Prepared.open(given.data)
    methods = given.methods or list(dict.fromkeys(m for t in given.tables for m in TABLES[t]))
    if given.seeds < 1:
        raise ValueError(f"--seeds: must be 1 or more, received {given.seeds}")
    for name in methods:
        get_variant(name)
    family = "simulated" if data.card["dataset"].startswith("simulated") else "kuairand"
    out = given.out / given.name
    cells = grid(out, given.settings, given.backbones, methods, range(given.seeds), family)
    limit = None if given.minutes is None else 60 * given.minutes
    failures = run_cells(cells, given.data, console, given.jobs, limit)
    result = collect(given.name, data, cells, _command(given, methods))
    if not result["rows"]:
        raise ValueError(f"--out: no cell of {out} is finished")
    write(result, given.results, console)
    if given.readme:
        block = paper_report.readme_block(result, given.settings[0], given.backbones[0])
        paper_report.write_readme(README, block)
        console.wrote(README)
    for failure in failures:
        console.error(failure)
    return 1 if failures else 0


def _stop(number: int, frame: object) -> None:
    """A polite request to end: cells that run are ended too, and can be taken up again."""
    raise KeyboardInterrupt


def _command(given: argparse.Namespace, methods: Sequence[str]) -> str:
    """The command that gives these results again, with the reader's own folder for the data."""
    words = ["python", "-m", "benchmarks.paper", "--data", "DIR", "--name", given.name]
    words += ["--settings", *given.settings]
    words += ["--methods", *methods] if given.methods else ["--tables", *map(str, given.tables)]
    words += ["--backbones", *given.backbones, "--seeds", str(given.seeds)]
    return shlex.join(words)


if __name__ == "__main__":
    raise SystemExit(main())
