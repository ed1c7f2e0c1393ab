"""How fast behaviour sequences train through fit, beside DeepCTR and torch-rechub.

``python -m benchmarks.sequences``                      everything, from nothing
``python -m benchmarks.sequences --parts lengths``      one part; the others stay as they are

The task is the same for all: five features of a million ids together, dimension 16, histories of
at most 50 events and 20 in the mean, each with item and category; DIN with an activation unit of
80-40 and sigmoids, towers 160-80, batches of 2,048, Adam at 1e-3 without L2, two threads, the
same rows in the same order. Ours trains two towers (ESMM: clicks and conversions), the others one
(clicks). torch-rechub gives item and category an activation unit each, as it does, and BatchNorm.
Every library runs in a process of its own, `--rounds` times in turn, and each number is the median
over rounds. Beside the wall's time stands the processor's, which other work on the machine hardly
moves. Speeds count only where all learn: the gate compares AUCs on held-out rows.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common.machine import code_fingerprint, machine_facts
from benchmarks.sequences import rows
from benchmarks.sequences.report import page
from benchmarks.training.command import CODE, ROOT, environment, measure
from benchmarks.training.rows import STEPS_PER_EXECUTION
from idefn_tf._files import write_json, write_text
from serving.common.command_line import command_parser

RESULT = ROOT / "benchmarks" / "results" / "sequences" / "sequences.json"
ENCODERS = ("mean", "din", "target_attention", "transformer")
LENGTHS = (50, 100, 200)
#: How far a library's AUC may lie below the best one's and still count as having learned.
BAND = 0.03
PARTS = ("libraries", "encoders", "lengths")
#: What is told of a run, the median over rounds.
NUMBERS = ("samples_per_second", "step_ms", "best_step_ms", "cpu_ms", "peak_memory_mib", "ctr_auc")
#: DeepCTR's masks need Keras 2; waiting threads of PyTorch's shall not spin.
KERAS_2, PASSIVE = {"TF_USE_LEGACY_KERAS": "1"}, {"OMP_WAIT_POLICY": "PASSIVE"}


def middle(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the median over rounds of each number, and how many rounds there were."""
    found = {
        name: round(statistics.median(run[name] for run in runs), 4)
        for name in NUMBERS
        if name in runs[0]
    }
    return {**found, "rounds": len(runs)}


def in_turn(runs: Mapping[str, Callable[[], dict[str, Any]]], rounds: int) -> dict[str, Any]:
    """Measures several things `rounds` times, one after the other in each round."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return {name: middle(several) for name, several in found.items()}


def ours(*options: str) -> dict[str, Any]:
    """Measures our step."""
    return measure("ours", sys.executable, *options, subject="sequences")


def libraries(rounds: int, rivals: Path | None) -> dict[str, Any]:
    """Measures all of them, and checks that they learned.

    Raises:
        ValueError: if one did not: its speed would mean nothing.
    """
    python = rivals or environment()

    def rival(name: str, variables: dict[str, str]) -> dict[str, Any]:
        return measure(name, python, subject="sequences", variables=variables)

    runs = in_turn(
        {
            "idefn_tf": ours,
            "idefn_tf_target_attention": lambda: ours("--encoder", "target_attention"),
            "deepctr": lambda: rival("deepctr", KERAS_2),
            "torch_rechub": lambda: rival("rechub", PASSIVE),
        },
        rounds,
    )
    best = max(run["ctr_auc"] for run in runs.values())
    behind = {
        name: run["ctr_auc"] for name, run in runs.items() if not run["ctr_auc"] > best - BAND
    }
    return {"libraries": {"runs": runs, "times": times(runs), "behind_in_auc": behind}}


def times(runs: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Returns how many times a rival's speed ours is, by the wall's clock and the processor's."""
    mine = [name for name in runs if name.startswith("idefn_tf")]
    return {
        clock: {
            name: {
                rival: round(runs[rival][key] / runs[name][key], 2)
                for rival in runs
                if rival not in mine
            }
            for name in mine
        }
        for clock, key in (("wall", "step_ms"), ("processor", "cpu_ms"))
    }


def by_encoder(rounds: int) -> dict[str, Any]:
    """Measures our step with each encoder."""
    runs = {name: partial(ours, "--encoder", name) for name in ENCODERS}
    return {"encoders": in_turn(runs, rounds)}


def by_length(rounds: int) -> dict[str, Any]:
    """Measures our step as the padded length grows and the mean stays."""
    runs = {str(k): partial(ours, "--length", str(k), "--not-judged") for k in LENGTHS}
    found = in_turn(runs, rounds)
    first, last = (found[str(length)] for length in (LENGTHS[0], LENGTHS[-1]))
    ratio = {key: round(last[key] / first[key], 2) for key in ("step_ms", "best_step_ms", "cpu_ms")}
    return {"lengths": {"runs": found, "longest_over_shortest": ratio}}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("benchmarks.sequences", __doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--rivals", type=Path, help="Python of an environment with the rivals")
    given = parser.parse_args(arguments)
    old = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    result = {
        **old,
        "command": "python -m benchmarks.sequences",
        "task": {
            "ids": sum(rows.SIZES.values()),
            "dimension": rows.WIDTH,
            "length": rows.LENGTH,
            "mean_events": rows.MEAN,
            "units": list(rows.UNITS),
            "towers": list(rows.TOWERS),
            "batch": rows.BATCH,
            "optimizer": f"Adam {rows.RATE}",
            "threads": 2,
            "seed": 0,
            "keras_steps_per_execution": STEPS_PER_EXECUTION,
            "rows": rows.BATCH * rows.STRETCH * rows.STRETCHES,
            "band_of_auc": BAND,
        },
    }
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "libraries": lambda: libraries(given.rounds, given.rivals),
        "encoders": lambda: by_encoder(given.rounds),
        "lengths": lambda: by_length(given.rounds),
    }
    for part in given.parts:
        result |= measures[part]()
        result.setdefault("machine", {})[part] = machine_facts()
        result.setdefault("code", {})[part] = code_fingerprint("idefn_tf/encoders", *CODE)
        write_json(RESULT, result)
        write_text(RESULT.with_suffix(".md"), page(result))
        if part == "libraries" and result["libraries"]["behind_in_auc"]:
            raise ValueError(
                f"gate: AUCs must lie within {BAND} of the best, received "
                f"{result['libraries']['behind_in_auc']}; speeds of models that do not learn "
                "alike are not compared."
            )
    print(f"wrote {RESULT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
