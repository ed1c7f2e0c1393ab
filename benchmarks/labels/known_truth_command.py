"""The command line of comparisons in worlds whose truth is known: ``run`` and ``table``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common.machine import machine_facts
from benchmarks.labels.known_truth import REFERENCE, ROWS, cells, compare, run, to_markdown
from idefn_tf._files import write_json, write_text
from pipelines.cli.arguments import add_quiet
from pipelines.cli.console import Console
from pipelines.preparation.prepared_folder import Prepared

RESULTS = Path(__file__).resolve().parents[1] / "results" / "labels"


def add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """Adds what ``run`` and ``table`` are told; `name` is that of the results by default."""
    parser.add_argument("--worlds", type=Path, required=True, help="a folder of prepared folders")
    parser.add_argument("--out", type=Path, help="where scores go")
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0")
    parser.add_argument("--rows", nargs="+", choices=[*ROWS], default=[*ROWS], help="to be run")
    parser.add_argument("--name", default=name, help="of the results")
    add_quiet(parser)


def run_cells(
    given: argparse.Namespace, console: Console, family: str, settings: Mapping[str, Any]
) -> int:
    """Trains what is missing, seed by seed over all worlds."""
    worlds = _worlds(given)
    for cell in cells(worlds, range(given.seeds), given.rows):
        run(cell, given.worlds, given.out, console, family, settings)
    return 0


def write_table(
    given: argparse.Namespace, console: Console, command: str, title: str, results: Path = RESULTS
) -> int:
    """Writes NAME.json and NAME.md of the finished cells."""
    found = [compare(given.worlds / world, given.out) for world in _worlds(given)]
    seeds = min(world["rows"][REFERENCE]["seeds"] for world in found)
    told = {
        "worlds": found,
        "name": given.name,
        "title": title,
        "command": f"python -m {command} run --worlds WORLDS --out OUT --seeds {seeds}",
        "machine": machine_facts(),
    }
    path = results / f"{given.name}.json"
    write_json(path, told)
    write_text(path.with_suffix(".md"), to_markdown(told))
    console.wrote(path)
    return 0


def _worlds(given: argparse.Namespace) -> list[str]:
    if given.out is None:
        raise ValueError("--out: must be given with run and table, received none; name a folder")
    found = sorted(p.name for p in given.worlds.iterdir() if Prepared.is_at(p))
    if not found:
        raise ValueError(
            f"--worlds: must hold prepared folders, received {given.worlds} without; make them"
        )
    return found
