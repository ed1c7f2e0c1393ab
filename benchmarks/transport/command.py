"""The transport against its rivals: time, marginal error and cost, one measure for all.

    python -m benchmarks.transport --ott-python PATH/TO/python

Every solver runs in a process of its own, shape after shape and from large epsilon to small, with
two threads. A process that stays silent for the time cap is ended, and its remaining cells say so.
OTT-JAX is run by another Python (``uv venv ott && uv pip install --python ott/bin/python
"jax[cpu]" ott-jax``), because its packages are not this project's.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.common.machine import ROOT, code_fingerprint, machine_facts
from benchmarks.transport import cells
from benchmarks.transport.report import markdown, plot
from idefn_tf._files import write_json, write_text
from serving.common.command_line import command_parser

#: name: (module, argument, Python to run it: "own" or "ott").
SOLVERS: dict[str, tuple[str, str, str]] = {
    "idefn_tf newton": ("benchmarks.transport.ours", "newton", "own"),
    "OTT lse": ("benchmarks.transport.ott", "lse", "ott"),
    "OTT kernel": ("benchmarks.transport.ott", "kernel", "ott"),
    "POT sinkhorn": ("benchmarks.transport.pot", "sinkhorn", "own"),
    "POT sinkhorn_log": ("benchmarks.transport.pot", "sinkhorn_log", "own"),
    "POT greenkhorn": ("benchmarks.transport.pot", "greenkhorn", "own"),
    "POT entropic_partial": ("benchmarks.transport.pot", "entropic_partial", "own"),
    "POT emd": ("benchmarks.transport.pot", "emd", "own"),
    "idefn_tf sinkhorn": ("benchmarks.transport.ours", "sinkhorn", "own"),
    "idefn_tf exact": ("benchmarks.transport.ours", "exact", "own"),
}
START_UP = 25.0
#: Seconds for all cells of one solver; those not named get as many as their small shapes need.
TOTAL = {"idefn_tf newton": 60.0, "OTT lse": 32.0, "OTT kernel": 26.0, "POT sinkhorn": 20.0}
OTHERS = 15.0


def run_solver(name: str, python: str, cap: float, total: float) -> list[dict[str, Any]]:
    """Runs one solver's process and returns its cells, those not reached included."""
    module, argument, _ = SOLVERS[name]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "2",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "POT_BACKEND_DISABLE_TENSORFLOW": "1",  # POT works on NumPy here; others load slowly
        "POT_BACKEND_DISABLE_PYTORCH": "1",
        "POT_BACKEND_DISABLE_JAX": "1",
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        [python, "-m", module, argument],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    lines: queue.Queue[str | None] = queue.Queue()
    errors: list[str] = []

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    def mind() -> None:
        assert process.stderr is not None
        errors.extend(process.stderr)

    threading.Thread(target=listen, daemon=True).start()
    threading.Thread(target=mind, daemon=True).start()
    found: list[dict[str, Any]] = []
    began, patience, reason = time.monotonic(), cap + START_UP, "ended"
    while True:
        left = min(patience, total - (time.monotonic() - began))
        try:
            line = lines.get(timeout=max(left, 0.01))
        except queue.Empty:
            over = left < patience
            reason = f"over {total:.0f} s for this solver" if over else f"over {cap:.0f} s"
            process.kill()
            break
        if line is None:
            last = [text for text in errors if text.strip()][-1:] or ["no message"]
            reason = "ended: " + last[0].strip()[:160]
            break
        if line.startswith("{"):  # POT also prints its warnings
            found.append({"solver": name, **json.loads(line)})
            patience = cap
    process.wait()
    known = {(c["rows"], c["columns"], c["epsilon"]) for c in found}
    epsilons = (0.0,) if name in ("POT emd", "idefn_tf exact") else cells.EPSILONS
    for rows, columns in cells.SHAPES:
        for epsilon in epsilons:
            if (rows, columns, epsilon) not in known:
                place = {"solver": name, "rows": rows, "columns": columns, "epsilon": epsilon}
                found.append({**place, "skipped": reason})
                reason = reason if "before" in reason else f"{reason} at a cell before"
    return found


def agreement() -> list[dict[str, Any]]:
    """Labels beside those of the exact plan; see `benchmarks.transport.agreement`."""
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.transport.agreement"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
    )
    return [json.loads(line) for line in answer.stdout.splitlines()]


def versions(ott_python: str | None) -> dict[str, str]:
    """Versions of the rivals."""
    found = {"POT": metadata.version("POT")}
    if ott_python:
        code = "from importlib.metadata import version as v; print(v('jax'), v('ott-jax'))"
        answer = subprocess.run(
            [ott_python, "-c", code], capture_output=True, text=True, check=True
        )
        found["jax"], found["ott-jax"] = answer.stdout.split()
    return found


def main() -> None:
    """The command line."""
    parser = command_parser("benchmarks.transport", __doc__)
    parser.add_argument("--ott-python", help="a Python with jax[cpu] and ott-jax")
    parser.add_argument("--solvers", nargs="*", default=list(SOLVERS))
    parser.add_argument("--cap", type=float, default=10.0, help="seconds for one cell")
    parser.add_argument("--patience", type=float, default=1.0, help="factor of every time limit")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/transport"))
    parser.add_argument("--add", action="store_true", help="measure --solvers anew, keep the rest")
    parser.add_argument("--agreement", action="store_true", help="with --add: the labels anew, too")
    parser.add_argument("--redraw", action="store_true", help="table and plot of what is there")
    given = parser.parse_args()
    if given.redraw:
        report(json.loads(given.out.with_suffix(".json").read_text(encoding="utf-8")), given.out)
        return
    found: dict[str, Any] = {
        "command": "python -m benchmarks.transport --ott-python PYTHON",
        "machine": machine_facts(),
        "rivals": versions(given.ott_python),
        "code": code_fingerprint("idefn_tf"),
        "kappa": cells.KAPPA,
        "stop": cells.STOP,
        "passes": cells.PASSES,
        "cap_seconds": given.cap,
        "total_seconds": {name: TOTAL.get(name, OTHERS) for name in SOLVERS},
        "patience": given.patience,
        "cells": [],
        "agreement": [],
    }
    if given.add:
        found = json.loads(given.out.with_suffix(".json").read_text(encoding="utf-8"))
        found["cells"] = [c for c in found["cells"] if c["solver"] not in given.solvers]
        again = [*given.solvers, *(["labels"] if given.agreement else [])]
        facts = {"code": code_fingerprint("idefn_tf"), "load": machine_facts()["load"]}
        found["later"] = {**found.get("later", {}), **dict.fromkeys(again, facts)}
    if given.agreement or not given.add:
        found["agreement"] = agreement()
        write_json(given.out.with_suffix(".json"), found)
    for name in given.solvers:
        python = sys.executable if SOLVERS[name][2] == "own" else given.ott_python
        if not python:
            continue
        total = TOTAL.get(name, OTHERS) * given.patience
        for cell in run_solver(name, python, given.cap * given.patience, total):
            found["cells"].append(cell)
            print({k: round(v, 4) if isinstance(v, float) else v for k, v in cell.items()})
        write_json(given.out.with_suffix(".json"), found)
    report(found, given.out)


def report(found: dict[str, Any], out: Path) -> None:
    """Writes the table and the plot, the solvers in one order whenever they were measured."""
    found["cells"].sort(key=lambda cell: list(SOLVERS).index(cell["solver"]))
    write_text(out.with_suffix(".md"), markdown(found))
    plot(found, out.with_suffix(".png"))


if __name__ == "__main__":
    main()
