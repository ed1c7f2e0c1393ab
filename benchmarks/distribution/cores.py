"""How preparation and training grow with the cores of a machine.

``python -m benchmarks.distribution.cores``

Made Ali-CCP rows are prepared by DuckDB and by Spark (where PySpark is installed, requirements/
spark.in), and one ESMM is trained, each held to 1, 2, 4 ... cores; then as many training processes
as cores, one core each. The engines must count the same rows, clicks and conversions before a time
is kept, and the trainings' losses must agree.

Expected of two cores, before the first run: DuckDB 1.6 times the rows/s of one, for reading and
encoding are parallel and the start is not; Spark 1.3, of whose time half a minute is its start; one
process of training 1.4, for its matrix products alone are parallel; two processes .7, as
`benchmarks.distribution` found.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.machine import ROOT, machine_facts, machine_sentence
from benchmarks.distribution.command import compare, held, measure, prepare_simulated
from benchmarks.preparation.raw_rows import make
from idefn_tf._files import write_json, write_text
from serving.common.command_line import command_parser

RESULT = ROOT / "benchmarks" / "results" / "distribution" / "cores.json"
_PACKAGES = ("tensorflow", "keras", "duckdb", "pyspark", "pyarrow")


def prepare(raw: Path, out: Path, engine: str, cores: int) -> dict[str, Any]:
    """Prepares made Ali-CCP rows on some cores.

    Args:
        raw: the raw files.
        out: where prepared rows go.
        engine: "duckdb" or "spark".
        cores: that the process has.

    Returns:
        Seconds, rows a second, and the rows, clicks and conversions that were counted.
    """
    command = [*held(0, cores), sys.executable, "-m", "pipelines.prepare", "ali-ccp"]
    command += ["--raw", str(raw), "--out", str(out), "--engine", engine, "--quiet"]
    begun = time.perf_counter()
    subprocess.run([*command, "--threads", str(cores)], cwd=ROOT, check=True)
    seconds = time.perf_counter() - begun
    splits = json.loads((out / "card.json").read_text(encoding="utf-8"))["splits"].values()
    counted = {
        name: sum(part[name] for part in splits) for name in ("rows", "clicks", "conversions")
    }
    return {
        "what": f"preparation on {engine}",
        "cores": cores,
        "seconds": round(seconds, 1),
        "rows_per_second": round(counted["rows"] / seconds),
        "counted": counted,
    }


def train(data: Path, folder: Path, processes: int, cores: int) -> dict[str, Any]:
    """Trains with processes of some cores each; see `benchmarks.distribution.command.measure`."""
    run = measure(data, folder, processes, cores)
    kind = "one process" if processes == 1 else "a process a core"
    return {**run, "what": f"training, {kind}", "cores": processes * cores}


def grown(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds to every run how many times the rows a second of one core it has.

    Args:
        runs: {"what", "cores", "rows_per_second"}; training by several processes grows from that
            of one process.
    """
    alone = {run["what"]: run["rows_per_second"] for run in runs if run["cores"] == 1}
    alone["training, a process a core"] = alone.get("training, one process")
    return [{**run, "times": round(run["rows_per_second"] / alone[run["what"]], 2)} for run in runs]


def as_markdown(found: dict[str, Any]) -> str:
    """Writes the runs as a table, and the machine."""
    lines = [
        "# What further cores bring",
        "",
        f"{found['rows']:,} made Ali-CCP rows prepared, and ESMM (towers 160-80, batch 4,096) "
        f"trained on {found['exposures']:,} simulated exposures, held to so many cores.",
        "",
        "| what | cores | rows/s | times one core |",
        "|---|---:|---:|---:|",
        *(
            f"| {run['what']} | {run['cores']} | {run['rows_per_second']:,} | {run['times']:.2f} |"
            for run in found["runs"]
        ),
        "",
        f"{machine_sentence(found['machine'])} Load at the start: {found['load']}.",
        "",
        f"Command: `{found['command']}`",
    ]
    return "\n".join(lines) + "\n"


def _steps(most: int) -> list[int]:
    """1, 2, 4 ... up to the cores there are, and these."""
    return sorted({*(2**n for n in range(most.bit_length()) if 2**n <= most), most})


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = command_parser("benchmarks.distribution.cores", __doc__)
    parser.add_argument("--rows", type=int, default=400_000, help="to prepare (default: 400000)")
    parser.add_argument("--exposures", type=int, default=200_000, help="to train on")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args(arguments)
    steps, load = _steps(len(os.sched_getaffinity(0))), round(os.getloadavg()[0], 1)
    engines = ["duckdb", *(["spark"] if importlib.util.find_spec("pyspark") else [])]
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder / "raw", given.rows)
        for engine in engines:
            for cores in steps:
                out = folder / f"{engine}-{cores}"  # one that is there would be left as it is
                run = prepare(folder / "raw", out, engine, cores)
                if runs and run["counted"] != runs[0]["counted"]:
                    raise ValueError(f"gate: {run['counted']} of {engine}, {runs[0]['counted']}")
                runs.append(run)
                print(json.dumps(run), flush=True)
        data = prepare_simulated(folder, given.exposures)
        ways = [(1, cores) for cores in steps] + [(n, 1) for n in steps if n > 1]
        trained = [train(data, folder, processes, cores) for processes, cores in ways]
    for run in trained[1:]:
        compare(trained[0], run)
    found = {
        "rows": given.rows,
        "exposures": given.exposures,
        "runs": grown([*runs, *trained]),
        "load": load,
        "machine": machine_facts(_PACKAGES),
        "command": "python -m benchmarks.distribution.cores",
    }
    write_json(given.out, found)
    write_text(given.out.with_suffix(".md"), as_markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
