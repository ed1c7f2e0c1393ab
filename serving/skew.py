"""Compares what Python and a server answer to the same rows, and those rows with training's.

    python -m serving.skew --run RUN --url http://127.0.0.1:8501 --data DAY.parquet

Status 1 if a score differs by more than 1e-6. Unknown and missing values are reported by feature
and compared with the data card of the run; with --fail-on-drift a drifted feature fails too.

With --history PREPARED_FOLDER Python computes the rows' history from that folder's events, as of
each row's time or --at TIME. History that the rows hold, as it was sent, is compared with it
(status 1 if it differs); rows without history are sent with it, or, where the served version looks
history up, without: --at is the snapshot's moment then.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf._files import write_json
from idefn_tf.data import read_table
from idefn_tf.evaluation.mature_rows import said
from idefn_tf.export.replay import TOLERANCE, python_scores, request_arrays
from idefn_tf.export.run_files import RunFiles, read_vocabularies
from idefn_tf.export.signatures import CALIBRATED
from idefn_tf.schema import Schema
from pipelines.cli import console as consoles
from pipelines.cli.arguments import add_quiet
from pipelines.cli.console import Console
from serving.client import Client, ServingError
from serving.common import drift, skew_of_history
from serving.common.command_line import command_parser
from serving.common.history_requests import HistoryFill

#: Exit status where a score differs, or, if asked for, a feature has drifted.
FAILED = 1


def check(
    run_dir: str | Path,
    client: Client,
    table: pa.Table,
    *,
    tolerance: float = TOLERANCE,
    limits: drift.Limits | None = None,
    history: HistoryFill | None = None,
) -> dict[str, Any]:
    """Sends rows through Python and through a server.

    Args:
        run_dir: the run whose model is served.
        client: of the server, with the run's schema.
        table: raw rows; labels are not needed.
        tolerance: largest absolute difference of a score.
        limits: of the drift report.
        history: computes the rows' history.

    Returns:
        {"rows", "skew": {"tolerance", "outputs", "failed"}, "rates": {feature: ...},
        "drift": {...}}, JSON-ready, and with `history`, where rows hold it, "history": {"columns",
        "failed"}.

    Raises:
        ValueError: if a row cannot be read as the schema says, or the server gives other outputs
            than the run.
        ServingError: if the server gives no scores.
    """
    run = RunFiles.open(run_dir)
    schema, calibrator = run.schema(), run.calibrator()
    sent, table, compared = skew_of_history.sides(schema, table, history, lambda: client.looks_up)
    arrays = request_arrays(schema, table)
    expected = python_scores(run.load_model(), schema, arrays)
    served = {k: np.asarray(v, np.float32) for k, v in client.predict(sent.to_pylist()).items()}
    if calibrator is not None and CALIBRATED in served:
        # at the served cvr: a steep step would magnify the last digits of another one
        expected[CALIBRATED] = calibrator.transform(served["cvr"]).astype(np.float32)
    if set(served) != set(expected):
        raise ValueError(
            f"url: the server gives {sorted(served)}, the run {sorted(expected)}; is another model "
            "served, or was the run calibrated after its export?"
        )
    vocabularies = read_vocabularies(run.vocabularies)
    mature, read, open_rows = drift.closed(table, arrays)
    rates = drift.describe(schema, mature, read, vocabularies)
    return {
        "rows": table.num_rows,
        "skew": _skew(expected, served, tolerance, table),
        **({} if compared is None else {"history": compared}),
        "rates": rates,
        "drift": drift.compare(schema, read, rates, run.card(), limits or drift.Limits())
        | {"rows": mature.num_rows, "open_rows": open_rows},
    }


def _skew(
    expected: Mapping[str, np.ndarray],
    served: Mapping[str, np.ndarray],
    tolerance: float,
    table: pa.Table,
) -> dict[str, Any]:
    outputs: dict[str, dict[str, Any]] = {}
    for name in sorted(expected):
        difference = np.abs(served[name].astype(np.float64) - expected[name])
        difference = np.where(np.isnan(difference), np.inf, difference)
        row = int(np.argmax(difference))
        outputs[name] = {
            "largest_difference": _finite(difference[row]),
            "rows_beyond": int(np.count_nonzero(difference > tolerance)),
            "worst_row": row,
            "python": _finite(expected[name][row]),
            "served": _finite(served[name][row]),
        }
    failed = sorted(name for name, found in outputs.items() if found["rows_beyond"])
    found: dict[str, Any] = {"tolerance": tolerance, "outputs": outputs, "failed": failed}
    if failed:
        worst = table.slice(outputs[failed[0]]["worst_row"], 1).to_pylist()[0]
        found["example"] = json.loads(json.dumps(worst, default=str))
    return found


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def show(report: Mapping[str, Any], console: Console) -> None:
    """Prints a report."""
    lines = [
        [name, "beyond" if found["largest_difference"] is None else
         f"{found['largest_difference']:.2e}", found["rows_beyond"], found["worst_row"]]
        for name, found in report["skew"]["outputs"].items()
    ]  # fmt: skip
    title = f"Python against the server, {report['rows']:,} rows"
    console.table(title, ("output", "largest difference", "rows beyond", "worst row"), lines)
    changes = report["drift"]["features"]
    rows = []
    for name, rates in report["rates"].items():
        moved = changes.get(name, {})
        rows.append(
            [name, _percent(rates["missing"]), _percent(rates["out_of_vocabulary"]),
             _number(moved.get("stability_index")), _number(moved.get("mean_shift")),
             "; ".join(report["drift"]["drifted"].get(name, []))]
        )  # fmt: skip
    counted = report["drift"]
    if counted["open_rows"]:
        console.note(f"drift: {said(counted['rows'], counted['open_rows'])}")
    columns = ("feature", "missing", "unknown", "PSI", "mean shift", "drift")
    console.table("features against the training data card", columns, rows)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _job(given: argparse.Namespace, console: Console) -> int:
    schema = Schema.load(RunFiles(Path(given.run)).schema_path, kept=True)
    console.reading("rows of", given.data)
    table = read_table(given.data, schema)
    table = table.slice(0, given.rows) if given.rows else table
    if not table.num_rows:
        raise ValueError(f"--data: {given.data} holds no row")
    limits = drift.Limits(given.max_psi, given.max_mean_shift)
    if given.at is not None and given.history is None:
        raise ValueError(f"--at: must stand beside --history, received {given.at!r} alone")
    history = None if given.history is None else HistoryFill(schema, given.history, given.at)
    try:
        with Client(
            given.url, given.model, schema, version=given.version, label=given.label,
            timeout=given.timeout,
        ) as client:  # fmt: skip
            console.step(f"asks {given.url} and Python")
            report = check(
                given.run, client, table, tolerance=given.tolerance, limits=limits, history=history
            )
    except ServingError as error:
        raise OSError(f"--url: {error}") from error
    show(report, console)
    if given.json == "-":
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    elif given.json:
        write_json(Path(given.json), report)
        console.wrote(given.json)
    for name in report["skew"]["failed"]:
        found = report["skew"]["outputs"][name]
        console.error(
            f"{name}: {found['rows_beyond']} of {report['rows']} rows differ by more than "
            f"{given.tolerance:g}; row {found['worst_row']} is {found['python']} in Python and "
            f"{found['served']} served"
        )
    for name, reasons in report["drift"]["drifted"].items():
        console.warn(f"{name} drifted: {'; '.join(reasons)}")
    told = report.get("history", {"columns": {}, "failed": []})
    for name in told["failed"]:
        found = told["columns"][name]
        console.error(
            f"{name}: {found['rows_beyond']} of {report['rows']} rows were sent other history than "
            f"Python computes; row {found['worst_row']} is {found['python']} in Python and "
            f"{found['sent']} sent"
        )
    drifted = bool(report["drift"]["drifted"]) and given.fail_on_drift
    return FAILED if report["skew"]["failed"] or told["failed"] or drifted else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0; 1 if scores or sent history differ, or a feature drifted and --fail-on-drift was given; 2
        after an error.
    """
    limits = drift.Limits()
    made = command_parser("serving.skew", __doc__)
    made.add_argument("--run", required=True, help="the run whose model is served")
    made.add_argument(
        "--url", default="http://127.0.0.1:8501", help="REST address; or grpc://host:8500"
    )
    made.add_argument("--model", default="cvr", help="the model's name")
    made.add_argument("--data", required=True, help="rows: Parquet or CSV, a file or a folder")
    made.add_argument("--rows", type=int, default=10_000, help="at most; 0 for all")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, help="ask this version")
    which.add_argument("--label", help="ask the version with this label")
    made.add_argument("--history", help="prepared folder whose events give the rows' history")
    made.add_argument(
        "--at", metavar="TIME", help="with --history: as of then, not each row's time"
    )
    made.add_argument("--timeout", type=float, default=30.0, help="seconds for an answer")
    made.add_argument("--tolerance", type=float, default=TOLERANCE, help="of a score")
    made.add_argument("--max-psi", type=float, default=limits.stability_index)
    made.add_argument("--max-mean-shift", type=float, default=limits.mean_shift)
    made.add_argument("--fail-on-drift", action="store_true", help="a drifted feature is a failure")
    made.add_argument("--json", help="write the report to a file; - for standard output")
    add_quiet(made)
    given = made.parse_args(arguments)
    console = Console(given.quiet)
    return consoles.run_job(lambda: _job(given, console), console)


if __name__ == "__main__":
    sys.exit(main())
