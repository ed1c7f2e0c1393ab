"""How quick is the embedded server: against the model called in process, and against KServe.

    python -m benchmarks.serving                                # all parts but kserve
    python -m benchmarks.serving --parts rows kserve --kserve OTHER_ENV/bin/python
    python -m benchmarks.serving --model-base runs/demo/models/cvr --model cvr

Parts, each of a minute or two; what a run measures is put into the result beside what is there:

floor      the signature called in process: as a function, as a session's callable, and stacked
columns    the server, requests in columns: 1 to 500 rows a request, 1 to 32 clients, closed loop
rows       the same, requests in rows
kserve     KServe's Python server with the same model, requests in rows (all it knows)
unbatched  one row a request, without batching
reload     one row at a fixed rate, undisturbed and while new versions load
memory     the server's memory over 100,000 requests
versions   the server's memory with one to five versions of a model

Server, load and (in a reload) loader share the cores this process may use; the load average of
other work is recorded.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.machine import code_fingerprint, machine_facts
from benchmarks.serving.parts import Parts, newest
from benchmarks.serving.processes import ROOT
from benchmarks.serving.report import targets, write_page
from idefn_tf._files import write_json
from serving.common.command_line import command_parser

PACKAGES = ("tensorflow", "numpy", "uvicorn", "httptools", "uvloop", "orjson", "python-rapidjson")
PARTS = ("floor", "columns", "rows", "unbatched", "reload", "memory", "versions", "kserve")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("benchmarks.serving", __doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=None, help="what to measure")
    parser.add_argument("--model", default="cvr", help="the model's name")
    parser.add_argument("--model-base", type=Path, help="its folder; without it one is made up")
    parser.add_argument("--seconds", type=float, default=4.0, help="per measurement")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 16, 32])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 10, 100, 500])
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second at reload")
    parser.add_argument("--requests", type=int, default=100_000, help="of the part memory")
    parser.add_argument("--kserve", help="a Python with kserve and tensorflow installed")
    parser.add_argument("--note", default="", help="said in the result: what else was going on")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks/results/serving/serving.json"
    )
    return parser


def _model(options: argparse.Namespace, base: Path) -> str:
    """Puts the model into a folder of the benchmark's own; returns what it is."""
    if options.model_base is None:
        from benchmarks.serving import saved_model

        saved_model.write(base / "1")
        return "made up: 20 integer features, 3 outputs"
    number = newest(options.model_base)
    shutil.copytree(options.model_base / str(number), base / str(number))
    return "an export of pipelines.export"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, writes the result, and shows whether the aims are met."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(given)
    names = options.parts or [name for name in PARTS if name != "kserve" or options.kserve]
    if "kserve" in names and not options.kserve:
        _parser().error("--parts kserve needs --kserve PYTHON")
    result: dict[str, Any] = {}
    if options.out.is_file():
        result = json.loads(options.out.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = folder / "models" / options.model
        kind = _model(options, base)
        if result.get("model", kind) != kind:
            _parser().error(f"--out: {options.out} holds another model's result; name another file")
        result["model"] = kind
        parts = Parts(options, base, folder)
        for name in names:
            before = machine_facts(PACKAGES)
            found = parts.names[name]()
            result.setdefault("parts", {})[name] = {
                "machine": before,
                "code": code_fingerprint("serving"),
                "seconds": options.seconds,
                "note": options.note,
                "load_after": machine_facts(())["load"],
                "found": found,
            }
            result["targets"] = targets(result["parts"])
            _write(options.out, result)
    for name, target in result["targets"].items():
        sys.stdout.write(f"{'met' if target['met'] else 'MISSED'}: {name}: {target['measured']}\n")
    return 0


def _write(path: Path, result: dict[str, Any]) -> None:
    write_json(path, result)
    write_page(path.with_suffix(".md"), result)


if __name__ == "__main__":
    sys.exit(main())
