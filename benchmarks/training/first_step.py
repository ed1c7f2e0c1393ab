"""Time to the first trained step in a fresh process, beside an earlier release.

    python -m benchmarks.training.first_step --data PREPARED --before CHECKOUT

PREPARED is a folder that pipelines.prepare made of KuaiRand-Pure, CHECKOUT the working tree of the
release to compare with. Processes of both take turns, so that whatever else the machine does
reaches both; what counts is the ratio within a round. Each process goes the way of
`pipelines.train` to its first step and says when each stage ended (`first_step_process`). Then it
takes further steps, whose losses must be equal to the bit in both releases, and predicts, evaluates
and trains on data sets that it has not seen, counting what TensorFlow traces.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common.checkouts import told_by
from benchmarks.common.machine import ROOT, code_fingerprint, machine_facts
from idefn_tf._files import write_json
from serving.common.command_line import command_parser

#: Methods whose first losses must be those of the release before.
GUARDED = ("idefn", "all_negative", "esmm")
#: The most that the time from TensorFlow imported to the first step may be of the one before.
TARGET = 0.45


def process(
    checkout: Path, data: Path, method: str, steps: int, variables: dict[str, str]
) -> dict[str, Any]:
    """Runs one process in a checkout and returns what it says."""
    script = ROOT / "benchmarks" / "training" / "first_step_process.py"
    config = checkout / "pipelines" / "configs" / "kuairand" / f"{method}.yaml"
    options = ["--data", str(data), "--config", str(config), "--steps", str(steps)]
    began = {"BENCHMARK_STARTED": repr(time.time())}
    return told_by(checkout, script, *options, variables={**variables, **began})


def rounds(
    cells: dict[str, tuple[Path, dict[str, str]]], data: Path, count: int
) -> dict[str, list[dict[str, Any]]]:
    """Runs every cell once a round, in turns that alternate."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in cells}
    for turn in range(count):
        names = list(cells) if turn % 2 == 0 else list(cells)[::-1]
        for name in names:
            checkout, variables = cells[name]
            found[name].append(process(checkout, data, "idefn", 20, variables))
            print(turn, name, found[name][-1]["tensorflow_to_first_step"], flush=True)
    return found


def summary(runs: list[dict[str, Any]], before: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns a cell's medians over rounds, and the median of its ratios within rounds."""

    def median(key: str) -> float:
        return round(statistics.median(run[key] for run in runs), 3)

    def ratio(key: str) -> float:
        pairs = zip(runs, before, strict=True)
        return round(statistics.median(run[key] / other[key] for run, other in pairs), 3)

    keys = ("tensorflow_to_first_step", "start_to_first_step", "tracing_seconds")
    return {
        "seconds": {key: median(key) for key in keys},
        "ratio_to_before": {key: ratio(key) for key in keys},
        "stages": {
            stage: round(statistics.median(run["stages"][stage] for run in runs), 3)
            for stage in runs[0]["stages"]
        },
        "traces": runs[0]["traces"],
        "seconds_of_rounds": [run["tensorflow_to_first_step"] for run in runs],
    }


def guard(cells: dict[str, tuple[Path, dict[str, str]]], data: Path) -> dict[str, bool]:
    """Says of each method whether the first losses are equal to the bit in every cell."""
    equal = {}
    for method in GUARDED:
        losses = [process(c, data, method, 20, v)["losses"] for c, v in cells.values()]
        equal[method] = len(losses[0]) >= 20 and all(one == losses[0] for one in losses)
        print("equal losses", method, equal[method], flush=True)
    return equal


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.training.first_step", __doc__)
    parser.add_argument("--data", type=Path, required=True, help="a prepared KuaiRand folder")
    parser.add_argument("--before", type=Path, required=True, help="the release to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/training/first_step.json")
    )
    given = parser.parse_args()
    data, before = given.data.resolve(), given.before.resolve()
    cells: dict[str, tuple[Path, dict[str, str]]] = {"before": (before, {}), "now": (ROOT, {})}
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as kept:
        programs = {"IDEFN_TF_XLA_CACHE": kept}
        process(ROOT, data, "idefn", 20, programs)  # compiles what the others find
        found_on_disk = {**cells, "now, programs on disk": (ROOT, programs)}
        runs = rounds(found_on_disk, data, given.rounds)
    found = {
        "command": "python -m benchmarks.training.first_step --data PREPARED --before CHECKOUT",
        "machine": machine_facts(),
        "load_at_the_start": [round(value, 1) for value in load],
        "code": code_fingerprint("idefn_tf", "pipelines"),
        "target": TARGET,
        "rounds": given.rounds,
        "losses_of_idefn_equal_to_the_bit": len(
            {str(r["losses"]) for c in runs.values() for r in c}
        )
        == 1,
        "cells": {name: summary(of_cell, runs["before"]) for name, of_cell in runs.items()},
    }
    write_json(given.out, found)
    print(json.dumps(found["cells"], indent=1))
    found["losses_equal_to_the_bit"] = guard(cells, data)
    write_json(given.out, found)


if __name__ == "__main__":
    main()
