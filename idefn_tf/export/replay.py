"""Replay: the same rows through Python and through the exported graph must score the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from idefn_tf.data import list_columns
from idefn_tf.data.arrow_to_numpy import to_arrays
from idefn_tf.data.files import Source, read_table
from idefn_tf.export.scorer import Arrays, Scorer
from idefn_tf.export.signatures import (
    AT,
    CALIBRATED,
    CLASSIFY,
    DEFAULT,
    EXAMPLES,
    REGRESS,
    SCORES,
    WITH_HISTORY,
    recorded,
    serving_schema,
    stand_ins,
)
from idefn_tf.export.tf_examples import to_examples
from idefn_tf.history.event_log import read_features
from idefn_tf.history.snapshot import Snapshot
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Schema

if TYPE_CHECKING:
    from idefn_tf.calibration import Calibrator

#: Largest difference between Python's scores and the exported graph's.
TOLERANCE = 1e-6
_EXAMPLES = 32


def request_arrays(schema: Schema, rows: Source) -> Arrays:
    """Returns a table's rows as requests carry them: train-only features left out.

    Of a behaviour sequence with too many events the newest are kept, as a client keeps them.
    """
    return to_arrays(serving_schema(schema), read_table(rows, schema), labels=False)


def python_scores(
    model: EntireSpaceModel,
    schema: Schema,
    arrays: Mapping[str, np.ndarray],
    calibrator: Calibrator | None = None,
    batch_size: int = 1024,
) -> Arrays:
    """Scores requests with the Python model, train-only features at their serving value.

    Empty lists are written out as training reads them, so that a graph which takes them for
    something else is found out.

    Args:
        model: the trained model.
        schema: of its raw features.
        arrays: what `request_arrays` gives.
        calibrator: a fitted one adds "cvr_calibrated".
        batch_size: rows a batch.

    Returns:
        By output name, float32 [rows].
    """
    rows = len(next(iter(arrays.values())))
    given = dict(arrays)
    for feature in serving_schema(schema).features:
        if feature.multi_valued:
            list_columns.fill_empty(feature, given)
    features = {**given, **{k: v.numpy() for k, v in stand_ins(schema, rows).items()}}
    dataset = tf.data.Dataset.from_tensor_slices(features).batch(batch_size)
    scores = {k: np.asarray(v) for k, v in model.predict(dataset, verbose=0).items()}
    if calibrator is not None:
        scores[CALIBRATED] = calibrator.transform(scores["cvr"]).astype(np.float32)
    return scores


def looked_up_arrays(
    schema: Schema, snapshot: Snapshot, arrays: Mapping[str, np.ndarray]
) -> Arrays:
    """Returns rows with the history of a snapshot in place of their own, without its tables."""
    keys = {name: arrays[name] for name in read_features(schema)}
    made = pa.table(snapshot.columns(schema, keys))
    generated = tuple(f for f in schema.features if f.name in schema.generated)
    of_history = schema.model_copy(update={"features": generated})
    return {**arrays, **to_arrays(of_history, made, labels=False)}


def concatenate(parts: Sequence[Mapping[str, np.ndarray]]) -> Arrays:
    """Puts rows under rows."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def check(
    scorer: Scorer,
    expected: Mapping[str, np.ndarray],
    arrays: Mapping[str, np.ndarray],
    schema: Schema,
    calibrator: Calibrator | None = None,
    tolerance: float = TOLERANCE,
    looked_up: Mapping[str, np.ndarray] | None = None,
    as_of: int | None = None,
) -> dict[str, Any]:
    """Replays rows through every signature of an exported version.

    Args:
        scorer: the version.
        expected: what `python_scores` gives for the rows.
        arrays: the rows.
        schema: of the raw features.
        calibrator: the fitted one behind "cvr_calibrated".
        tolerance: largest absolute difference allowed.
        looked_up: what `python_scores` gives for the rows with the history of a snapshot, where the
            version holds one.
        as_of: of that snapshot.

    Returns:
        {"rows", "tolerance", "largest_difference": {output: value}}.

    Raises:
        ValueError: if a score is not finite, or differs by more, naming output and row.
    """
    rows = len(next(iter(arrays.values())))
    if schema.generated:
        sent = scorer.score(arrays, signature=WITH_HISTORY)
        for name in SCORES:
            _compare(WITH_HISTORY, name, sent, expected, tolerance)
    if looked_up is not None:
        expected, schema = looked_up, recorded(schema)
        arrays = {name: arrays[name] for name in scorer.inputs()}
    exported = scorer.score(arrays)
    worst = {name: _compare(DEFAULT, name, exported, expected, tolerance) for name in SCORES}
    if as_of is not None and AT in scorer.signatures:
        told = scorer.score({**arrays, AT: np.full(rows, as_of, np.int64)}, signature=AT)
        for name in SCORES:
            _compare(AT, name, told, expected, tolerance)
    if calibrator is not None:
        # compared at the exported cvr: a steep step would magnify the last digits of another one
        truth = {CALIBRATED: calibrator.transform(exported["cvr"])}
        worst[CALIBRATED] = _compare(DEFAULT, CALIBRATED, exported, truth, tolerance)
    few = {name: values[:_EXAMPLES] for name, values in arrays.items()}
    single = scorer.run({name: values[:1] for name, values in few.items()})
    for name in worst:
        _compare(f"{DEFAULT}, one row,", name, single, {name: exported[name][:1]}, tolerance)
    _check_examples(scorer, few, exported, schema, tolerance)
    return {"rows": rows, "tolerance": tolerance, "largest_difference": worst}


def _check_examples(
    scorer: Scorer, few: Arrays, exported: Arrays, schema: Schema, tolerance: float
) -> None:
    inputs = {"inputs": np.asarray(to_examples(schema, few), object)}
    rows = len(inputs["inputs"])
    truth = {name: values[:rows] for name, values in exported.items()}
    found = scorer.run(inputs, EXAMPLES)
    classified = scorer.run(inputs, CLASSIFY)
    names = [name.decode() for name in classified["classes"][0]]
    columns = {name: classified["scores"][:, i] for i, name in enumerate(names)}
    for name in truth:
        _compare(EXAMPLES, name, found, truth, tolerance)
        _compare(CLASSIFY, name, columns, truth, tolerance)
    regressed = {"cvr": scorer.run(inputs, REGRESS)["outputs"]}
    _compare(REGRESS, "cvr", regressed, truth, tolerance)


def _compare(
    where: str,
    name: str,
    found: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    tolerance: float,
) -> float:
    if not len(truth[name]):
        return 0.0
    if not np.isfinite(truth[name]).all():
        row = int(np.argmin(np.isfinite(truth[name])))
        raise ValueError(
            f"model: {name} of replayed row {row} is {truth[name][row]}; a model whose scores are "
            "not finite cannot be exported: look at its training"
        )
    difference = np.abs(found[name].astype(np.float64) - truth[name])
    row = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
    if not difference[row] <= tolerance:
        raise ValueError(
            f"export: {where} gives {name} = {found[name][row]:.9g} for replayed row {row}, where "
            f"{truth[name][row]:.9g} is right; the difference must be at most {tolerance:g}. "
            "Nothing was published."
        )
    return float(difference[row])
