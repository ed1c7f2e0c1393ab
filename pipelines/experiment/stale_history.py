"""What an old snapshot costs: a run's test rows with their own history, and with a snapshot's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf.evaluation.spaces import select
from idefn_tf.export.replay import looked_up_arrays, python_scores, request_arrays
from idefn_tf.history import event_log, kept_history
from idefn_tf.history.as_of import last_refresh, units
from idefn_tf.history.snapshot import shown, take_snapshot
from idefn_tf.metrics import exact_metrics
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema.labels import CLICK, CONVERSION, EXPOSURE_TIME
from pipelines.experiment.event_sources import read_logs
from pipelines.experiment.history_snapshot import SnapshotOptions
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

#: Test rows that are scored at most, drawn.
MOST = 100_000
_SEED = 0


def both_ways(
    run: Run, model: EntireSpaceModel, data: Prepared, options: SnapshotOptions
) -> dict[str, Any] | None:
    """Scores test rows with their own history, and with a snapshot as of where the part begins.

    Args:
        run: the run.
        model: its model.
        data: the prepared data that it was trained on.
        options: of the snapshot that is exported; its moment is not used.

    Returns:
        {"as_of", "rows", "age_hours", "own": {space: {"cvr_auc", "cvr_pcoc"}}, "snapshot": ...},
        the age being the rows' mean; None where there are no test rows with a time.
    """
    schema = run.schema()
    if "test" not in data.parts:
        return None
    table = data.table("test")
    if EXPOSURE_TIME not in table.column_names or not table.num_rows:
        return None
    times = table.column(EXPOSURE_TIME).to_numpy()
    moment = last_refresh(schema, int(times.min()))
    if table.num_rows > MOST:
        drawn = np.random.default_rng(_SEED).choice(table.num_rows, MOST, replace=False)
        table, times = table.take(pa.array(np.sort(drawn))), times[np.sort(drawn)]
    logs = [kept_history.read_events(data.place, schema), *read_logs(schema, options.events)]
    priors = kept_history.read_priors(run.vocabularies)
    snapshot = take_snapshot(
        schema, event_log.joined(logs), priors, moment=moment, min_events=options.min_events
    )
    arrays = request_arrays(schema, table)
    labels = {name: table.column(name).to_numpy() for name in (CLICK, CONVERSION)}
    labels[CONVERSION] = labels[CLICK] * labels[CONVERSION]
    age = (times - moment).mean() / (3600 * units(schema.labels))
    return {
        "as_of": shown(moment, schema),
        "rows": table.num_rows,
        "age_hours": round(float(age), 2),
        "own": _metrics(model, run, arrays, labels),
        "snapshot": _metrics(model, run, looked_up_arrays(schema, snapshot, arrays), labels),
    }


def sentence(found: dict[str, Any]) -> str:
    """Says in a line what the snapshot costs."""
    own, old = (found[way]["all_funnel"] for way in ("own", "snapshot"))
    return (
        f"on {found['rows']:,} test rows, {found['age_hours']:.0f} hours after a snapshot in the "
        f"mean: CVR AUC {_number(own['cvr_auc'])} with their own history, "
        f"{_number(old['cvr_auc'])} with the snapshot's; PCOC {_number(own['cvr_pcoc'])} and "
        f"{_number(old['cvr_pcoc'])}"
    )


def _metrics(
    model: EntireSpaceModel, run: Run, arrays: dict[str, np.ndarray], labels: dict[str, np.ndarray]
) -> dict[str, dict[str, float | None]]:
    scores = python_scores(model, run.schema(), arrays)["cvr"].reshape(-1)
    made: dict[str, dict[str, float | None]] = {}
    for space in ("all_funnel", "clicked"):
        mask, label = select(space, labels)
        given = label[mask], scores[mask]
        made[space] = {
            "cvr_auc": _finite(exact_metrics.auc(*given)),
            "cvr_pcoc": _finite(exact_metrics.pcoc(*given)),
        }
    return made


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
