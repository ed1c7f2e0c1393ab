"""How fast and in how much memory Ali-CCP's raw files become prepared rows.

``python -m benchmarks.preparation``                  0.5 and 2 million made exposures
``python -m benchmarks.preparation --millions 42``    the size of the data set's train part
``python -m benchmarks.preparation --before CHECKOUT ... --millions .4 4 --kuairand FOLDER``
                                                       beside earlier releases, in turns

Makes raw files (benchmarks/preparation/raw_rows.py), prepares them with the command of the README
in a process of its own, checks that no row was lost, and writes rows per second and the peak of
that process' memory. Sizes already in the result file stay in it unless measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.machine import ROOT, machine_facts
from benchmarks.preparation import official_csvs, side_by_side
from benchmarks.preparation.raw_rows import Made, make
from benchmarks.preparation.report import as_markdown
from idefn_tf._files import write_json, write_text
from serving.common.command_line import command_parser

RESULT = ROOT / "benchmarks" / "results" / "preparation" / "preparation.json"
_PACKAGES = ("duckdb", "ibis-framework", "pyarrow", "numpy", "pyspark")
_TARGET = 42.0


def measure(
    millions: float, folder: Path, engine: str, threads: int, memory: str
) -> dict[str, Any]:
    """Makes, prepares and checks one size.

    Args:
        millions: million exposures, half of them train, half test.
        folder: where raw and prepared files go.
        engine: the engine's address.
        threads: its threads, and those that parse.
        memory: the most memory the engine may hold.

    Returns:
        The measurement.

    Raises:
        ValueError: if preparation failed or lost something.
    """
    raw, out = folder / "raw", folder / "prepared"
    begun = time.perf_counter()
    made = make(raw, round(millions * 1e6))
    print(f"made {made.bytes / 2**30:.2f} GiB in {time.perf_counter() - begun:.0f} s", flush=True)
    options = _options(raw, engine, threads, memory)
    found = _watched(ROOT, options, folder)
    _gate(found.pop("splits"), made)
    rows = sum(made.rows.values())
    sizes = [path.stat().st_size for path in out.rglob("*") if path.is_file()]
    return {
        "rows": rows,
        "engine": engine,
        "threads": threads,
        "engine_memory": memory,
        "raw_bytes": made.bytes,
        "prepared_bytes": sum(sizes),
        "rows_per_second": round(rows / found["seconds"]),
        **found,
        "made": made.as_json(),
        "load": [round(value, 1) for value in os.getloadavg()],
    }


def _options(raw: Path, engine: str, threads: int, memory: str) -> list[str]:
    options = ["ali-ccp", "--raw", str(raw), "--engine", engine, "--memory", memory]
    return [*options, "--threads", str(threads)]


def _watched(checkout: Path, options: Sequence[str], folder: Path) -> dict[str, Any]:
    """Prepares with a checkout's code.

    Returns:
        Its seconds, by stage too, processor time and peaks, and the counts of the parts.
    """
    out = folder / "prepared"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-P", "-m", "pipelines.prepare", *options, "--out", str(out)]
    path = {**os.environ, "PYTHONPATH": str(checkout)}
    begun = time.perf_counter()
    job = subprocess.Popen(command, cwd=checkout, env=path, stderr=subprocess.PIPE, text=True)
    peak, done = [0], threading.Event()
    watcher = threading.Thread(target=_watch_disk, args=(folder, peak, done))
    watcher.start()
    stages: list[tuple[str, float]] = []
    assert job.stderr is not None
    for line in job.stderr:
        print(line.rstrip(), flush=True)
        if line.startswith("does"):
            stages.append((" ".join(line.split()[1:3]), time.perf_counter() - begun))
    _, status, usage = os.wait4(job.pid, 0)
    seconds = time.perf_counter() - begun
    done.set()
    watcher.join()
    if status:
        raise ValueError(f"{' '.join(command)}: ended with status {status}")
    stages = [("starts and hashes the raw files", 0.0), *stages]
    ends = [at for _, at in stages[1:]] + [seconds]
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_memory_gib": round(usage.ru_maxrss / 2**20, 2),
        "peak_disk_gib": round(peak[0] / 2**30, 2),
        "seconds_by_stage": {
            name: round(end - start, 1) for (name, start), end in zip(stages, ends, strict=True)
        },
        "splits": json.loads((out / "card.json").read_text(encoding="utf-8"))["splits"],
    }


def _watch_disk(folder: Path, peak: list[int], done: threading.Event) -> None:
    """Keeps the most bytes that temporary and prepared files took, looked at every second."""
    while not done.wait(1.0):
        total = 0
        for parent, _, files in os.walk(folder):
            if Path(parent).name == "raw":
                continue
            for name in files:
                try:
                    total += os.stat(os.path.join(parent, name)).st_size
                except FileNotFoundError:
                    continue
        peak[0] = max(peak[0], total)


def _gate(parts: dict[str, Any], made: Made) -> None:
    found = {
        "train": parts["train"]["rows"] + parts["validation"]["rows"],
        "test": parts["test"]["rows"],
        **{k: sum(part[k] for part in parts.values()) for k in ("clicks", "conversions", "probes")},
    }
    expected = {
        **made.rows,
        "clicks": made.clicks,
        "conversions": made.conversions,
        "probes": made.probes,
    }
    if found != expected:
        raise ValueError(f"gate: prepared rows hold {found}, the raw files {expected}")


def extrapolate(runs: Sequence[dict[str, Any]], millions: float = _TARGET) -> dict[str, Any]:
    """Says what the two largest runs of one engine let expect of another size, on a line."""
    small, large = sorted(runs, key=lambda run: run["rows"])[-2:]
    slope = (large["seconds"] - small["seconds"]) / (large["rows"] - small["rows"])
    seconds = large["seconds"] + slope * (millions * 1e6 - large["rows"])
    return {
        "rows": round(millions * 1e6),
        "seconds": round(seconds),
        "rows_per_second": round(millions * 1e6 / seconds),
        "from_rows": [small["rows"], large["rows"]],
        "note": "a line through two measured sizes, not a measurement; reading the common records "
        "for every slice of rows grows faster than the rows and is not in it",
    }


def _write(out: Path, found: dict[str, Any]) -> None:
    write_json(out, found)
    write_text(out.with_suffix(".md"), as_markdown(found))


def _beside(given: argparse.Namespace, found: dict[str, Any], millions: float | None) -> None:
    """Measures a size of Ali-CCP, or KuaiRand, beside earlier releases; adds it to the results."""
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        folder = Path(temporary)
        raw = folder / "raw"
        if millions is None:
            official_csvs.make(given.kuairand, raw, given.copies)
            options = ["kuairand-pure", "--raw", str(raw), "--memory", given.memory]
            options += ["--threads", str(given.threads)]
        else:
            make(raw, round(millions * 1e6))
            options = _options(raw, given.engine, given.threads, given.memory)
        befores = [path.resolve() for path in given.before]
        run = side_by_side.compare(befores, options, folder, given.rounds, _watched)
    run = {"data_set": options[0], **run}
    kept = [
        old
        for old in found.get("side_by_side", ())
        if any(old[key] != run[key] for key in ("data_set", "rows"))
    ]
    found["side_by_side"] = sorted([*kept, run], key=lambda one: (one["data_set"], one["rows"]))
    print(json.dumps(run["now_over"]), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = command_parser("benchmarks.preparation", __doc__)
    parser.add_argument("--millions", type=float, nargs="*", default=[0.5, 2.0])
    parser.add_argument("--engine", default="duckdb")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="2GB", help="the engine's memory")
    parser.add_argument("--folder", type=Path, help="work here (default: a temporary folder)")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument(
        "--before", type=Path, nargs="+", help="releases to compare with, each a working tree"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of --before (default: 3)")
    parser.add_argument("--kuairand", type=Path, help="KuaiRand-Pure's files, for --before")
    parser.add_argument("--copies", type=int, default=7, help="of each of its rows (default: 7)")
    given = parser.parse_args(arguments)
    found: dict[str, Any] = {"runs": []}
    if given.out.is_file():
        found = json.loads(given.out.read_text(encoding="utf-8"))
    for millions in [*given.millions, *([None] if given.kuairand else [])] if given.before else ():
        _beside(given, found, millions)
        found["machine_of_side_by_side"] = machine_facts(_PACKAGES)
        found.setdefault("machine", found["machine_of_side_by_side"])
        found.setdefault("command", "python -m benchmarks.preparation")
        _write(given.out, found)
    for millions in () if given.before else given.millions:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            run = measure(millions, Path(folder), given.engine, given.threads, given.memory)
        same = ("rows", "engine", "threads", "engine_memory")
        kept = [old for old in found["runs"] if any(old[key] != run[key] for key in same)]
        found["runs"] = sorted([*kept, run], key=lambda run: (run["engine"], run["rows"]))
        found["machine"] = machine_facts(_PACKAGES)
        found["command"] = "python -m benchmarks.preparation"
        runs = [old for old in found["runs"] if all(old[key] == run[key] for key in same[1:])]
        found.pop("extrapolated", None)
        if len(runs) > 1 and max(old["rows"] for old in runs) < _TARGET * 1e6:
            found["extrapolated"] = extrapolate(runs)
        _write(given.out, found)
        shown = ("rows", "seconds", "rows_per_second", "peak_memory_gib", "peak_disk_gib")
        print(", ".join(f"{key} {run[key]:,}" for key in shown), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
