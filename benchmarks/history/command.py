"""What history costs in preparation: the same simulated exposures with it and without.

``python -m benchmarks.history``                  0.1 and 1 million exposures
``python -m benchmarks.history --millions 10``    ten million
``... --before CHECKOUT``                         beside an earlier release, without history

Simulates exposures once a size, prepares them without history and with five aggregates over three
windows of four keys and the last 50 clicks, each in a process of its own; checks that no row was
lost and that a sample of rows holds what a loop over the raw rows counts. Sizes already in the
result file stay in it unless measured again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.common.machine import machine_facts
from benchmarks.history.report import as_markdown
from benchmarks.history.schemas import with_history, without_history
from idefn_tf._files import write_json, write_text
from idefn_tf.schema import Schema
from pipelines.datasets.simulated_funnel.funnel_world import Options
from pipelines.datasets.simulated_funnel.simulated_funnel import simulate
from pipelines.preparation.prepared_folder import Prepared
from serving.common.command_line import command_parser

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "history" / "history.json"
_PACKAGES = ("duckdb", "ibis-framework", "pyarrow", "numpy", "pandas")
_DAY = 86_400_000
_SAMPLE = 20


def measure(
    millions: float, folder: Path, memory: str, before: Path | None = None
) -> dict[str, Any]:
    """Simulates, prepares both ways and checks one size.

    Args:
        millions: million exposures.
        folder: where raw and prepared files go.
        memory: the most memory the engine may hold.
        before: a working tree of an earlier release, which prepares without history, too.

    Raises:
        ValueError: if preparation failed, or lost or miscounted something.
    """
    rows = round(millions * 1e6)
    raw = folder / "raw"
    simulate(raw, Options(exposures=rows, preset="easy", seed=1))
    found: dict[str, Any] = {"rows": rows, "engine_memory": memory}
    ways = {"before": (without_history(), before or ROOT)} if before else {}
    ways |= {"without": (without_history(), ROOT), "with": (with_history(), ROOT)}
    for name, (schema, checkout) in ways.items():
        schema.save(folder / f"{name}.yaml")
        out = folder / name
        command = [sys.executable, "-m", "pipelines.prepare", "simulated-funnel", "--raw", str(raw)]
        command += ["--exposures", str(rows), "--preset", "easy", "--seed", "1", "--quiet"]
        command += ["--schema", str(folder / f"{name}.yaml"), "--out", str(out)]
        found[name] = _watched([*command, "--memory", memory], checkout)
        sizes = [path.stat().st_size for path in out.rglob("*") if path.is_file()]
        found[name]["prepared_bytes"] = sum(sizes)
    _gate(raw, Prepared(folder / "without"), Prepared(folder / "with"), with_history())
    found["times"] = round(found["with"]["seconds"] / found["without"]["seconds"], 2)
    if before:
        found["before"]["release"] = before.name
    return found


def _watched(command: Sequence[str], checkout: Path) -> dict[str, Any]:
    """Runs a command in a checkout; returns seconds, processor time, peak of memory, and load."""
    load = os.getloadavg()[0]
    begun = time.perf_counter()
    job = subprocess.Popen(command, cwd=checkout)
    _, status, usage = os.wait4(job.pid, 0)
    seconds = time.perf_counter() - begun
    if status:
        raise ValueError(f"{' '.join(command)}: ended with status {status}")
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_memory_gib": round(usage.ru_maxrss / 2**20, 2),
        "load": round(load, 1),
    }


def _gate(raw: Path, plain: Prepared, rich: Prepared, schema: Schema) -> None:
    """Compares numbers of rows, and counts of some rows with a loop over the raw ones."""
    rows = {part: plain.card["splits"][part]["rows"] for part in plain.parts}
    found = {part: rich.card["splits"][part]["rows"] for part in rich.parts}
    if found != rows:
        raise ValueError(f"gate: prepared rows must be {rows}, received {found}")
    columns = ["exposure_id", "user_id", "time_ms", "click"]
    log = pq.read_table(sorted(raw.glob("exposures-*.parquet")), columns=columns)
    user, at, click = (log[name].to_numpy() for name in columns[1:])
    test = rich.table("test")
    for place in np.random.default_rng(0).integers(0, test.num_rows, _SAMPLE):
        row = test.slice(int(place), 1).to_pydict()
        own = int(row["row_id"][0])
        seen = (user == user[own]) & (at < at[own])
        day = seen & (at >= at[own] - _DAY)
        want = [seen.sum(), day.sum(), (day & (click == 1)).sum()]
        names = ["exposure_count__all", "exposure_count__1d", "click_count__1d"]
        got = [row[f"user_id__{name}"][0] for name in names]
        if got != want:
            raise ValueError(f"gate: row {own} must count {want}, received {got}")
    if (
        set(schema.generated)
        - set(test.column_names)
        - {f"clicks__{part}" for part in ("item_id", "item_category", "gap")}
    ):
        raise ValueError(f"gate: rows must hold {sorted(schema.generated)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = command_parser("benchmarks.history", __doc__)
    parser.add_argument("--millions", type=float, nargs="*", default=[0.1, 1.0])
    parser.add_argument("--memory", default="2GB", help="the engine's memory")
    parser.add_argument("--folder", type=Path, help="work here (default: a temporary folder)")
    parser.add_argument(
        "--before", type=Path, metavar="CHECKOUT", help="a release to prepare with, too"
    )
    parser.add_argument("--rivals", metavar="FILE", type=Path, help="takes in rivals' numbers")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args(arguments)
    found: dict[str, Any] = {"runs": []}
    if given.out.is_file():
        found = json.loads(given.out.read_text(encoding="utf-8"))
    for millions in given.millions:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            before = given.before.resolve() if given.before else None
            run = measure(millions, Path(folder), given.memory, before)
        kept = [old for old in found["runs"] if old["rows"] != run["rows"]]
        found["runs"] = sorted([*kept, run], key=lambda run: run["rows"])
        print(json.dumps(run), flush=True)
    if given.millions:
        found["machine"] = machine_facts(_PACKAGES)
    if given.rivals is not None:
        found["rivals"] = json.loads(given.rivals.read_text(encoding="utf-8"))
    found["command"] = "python -m benchmarks.history"
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(given.out, found)
    write_text(given.out.with_suffix(".md"), as_markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
