"""Fits a calibrator on validation days and says on test days what it changed.

    python -m pipelines.calibrate --run RUN --data DIR --space clicked --method platt

The result is RUN/calibration.json; pipelines.export adds it to the SavedModel as `cvr_calibrated`.
Rows whose attribution window is open (`labels.immature: keep`) are left out, and said to be.
With --click-space the closed form between Eq. 15's optimum and the click-space CVR is measured too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from idefn_tf._files import write_json
from idefn_tf.calibration import CALIBRATORS, Calibrator, click_space_cvr
from idefn_tf.callbacks import read_history
from idefn_tf.data import to_arrays
from idefn_tf.evaluation.mature_rows import mature_rows, said
from idefn_tf.evaluation.row_weights import row_weights
from idefn_tf.evaluation.spaces import SELECTION_SPACES, select
from idefn_tf.export.run_files import CALIBRATION
from idefn_tf.metrics import exact_metrics
from idefn_tf.models import AllNegative, EntireSpaceModel
from pipelines.cli import console as consoles
from pipelines.cli.arguments import job_parser
from pipelines.cli.console import Console
from pipelines.cli.folder_owner import one_owner
from pipelines.cli.metric_table import legend
from pipelines.experiment.evaluation import predict
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

Arrays = dict[str, np.ndarray]


@one_owner("calibrate", "run")
def calibrate(
    run: Run,
    data: Prepared,
    space: str,
    method: str,
    console: Console,
    click_space: bool = False,
    whole_log: bool = False,
) -> dict[str, Any]:
    """Fits on validation, measures on test, and writes calibration.json.

    Args:
        run: a finished run.
        data: a prepared folder with validation; with test, to be reported.
        space: "clicked" (conversions per click) or "all_funnel" (conversions per exposure): the
            meaning that the calibrated value gets.
        method: "platt" or "isotonic".
        console: says what is done.
        click_space: whether to measure the closed form of Eq. 15 as well.
        whole_log: the rows are a log that kept all of them, although training's was down-sampled.

    Returns:
        What the file holds: calibrator, config, space, and a report of numbers by part.

    Raises:
        ValueError: if data or run do not fit, or `click_space` is asked of a method without alpha.
    """
    if method not in CALIBRATORS:
        raise ValueError(f"--method: must be one of {sorted(CALIBRATORS)}, received {method!r}")
    if "validation" not in data.parts:
        raise ValueError(f"--data: {data.place} has no part 'validation'; it has {data.parts}")
    calibrator = CALIBRATORS[method](space)
    model = run.load_model()
    console.reading("validation rows of", data.place)
    rows, scores = _score(model, data, "validation", whole_log, console)
    calibrator.fit_space(scores["cvr"], rows, rows["sample_weight"])

    form = closed_form(run, model) if click_space else None
    report = {"validation": _before_and_after(calibrator, form, rows, scores)}
    if "test" in data.parts:
        scored = _score(model, data, "test", whole_log, console)
        report["test"] = _before_and_after(calibrator, form, *scored)
    found = {
        "calibrator": method,
        "class": type(calibrator).__name__,
        "space": space,
        "config": calibrator.get_config(),
        "fitted_on": {
            "part": "validation",
            "fingerprint": data.card["fingerprint"],
            "rows": len(rows["click"]),
        },
        "click_space": form,
        "report": report,
    }
    write_json(run.root / CALIBRATION, found)
    return found


def closed_form(run: Run, model: EntireSpaceModel) -> dict[str, float]:
    """Returns alpha and q of a run of the Eq. 15 family.

    q, the share of unclicked rows labelled positive, is that of the selected epoch in the history;
    0 where the method labels none.

    Raises:
        ValueError: if the method has no alpha.
    """
    if not isinstance(model, AllNegative) or not hasattr(model, "alpha"):
        raise ValueError(
            f"--click-space: the closed form belongs to Eq. 15 (all_negative, idefn and its kin), "
            f"received {run.config().method!r}; use --space clicked instead"
        )
    best = ((run.load_state() or {}).get("select") or {}).get("best_epoch", -1)
    rate = 0.0
    if run.history_path.is_file():
        for row in read_history(run.history_path):
            if int(row["epoch"]) == best + 1:
                rate = float(row.get("pseudo_positive_rate") or 0.0)
    return {"alpha": float(model.alpha), "pseudo_positive_rate": rate}


def _score(
    model: EntireSpaceModel, data: Prepared, part: str, whole_log: bool, console: Console
) -> tuple[Arrays, Arrays]:
    table, left_out = mature_rows(data.schema, data.table(part))
    if left_out:
        console.note(f"{part}: {said(table.num_rows, left_out)}")
    arrays = to_arrays(data.schema, table)
    rows = {name: arrays[name] for name in ("click", "conversion")}
    rows["sample_weight"] = row_weights(data.schema, arrays, whole_log)
    scores = predict(model, data.schema, table)
    return rows, {name: np.asarray(value, np.float64).reshape(-1) for name, value in scores.items()}


def _before_and_after(
    calibrator: Calibrator, form: Mapping[str, float] | None, rows: Arrays, scores: Arrays
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Returns {space: {"before" | "calibrated" | "closed_form": {metric: value}}}."""
    columns = {"click": rows["click"], "conversion": rows["conversion"]}
    versions = {"before": scores["cvr"], "calibrated": calibrator.transform(scores["cvr"])}
    spaces = {calibrator.space: versions}
    if form is not None:
        recovered = click_space_cvr(
            scores["cvr"], scores["ctr"], form["alpha"], form["pseudo_positive_rate"]
        )
        clicked = {"before": scores["cvr"], "closed_form": np.asarray(recovered)}
        spaces["clicked"] = {**clicked, **spaces.get("clicked", {})}
    found = {}
    for space, values in spaces.items():
        mask, label = select(space, columns)
        weight = rows["sample_weight"][mask]
        found[space] = {
            name: _numbers(label[mask], score[mask], weight) for name, score in values.items()
        }
    return found


def _numbers(label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> dict[str, float | None]:
    functions = {
        "logloss": exact_metrics.log_loss,
        "pcoc": exact_metrics.pcoc,
        "ece": exact_metrics.ece,
        "auc": exact_metrics.auc,
    }
    values = {name: float(f(label, score, weight)) for name, f in functions.items()}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def show(found: Mapping[str, Any], console: Console) -> None:
    """Prints the numbers before and after."""
    names = ("logloss", "pcoc", "ece", "auc")
    rows = [
        [f"{part} {space}", version, *("" if v[n] is None else f"{v[n]:.5f}" for n in names)]
        for part, spaces in found["report"].items()
        for space, versions in spaces.items()
        for version, v in versions.items()
    ]
    title = f"{found['class']} for {found['space']}, fitted on validation"
    console.table(title, ("part and space", "cvr", *names), rows)
    for text in legend(names):
        console.note(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = job_parser("calibrate", __doc__)
    parser.add_argument("--run", required=True, help="a finished run's folder")
    parser.add_argument(
        "--data", required=True, help="the prepared folder (or s3://) of its training"
    )
    parser.add_argument("--space", choices=sorted(SELECTION_SPACES), default="clicked")
    parser.add_argument("--method", choices=sorted(CALIBRATORS), default="platt")
    parser.add_argument(
        "--click-space", action="store_true", help="measure the closed form of Eq. 15 too"
    )
    parser.add_argument(
        "--whole-log",
        action="store_true",
        help="the rows' log was not down-sampled, training's was",
    )
    given = parser.parse_args(arguments)
    console = Console(given.quiet)

    def job() -> int:
        run, data = Run.open(given.run), Prepared.open(given.data)
        options = (given.space, given.method, console, given.click_space, given.whole_log)
        found = calibrate(run, data, *options)
        show(found, console)
        console.wrote(run.root / CALIBRATION, "(pipelines.export adds cvr_calibrated)")
        return 0

    return consoles.run_job(job, console)


if __name__ == "__main__":
    raise SystemExit(main())
