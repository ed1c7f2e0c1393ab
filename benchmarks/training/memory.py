"""Resident memory of training, of many models of one form and of many data sets, beside a release.

    python -m benchmarks.training.memory --before CHECKOUT

CHECKOUT is the working tree of the release to compare with. Processes of both take turns
(`memory_process` is what each does):

training    two million made rows in Parquet files are opened encoded and trained on for an epoch;
            what counts is the peak beyond a process that only imports TensorFlow
one_form    twenty models of one form are built, fitted, exported and deleted;
            expected: within 2 % of its size after the third, and the processor's seconds until
            the second is fitted well below the first's; one_form_idefn is the same with IdeFN
forms       twenty models of twenty forms: what seven more programs keep
data_sets   one model predicts on a hundred new data sets, each a row longer;
            equal_data_sets has as many rows in each, short_data_sets one batch of any size;
            expected: within 2 %
evaluated   evaluated_data_sets evaluates a hundred, each a row longer; expected: within 2 %.
            evaluated_by_idefn (twenty, with a transport) and fitted_data_sets (twenty) meet
            programs that XLA compiles for every size: what a size costs
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common.checkouts import told_by
from benchmarks.common.machine import ROOT, code_fingerprint, machine_facts
from benchmarks.training.memory_process import make_rows
from idefn_tf._files import write_json
from serving.common.command_line import command_parser

ROWS, FILES = 2_000_000, 4
TURNS = (
    *("one_form", "one_form_idefn", "forms", "data_sets", "equal_data_sets", "short_data_sets"),
    *("evaluated_data_sets", "evaluated_by_idefn", "fitted_data_sets"),
)
SCENARIOS = ("nothing", "training", *TURNS)
#: The most that training's peak, net of TensorFlow, may be of the one before.
TARGET = 0.6
#: The most that a process may grow after the third of its turns.
GROWTH = 0.02


def process(checkout: Path, scenario: str, rows: Path) -> dict[str, Any]:
    """Runs one process in a checkout and returns what it says."""
    script = ROOT / "benchmarks" / "training" / "memory_process.py"
    found = told_by(checkout, script, scenario, "--rows", str(rows))
    print(checkout.name, scenario, found, flush=True)
    return found


def write_rows(folder: Path, rows: int) -> None:
    """Writes made exposures as Parquet files."""
    for part in range(FILES):
        made = make_rows(rows // FILES, part)
        made.to_parquet(folder / f"{part}.parquet", row_group_size=131_072)


def summary(found: dict[str, list[dict[str, Any]]], idle: float) -> dict[str, Any]:
    """Returns what one checkout's processes say together."""
    peaks = [run["peak_mib"] for run in found.get("training", [])]
    out: dict[str, Any] = {"tensorflow_alone_mib": idle}
    if peaks:
        out["training_net_mib"] = round(statistics.median(peaks) - idle, 1)
        out["training_loss"] = found["training"][0]["loss"]
    for scenario in TURNS:
        for run in found.get(scenario, []):
            sizes, used, seconds = (
                run[name] for name in ("resident_mib", "in_use_mib", "processor_seconds")
            )
            out[scenario] = {
                "growth_after_the_third": run["growth_after_the_third"],
                "mib_a_turn": round((sizes[-1] - sizes[2]) / (len(sizes) - 3), 3),
                "in_use_mib_a_turn": round((used[-1] - used[2]) / (len(used) - 3), 3),
                "processor_seconds": {
                    "first": seconds[0],
                    "later": round(statistics.median(seconds[1:]), 3),
                },
                "resident_mib": sizes,
            }
    return out


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.training.memory", __doc__)
    parser.add_argument("--before", type=Path, required=True, help="the release to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="of training; the others run once")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--scenarios", nargs="*", choices=SCENARIOS, default=SCENARIOS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/training/memory.json"))
    given = parser.parse_args()
    checkouts = {"before": given.before.resolve(), "now": ROOT}
    found: dict[str, dict[str, list[dict[str, Any]]]] = {name: {} for name in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder), given.rows)
        for scenario in given.scenarios:
            for _ in range(given.rounds if scenario in ("nothing", "training") else 1):
                for name, checkout in checkouts.items():
                    run = process(checkout, scenario, Path(folder))
                    found[name].setdefault(scenario, []).append(run)
    idle = [run["peak_mib"] for runs in found.values() for run in runs.get("nothing", [])]
    cells = {
        name: summary(runs, round(statistics.median(idle), 1) if idle else 0.0)
        for name, runs in found.items()
    }
    result = {
        "command": "python -m benchmarks.training.memory --before CHECKOUT",
        "machine": machine_facts(),
        "code": code_fingerprint("idefn_tf"),
        "rows": given.rows,
        "targets": {"training_net_ratio": TARGET, "growth_after_the_third": GROWTH},
        "cells": cells,
    }
    if "training" in given.scenarios:
        net = {name: cell["training_net_mib"] for name, cell in cells.items()}
        result["training_net_ratio"] = round(net["now"] / net["before"], 3)
    write_json(given.out, result)


if __name__ == "__main__":
    main()
