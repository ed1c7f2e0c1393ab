"""ONNX Runtime beside TensorFlow's session, one model in two formats: latency, memory, size.

    python -m benchmarks.serving.onnx_runtime [--seconds 3] [--rounds 3] [--onnx-python PYTHON]

The model (28 features, a million ids, three layers) is exported in both formats, so the packages of
requirements/onnx-export.in must be there. Each format runs in processes of its own, by turns: the
SavedModel as the embedded server runs it, ONNX in an environment of requirements/onnx.lock, which
is made in a temporary folder unless one is given. Rows are arrays already; text is bytes for
TensorFlow and str for ONNX Runtime, as each takes it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from serving.common.command_line import command_parser

ROOT = Path(__file__).resolve().parents[2]
ROWS = (1, 100, 1000)
IDS = 250_000
#: What scoring needs beside a runtime, the same for both.
SHARED = ("numpy", "protobuf", "pydantic", "PyYAML", "orjson", "requests", "pyarrow", "pandas")
RUNTIMES = {"saved-model": "tensorflow", "onnx": "onnxruntime"}


def make(folder: Path) -> dict[str, Path]:
    """Exports the model in both formats and writes rows for them; returns the versions."""
    from idefn_tf.backbones import MLP
    from idefn_tf.export import export_model
    from idefn_tf.export.corner_cases import edge_rows
    from idefn_tf.features import FeatureColumns
    from idefn_tf.models import ESMM
    from idefn_tf.schema import Schema

    def feature(name: str, kind: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "dtype": "int64", "side": "user", "kind": kind, **more}

    schema = Schema.parse(
        {
            "name": "onnx_benchmark",
            "labels": {"click": "click", "conversion": "conversion"},
            "embedding_width": 16,
            "features": [
                *(feature(f"id_{i}", "identity", num_buckets=IDS) for i in range(3)),
                *(feature(f"small_{i}", "vocabulary") for i in range(9)),
                *(feature(f"sparse_{i}", "vocabulary") for i in range(4)),
                *(feature(f"text_{i}", "vocabulary", dtype="string") for i in range(3)),
                *(feature(f"number_{i}", "numeric", dtype="float32") for i in range(8)),
                feature("tags", "vocabulary", max_length=10),
            ],
        }
    )  # fmt: skip
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {f"small_{i}": list(range(100)) for i in range(9)}
    values["tags"] = list(range(1000))
    values |= {f"text_{i}": [f"word {n}" for n in range(1000)] for i in range(3)}
    for i in range(4):
        values[f"sparse_{i}"] = [int(v) for v in np.unique(rng.integers(0, 2**60, IDS // 4))]
    vocabularies = {name: {"values": found} for name, found in values.items()}
    features = FeatureColumns.from_schema(schema, vocabularies, embedding_stddev=0.1)
    model = ESMM(features, MLP((256, 128, 64)))
    rows = edge_rows(schema, features.fields, max(ROWS))
    text = {k: v.astype(bytes) for k, v in rows.items() if v.dtype == object}
    texts = {k: np.char.decode(v, "utf-8") for k, v in text.items()}
    np.savez(folder / "rows.npz", **rows | texts)
    return {name: export_model(model, schema, folder / name, format=name) for name in RUNTIMES}


def runner(name: str, version: Path) -> Callable[[dict[str, np.ndarray]], Any]:
    """Loads a version; returns what runs it."""
    if name == "onnx":
        from idefn_tf.export.onnx.onnx_scorer import OnnxScorer

        return OnnxScorer(version).run
    import tensorflow as tf

    from serving.server.runtime.servable import Servable

    config = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=-1)
    return Servable("cvr", 1, version, session_config=config).find("").run


def child(name: str, version: Path, rows: Path, seconds: float) -> dict[str, Any]:
    """Measures one format in this process."""
    found: dict[str, Any] = {}
    begun = time.perf_counter()
    run = runner(name, version)
    found["load_seconds"] = time.perf_counter() - begun
    found["loaded_mib"] = _memory("VmRSS")
    arrays = dict(np.load(rows))
    for key, values in arrays.items():
        if values.dtype.kind == "U":
            text = values.astype(object)
            arrays[key] = np.char.encode(values, "utf-8").astype(object) if name != "onnx" else text
    for size in ROWS:
        part = {key: values[:size] for key, values in arrays.items()}
        for _ in range(20):
            run(part)
        taken, end = [], time.perf_counter() + seconds
        while (at := time.perf_counter()) < end:
            run(part)
            taken.append(time.perf_counter() - at)
        found[f"p50_ms_{size}"] = 1000 * statistics.median(taken)
        found[f"p99_ms_{size}"] = 1000 * float(np.quantile(taken, 0.99))
    found["after_runs_mib"], found["peak_mib"] = _memory("VmRSS"), _memory("VmHWM")
    return found


def _memory(field: str) -> float:
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def installed_mib(roots: tuple[str, ...]) -> float:
    """Returns the size on disk of distributions and of what they require, in this environment."""
    from packaging.requirements import Requirement

    seen: set[str] = set()
    queue, total = [root.lower() for root in roots], 0
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of another system
        paths = [Path(str(package.locate_file(file))) for file in package.files or ()]
        total += sum(
            path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file()
        )
        for line in package.requires or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                queue.append(wanted.name.lower())
    return total / 2**20


def bare_environment(folder: Path) -> str:
    """Makes an environment of requirements/onnx.lock; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    lock = str(ROOT / "requirements" / "onnx.lock")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", lock], check=True)
    return python


def measure(seconds: float, rounds: int, onnx_python: str | None) -> dict[str, Any]:
    """Measures both formats by turns; returns medians over rounds."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        versions = make(folder)
        pythons = {
            "saved-model": sys.executable,
            "onnx": onnx_python or bare_environment(folder / "env"),
        }

        def ask(name: str, *more: str) -> Any:
            command = [pythons[name], "-m", "benchmarks.serving.onnx_runtime", "--child", name]
            done = subprocess.run([*command, *more], stdout=subprocess.PIPE, check=True, cwd=ROOT)
            return json.loads(done.stdout.splitlines()[-1])

        turns: dict[str, list[dict[str, float]]] = {name: [] for name in versions}
        for _ in range(rounds):
            for name, version in versions.items():
                turns[name].append(
                    ask(name, str(version), str(folder / "rows.npz"), f"--seconds={seconds}")
                )
        return {
            name: {key: round(statistics.median(t[key] for t in found), 3) for key in found[0]}
            | {
                "version_mib": round(sum(f.stat().st_size for f in version.rglob("*")) / 2**20, 1),
                "environment_mib": round(ask(name, "--installed")["mib"], 1),
            }
            for (name, found), version in zip(turns.items(), versions.values(), strict=True)
        }


def main() -> int:
    """The command line."""
    parser = command_parser("benchmarks.serving.onnx_runtime", __doc__)
    parser.add_argument("files", nargs="*", type=Path, help="of a child: version and rows")
    parser.add_argument("--child", choices=tuple(RUNTIMES), help="measure one format here")
    parser.add_argument("--installed", action="store_true", help="of a child: sizes alone")
    parser.add_argument("--seconds", type=float, default=3.0, help="per measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--onnx-python", help="a Python of requirements/onnx.lock")
    parser.add_argument("--note", default="", help="said in the result: what else was going on")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks/results/serving/onnx_runtime.json"
    )
    given = parser.parse_args()
    if given.child:
        if given.installed:
            found: Any = {"mib": installed_mib((RUNTIMES[given.child], *SHARED))}
        else:
            found = child(given.child, given.files[0], given.files[1], given.seconds)
        print(json.dumps(found))
        return 0
    from benchmarks.common.machine import machine_facts
    from idefn_tf._files import write_json

    result = measure(given.seconds, given.rounds, given.onnx_python)
    facts = machine_facts(("tensorflow", "numpy", "onnxruntime"))
    write_json(given.out, {**result, "machine": facts, "note": given.note})
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
