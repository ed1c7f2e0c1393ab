"""How fast a model trains through fit, beside DeepCTR and torch-rechub, and as the table grows.

``python -m benchmarks.training``                  everything, from nothing
``python -m benchmarks.training --parts growth``   one part; the others stay as they are
``python -m benchmarks.training --data DIR``       waiting for input on a prepared folder, too

The task is the same for all: an ESMM over 20 fields of 50,000 ids, dimension 16, towers 160-80,
batches of 2,048, Adam at 1e-3 without L2, two threads, the same rows in the same order. The two
on Keras take ten steps between returns to Python (`steps_per_execution`). Our second row has its
towers in bfloat16 and stands beside the comparison, not in it. Every library runs in a process of
its own. Speeds count only where all three learn: the gate compares
AUCs on held-out rows after the same rows. The rivals' environment (requirements/
benchmark-training.in) is made beside .venv at the first run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.machine import code_fingerprint, machine_facts
from benchmarks.training.report import page
from benchmarks.training.rows import (
    BATCH,
    FIELDS,
    RATE,
    STEPS_PER_EXECUTION,
    STRETCH,
    STRETCHES,
    TOWERS,
    WIDTH,
)
from idefn_tf._files import write_json, write_text
from serving.common.command_line import command_parser

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "training" / "training.json"
RIVALS = ROOT / ".venv-benchmarks-training"
TABLE_ROWS = 1_000_000
GROWTH = (10_000, 100_000, 1_000_000, 4_000_000, 10_000_000)
#: How far a library's AUC may lie below the best one's and still count as having learned.
BAND = 0.03
#: What a step is made of; each part of the result says which code it was measured with.
CODE = tuple(
    f"idefn_tf/{part}" for part in ("backbones", "data", "features", "models", "optimizers")
)
#: Our row in mixed precision.
BFLOAT16 = "idefn_tf_bfloat16"
PARTS = ("libraries", "growth", "input", "profile")


def environment() -> Path:
    """Makes the rivals' environment if it is not there, and returns its Python."""
    python = RIVALS / "bin" / "python"
    stamp, wanted = RIVALS / ".installed", str(ROOT / "requirements" / "benchmark-training.in")
    pins = Path(wanted).read_text(encoding="utf-8")
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == pins:
        return python
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    make = [uv, "venv", "-q", "--seed", "--allow-existing", "--python", sys.executable, str(RIVALS)]
    subprocess.run(make, check=True)
    fast = [uv, "pip", "install", "-q", "--torch-backend", "cpu", "--python", str(python)]
    if subprocess.run([*fast, "-r", wanted], check=False).returncode:
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", wanted], check=True)
    stamp.write_text(pins, encoding="utf-8")
    return python


def measure(
    library: str,
    python: str | Path,
    *options: str,
    threads: int = 2,
    subject: str = "training",
    variables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Runs one library's script in a process of its own and returns what it measured.

    Args:
        library: the script.
        python: of the environment to run it in.
        *options: of the script.
        threads: how many it takes.
        subject: the folder of the script.
        variables: of the process, beside this one's.

    Raises:
        RuntimeError: with the end of its output, if it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        module = f"benchmarks.{subject}.{library}"
        command = [str(python), "-m", module, "--threads", str(threads), "--out", str(out)]
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(
            [*command, *options],
            cwd=ROOT,
            env={**os.environ, **quiet, **(variables or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not out.is_file():
            raise RuntimeError(f"{module} failed:\n{done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    print(f"{library} {' '.join(options)}: {json.dumps(found)}", flush=True)
    return found


def libraries() -> dict[str, Any]:
    """Measures all three, one after the other, and checks that all learned.

    Raises:
        ValueError: if one did not: its speed would mean nothing.
    """
    rivals = environment()
    runs = {
        "idefn_tf": measure("ours", sys.executable),
        BFLOAT16: measure("ours", sys.executable, "--policy", "mixed_bfloat16"),
        "deepctr": measure("deepctr", rivals),
        "torch_rechub": measure("rechub", rivals),
        "torch_rechub_own_loader": measure("rechub", rivals, "--own-loader", "--stretches", "2"),
    }
    gate(runs)
    return {**speeds(runs), "runs": runs}


def speeds(runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns samples per second, and how many times a rival's ours are, in both precisions."""
    speed = {name: run["samples_per_second"] for name, run in runs.items()}
    rivals = [name for name in speed if not name.startswith("idefn_tf")]
    return {
        "samples_per_second": speed,
        "times": {name: round(speed["idefn_tf"] / speed[name], 2) for name in rivals},
        "times_in_bfloat16": {name: round(speed[BFLOAT16] / speed[name], 2) for name in rivals},
    }


def gate(runs: dict[str, dict[str, Any]]) -> None:
    """Raises ValueError unless every full run's AUCs lie within `BAND` of the best one's."""
    full = {name: run for name, run in runs.items() if not name.endswith("_own_loader")}
    for metric in ("ctr_auc", "ctcvr_auc"):
        best = max(run[metric] for run in full.values())
        behind = {n: run[metric] for n, run in full.items() if not run[metric] > best - BAND}
        if behind or not best > 0.6:
            raise ValueError(
                f"gate: {metric} must be above .6 and within {BAND} of the best, {best}, in every "
                f"library, received {behind or best}; speeds of models that do not learn alike "
                "are not compared."
            )


def growth() -> dict[str, Any]:
    """Measures our step as the table grows, everything else equal."""
    steps = {}
    for rows in GROWTH:
        options = ("--table-rows", str(rows), "--stretches", "3", "--not-judged")
        steps[str(rows)] = measure("ours", sys.executable, *options)
    step = {rows: run["step_ms"] for rows, run in steps.items()}
    return {
        "step_ms_by_table_rows": step,
        "step_at_4_million_rows_over_10_thousand": round(step["4000000"] / step["10000"], 2),
        "distinct_rows_per_batch": {rows: run["distinct_rows"] for rows, run in steps.items()},
    }


def waiting(data: str | None = None) -> dict[str, Any]:
    """Measures how long our step waits for its batch.

    Args:
        data: a prepared folder to be measured beside made rows.
    """
    options = () if data is None else ("--data", data)
    return {"input": measure("input", sys.executable, *options)}


def profile() -> dict[str, Any]:
    """Measures what our step consists of, in milliseconds of the wall by part."""
    options = ("--stretches", "3", "--not-judged", "--profile")
    return {"profile": measure("ours", sys.executable, *options)["profiler"]}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("benchmarks.training", __doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data", help="a prepared folder, for the part input")
    given = parser.parse_args(arguments)
    old = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    result = {
        **old,
        "command": "make benchmark-training",
        "task": {
            "model": "ESMM",
            "fields": FIELDS,
            "table_rows": TABLE_ROWS,
            "dimension": WIDTH,
            "towers": list(TOWERS),
            "batch": BATCH,
            "optimizer": f"Adam {RATE}",
            "threads": 2,
            "keras_steps_per_execution": STEPS_PER_EXECUTION,
            "rows": BATCH * STRETCH * STRETCHES,
            "band_of_auc": BAND,
        },
    }
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "libraries": libraries,
        "growth": growth,
        "input": lambda: waiting(given.data),
        "profile": profile,
    }
    for part in given.parts:
        result |= measures[part]()
        result.setdefault("machine", {})[part] = machine_facts()
        result.setdefault("code", {})[part] = code_fingerprint(*CODE)
        write_json(RESULT, result)
        write_text(RESULT.with_suffix(".md"), page(result))
    print(f"wrote {RESULT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
