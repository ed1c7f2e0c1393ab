"""The whole way in one command: prepare, train, evaluate, export, serve, ask once.

    python -m pipelines.run --out runs/demo [--raw DIR] [--methods esmm all_negative idefn]
    python -m pipelines.run --out runs/mine --raw FILE --schema schema.yaml

Without --raw the exposures come from the funnel simulator; with it they are KuaiRand-Pure's, or
your own table's where --schema says what its columns are (python -m pipelines.schema infer).
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from idefn_tf.schema import Schema, strict_yaml
from pipelines.cli import console as consoles
from pipelines.cli.arguments import job_parser
from pipelines.cli.console import Console
from pipelines.cli.folder_owner import one_owner
from pipelines.datasets.registry import SCHEMAS, prepare
from pipelines.datasets.simulated_funnel import simulated_funnel
from pipelines.datasets.simulated_funnel.funnel_world import Options
from pipelines.experiment.config import Config
from pipelines.experiment.run_folder import Run
from pipelines.export import export
from pipelines.preparation.job import Settings
from pipelines.preparation.object_store import on_disk
from pipelines.preparation.prepared_folder import Prepared
from pipelines.report import REPORT, report
from pipelines.train import train

ROOT = Path(__file__).resolve().parent
#: Of the simulated users: their leanings are told by what they did before alone.
TASTE = 4.0
#: A sixth fewer than the simulator draws by default, for history takes time to train, too.
EXPOSURES = 100_000
DEMO_METHODS = ("esmm", "all_negative", "idefn")
#: The method whose model is exported and served: what docs/does-the-transport-help.md found to
#: serve best until more data say otherwise.
SERVED = "all_negative"
#: The reader of every family of configs.
READERS = {"simulated": "simulated_funnel", "kuairand": "kuairand_pure", "table": "table"}


@one_owner("run")
def run(
    out: Path,
    raw: Path | None,
    methods: Sequence[str],
    overrides: Sequence[str],
    console: Console,
    schema: Path | None = None,
    serve: str | None = None,
) -> None:
    """Runs every step and prints what came out and where it lies.

    Args:
        out: folder for everything.
        raw: KuaiRand-Pure's folder, or a table where `schema` is given; None simulates.
        methods: what is trained.
        overrides: of every method's config, as KEY=VALUE.
        console: says what is done.
        schema: what the table's columns are.
        serve: the method that is exported and served; `SERVED` if it is trained, else the last.

    Raises:
        ValueError: if a schema is given without raw rows, `serve` is not trained, or a step fails.
    """
    started = time.monotonic()
    on_disk(out, "--out")
    served = serve or (SERVED if SERVED in methods else methods[-1])
    if served not in methods:
        raise ValueError(f"--serve: must be of --methods {list(methods)}, received {served!r}")
    if schema is not None and raw is None:
        raise ValueError("--schema: says what the columns of --raw are; give --raw too")
    family = "simulated" if raw is None else "kuairand" if schema is None else "table"
    configs = {
        method: Config.load(ROOT / "configs" / family / f"{method}.yaml", overrides)
        for method in methods
    }
    if raw is None:
        raw = out / "raw"
        simulated_funnel.simulate(raw, Options(exposures=EXPOSURES, taste=TASTE), console)
        columns: Schema | None = _demo_schema()
    else:
        columns = None if schema is None else Schema.load(schema)
    trained = any(Run(out / method).begun for method in methods)
    data = prepare(
        READERS[family], raw, out / "data", schema=columns, console=console,
        settings=Settings(replace=not trained),
    )  # fmt: skip
    runs = {}
    for method, config in configs.items():
        console.step(f"trains {method}")
        runs[method] = train(config, data.root, out / method, console)
    base = out / "models" / "cvr"
    export(runs[served].root, base, console, rows=data.root / "test")
    folders = [finished.root for finished in runs.values()]
    for folder in folders:
        report(folder, console, data=data.root, compare=folders)
    answer = _ask_once(base, data, console)
    _summary(runs, console)
    _tell_of_better(runs, served, console)
    console.note(f"one REST prediction: {json.dumps(answer)}")
    page = runs[served].root / REPORT
    for path in (out / "data", *folders, base, page):
        console.wrote(path)
    console.step(f"finished in {time.monotonic() - started:.0f} seconds")


def _demo_schema() -> Schema:
    """The simulator's schema with aggregates alone: sequences add .001, for twice the time."""
    value = strict_yaml.read(SCHEMAS / "simulated_funnel_history.yaml").value
    return Schema.parse({key: value[key] for key in value if key != "sequences"})


def _ask_once(base: Path, data: Prepared, console: Console) -> Any:
    from serving.client import Client

    with embedded_server("cvr", base) as url:
        console.step(f"asks {url}/v1/models/cvr:predict")
        client = Client(url, "cvr", data.schema)
        return client.predict(data.table("test").slice(0, 1).to_pandas())


@contextlib.contextmanager
def embedded_server(name: str, base: Path, timeout: float = 120.0) -> Iterator[str]:
    """Starts `python -m serving.server` on a free port and yields its URL; stops it after.

    Raises:
        OSError: if the server does not open its port in time; its last words are quoted.
    """
    command = [
        sys.executable,
        "-m",
        "serving.server",
        "--model_name",
        name,
        "--model_base_path",
        str(base.resolve()),
        "--rest_api_port",
        "0",
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT.parent,
        stderr=subprocess.PIPE,
        text=True,
    )
    words: list[str] = []
    try:
        assert process.stderr is not None
        deadline = time.monotonic() + timeout
        for line in process.stderr:
            words.append(line.rstrip())
            found = re.search(r"HTTP/REST API at:.*:(\d+)", line)
            if found:
                yield f"http://127.0.0.1:{found.group(1)}"
                return
            if time.monotonic() > deadline:
                break
        raise OSError("serving.server did not start; it said: " + " | ".join(words[-5:]))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def _tell_of_better(runs: dict[str, Run], served: str, console: Console) -> None:
    """Says which method ranks best on validation where it is not the one that is served."""
    found = {
        method: finished.metrics().get("validation", {}).get("all_funnel", {}).get("cvr_auc")
        for method, finished in runs.items()
    }
    known = {method: value for method, value in found.items() if value is not None}
    best = max(known, key=lambda method: known[method], default=served)
    if served in known and known[best] > known[served]:
        console.note(
            f"{best} ranks best on validation (CVR AUC {known[best]:.4f}, {served} "
            f"{known[served]:.4f}); {served} is served: --serve {best} takes the other"
        )


def _summary(runs: dict[str, Run], console: Console) -> None:
    rows = []
    for method, finished in runs.items():
        test = finished.metrics().get("test", {})
        cells = [
            test.get(space, {}).get(metric)
            for space, metric in (
                ("all_raw", "cvr_auc"),
                ("all_funnel", "cvr_auc"),
                ("clicked", "cvr_auc"),
                ("unclicked_raw", "cvr_auc"),
                ("oracle", "cvr_auc"),
                ("all_funnel", "ctr_auc"),
                ("all_funnel", "ctcvr_auc"),
            )
        ]
        rows.append([method, *("-" if c is None else f"{c:.4f}" for c in cells)])
    console.table(
        "test AUC by space",
        (
            "method",
            "CVR all_raw",
            "CVR all_funnel",
            "CVR clicked",
            "CVR unclicked_raw",
            "CVR oracle",
            "CTR",
            "CTCVR",
        ),
        rows,
        loud=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = job_parser("run", __doc__, "overrides a key of every method's config")
    parser.add_argument("--out", default="runs/demo", type=Path, help="folder for everything")
    parser.add_argument(
        "--raw", type=Path, help="raw KuaiRand-Pure folder, or a table; default: simulator"
    )
    parser.add_argument("--schema", type=Path, help="what the columns of the table --raw are")
    parser.add_argument("--methods", nargs="+", default=list(DEMO_METHODS))
    parser.add_argument("--serve", help=f"the method to export and serve (default: {SERVED})")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)
    return consoles.run_job(
        lambda: run(
            given.out, given.raw, given.methods, given.set, console, given.schema, given.serve
        ),
        console,
    )


if __name__ == "__main__":
    raise SystemExit(main())
