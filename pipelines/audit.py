"""Audits a run's pseudo-labels: epoch by epoch, and afresh on its best model.

    python -m pipelines.audit --run RUN [--data DIR] [--by FEATURE]

Without --data it reads what training left in RUN/audit.csv. With it, the best model relabels the
training rows once more, measured on recorded conversions of unclicked rows (probes), on the
simulator's potential conversions (oracle) where there are some, and on hidden clicks: clicks of
validation that the model does not see. The result is RUN/audit.json. Reports only: nothing of it
may flow into a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from idefn_tf._files import write_json
from idefn_tf.callbacks import read_history
from idefn_tf.data import to_arrays
from idefn_tf.evaluation.pseudo_label_audit import audit_labels, relabel_rows
from idefn_tf.evaluation.resampling import find_items
from idefn_tf.models import AllNegative
from idefn_tf.schema import Schema
from pipelines.cli import console as consoles
from pipelines.cli.arguments import job_parser
from pipelines.cli.console import Console
from pipelines.cli.metric_table import legend
from pipelines.experiment.audit_warnings import warnings_of
from pipelines.experiment.evaluation import predict, report_columns
from pipelines.experiment.hidden_clicks import WAYS, hidden_click_test
from pipelines.experiment.run_folder import Run
from pipelines.experiment.training_monitor import AUDIT_ROWS
from pipelines.preparation.prepared_folder import Prepared

AUDIT_CSV, AUDIT_JSON = "audit.csv", "audit.json"
#: At most this many values of a feature are shown as slices.
SLICES = 10
Arrays = dict[str, np.ndarray]


def read_epochs(run: Run) -> list[dict[str, float]]:
    """Reads audit.csv: one row an epoch, with `churn` = 1 - overlap added; [] where none was."""
    path = run.root / AUDIT_CSV
    if not path.is_file():
        return []
    rows = [{k: float(v) for k, v in row.items()} for row in read_history(path)]
    return [{**row, "churn": 1.0 - row["overlap"]} for row in rows]


def audit_model(
    run: Run,
    data: Prepared,
    features: Sequence[str] = (),
    spy_share: float = 0.2,
    rows: int = AUDIT_ROWS,
) -> dict[str, Any]:
    """Relabels training rows with the best model and measures the labels.

    Args:
        run: a finished run of a method that relabels.
        data: the prepared folder.
        features: also slice by these features' most frequent values.
        spy_share: of the validation clicks to be hidden.
        rows: at most so many training rows.

    Returns:
        {"probes": numbers, "oracle": numbers (simulated data only), "hidden_clicks": [one per way],
        "slices": [{"slice", "value", and numbers}]}.

    Raises:
        ValueError: if the run's method relabels nothing, or a feature is unknown.
    """
    model, config = run.load_model(), run.config()
    if not hasattr(model, "pseudo_labels") or type(model) is AllNegative:
        raise ValueError(
            f"--run: {run.root} is a run of {config.method!r}, which relabels nothing; audit one "
            "of idefn and its kin, or leave out --data"
        )
    schema, size = data.schema, config.training.batch_size
    arrays = to_arrays(schema, data.table("train").slice(0, rows))
    report = {k: v[:rows] for k, v in report_columns(data, "train").items()}
    relabelled, cvr = relabel_rows(model, arrays, size, config.training.seed)
    truths = {"probes": "conversion_raw", "oracle": "oracle_conversion"}
    found: dict[str, Any] = {
        name: audit_labels(relabelled, arrays["click"], report[column], cvr).as_dict()
        for name, column in truths.items()
        if column in report
    }
    truth = report.get("oracle_conversion", report.get("conversion_raw"))
    assigned = groups(schema, arrays, features)
    if truth is not None:
        found["slices"] = [
            {"slice": name, "value": value, **_slice(at, relabelled, arrays["click"], truth, cvr)}
            for name, values in assigned.items()
            for value, at in values.items()
        ]
    table = data.table("validation")
    ctr = np.asarray(predict(model, schema, table)["ctr"]).reshape(-1)
    held = to_arrays(schema, table)
    found["hidden_clicks"] = [
        hidden_click_test(model, held, ctr, size, spy_share, way) for way in WAYS
    ]
    return found


def groups(
    schema: Schema, arrays: Arrays, features: Sequence[str] = ()
) -> dict[str, dict[str, np.ndarray]]:
    """Assigns rows to slices.

    Users and items are cut by how often they occur here, each into three parts of about as many
    rows: whether a relabelling finds conversions or merely frequent users and items shows there.

    Args:
        schema: names the user key; the item's key is its side's column with most values.
        arrays: columns of the rows.
        features: names to slice by value as well.

    Returns:
        {slice's name: {value: boolean [rows]}}.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for what, key in (("user", schema.user_key), ("item", find_items(schema, arrays))):
        if key is None or key not in arrays:
            continue
        _, at, counts = np.unique(arrays[key], return_inverse=True, return_counts=True)
        often = counts[at]
        low, high = np.quantile(often, [1 / 3, 2 / 3])
        found[f"{what} by {key}'s exposures"] = {
            f"at most {low:g}": often <= low,
            f"{low:g} to {high:g}": (often > low) & (often <= high),
            f"above {high:g}": often > high,
        }
    for name in features:
        if name not in arrays or arrays[name].ndim != 1:
            known = sorted(f.name for f in schema.features if arrays[f.name].ndim == 1)
            raise ValueError(f"--by: must be one of {known}, received {name!r}")
        values, counts = np.unique(arrays[name], return_counts=True)
        top = values[np.argsort(-counts, kind="stable")[:SLICES]]
        found[name] = {
            v.decode() if isinstance(v, bytes) else str(v): arrays[name] == v for v in top
        }
    return found


def _slice(
    at: np.ndarray, relabelled: np.ndarray, click: np.ndarray, truth: np.ndarray, cvr: np.ndarray
) -> dict[str, Any]:
    numbers = audit_labels(relabelled[at], click[at], truth[at], cvr[at]).as_dict()
    keys = ("unclicked", "relabelled", "share", "true", "prevalence", "precision", "lift")
    return {key: numbers[key] for key in (*keys, "mean_cvr_unclicked")}


def write(run: Run, found: Mapping[str, Any]) -> Path:
    """Writes audit.json whole; numbers that are not defined become null."""
    path = run.root / AUDIT_JSON
    write_json(path, _json_safe(found))
    return path


def _json_safe(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _json_safe(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_safe(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def show(found: Mapping[str, Any], console: Console) -> None:
    """Prints what was found as tables, and warns."""
    shared = ("relabelled", "share", "precision", "lift", "mean_cvr_unclicked")
    if found["epochs"]:
        names = ("epoch", *shared, "churn")
        rows = [[_cell(n, row[n]) for n in names] for row in found["epochs"]]
        console.table("every epoch, on the training rows", names, rows, loud=True)
    best = found.get("best", {})
    judged = [[k, *(_cell(n, best[k][n]) for n in shared)] for k in best if k in TRUTHS]
    if judged:
        console.table("the best model", ("measured on", *shared), judged, loud=True)
    for name in TRUTHS:
        if name in best and best[name]["prevalence"] == 0:
            console.note(f"{name}: not measurable, no unclicked row has a recorded conversion")
    if best.get("hidden_clicks"):
        spied = ("way", "hidden", "converted", "relabelled", "found", "recall", "precision", "lift")
        rows = [[_cell(n, test[n]) for n in spied] for test in best["hidden_clicks"]]
        console.table("hidden clicks of validation", spied, rows, loud=True)
    if best.get("slices"):
        sliced = ("slice", "value", "unclicked", *shared)
        rows = [[_cell(n, part[n]) for n in sliced] for part in best["slices"]]
        console.table("slices of the training rows", sliced, rows, loud=True)
    if found["epochs"] or best:
        for text in legend(shared):
            console.note(text)
    for text in found["warnings"]:
        console.warn(text)


#: What the fresh audit's labels are measured on.
TRUTHS = ("probes", "oracle")


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return ""
    if name in ("epoch", "relabelled", "unclicked", "hidden", "converted", "found"):
        return f"{int(value):,}"
    return f"{value:.2f}" if name == "lift" else f"{value:.4f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = job_parser("audit", __doc__)
    parser.add_argument("--run", required=True, help="a finished run's folder")
    parser.add_argument("--data", help="the prepared folder (or s3://), for a fresh audit")
    parser.add_argument(
        "--by", action="append", default=[], metavar="FEATURE", help="also slice by its values"
    )
    parser.add_argument("--spy-share", type=float, default=0.2, help="of the clicks to hide")
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> int:
        run = Run.open(given.run)
        epochs = read_epochs(run)
        if not epochs and given.data is None:
            raise ValueError(
                f"--run: {run.root} has no {AUDIT_CSV}; give --data for a fresh audit, or train "
                "with training.audit=true"
            )
        found: dict[str, Any] = {"epochs": epochs, "warnings": warnings_of(epochs)}
        if given.data is not None:
            console.reading("prepared data", given.data)
            data = Prepared.open(given.data)
            found["best"] = audit_model(run, data, given.by, given.spy_share)
        show(found, console)
        console.wrote(write(run, found))
        return 0

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
