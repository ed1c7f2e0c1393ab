"""export_model: from a trained model to a published version."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.data.files import Source
from idefn_tf.export import card, versions, warmup
from idefn_tf.export import replay as replaying
from idefn_tf.export.corner_cases import edge_rows
from idefn_tf.export.history_tables import HistoryTables
from idefn_tf.export.onnx import onnx_version
from idefn_tf.export.onnx.convertible import require_convertible
from idefn_tf.export.open_version import FORMATS, ONNX, SAVED_MODEL
from idefn_tf.export.scorer import Arrays, Scorer
from idefn_tf.export.signatures import ServingModule
from idefn_tf.history.snapshot import Snapshot
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Schema

if TYPE_CHECKING:
    from idefn_tf.calibration import Calibrator

#: Rows of `replay` that are compared, beside the made ones.
REPLAY_ROWS = 2048


@register("function")
def export_model(
    model: EntireSpaceModel,
    schema: Schema,
    model_base: str | Path,
    *,
    replay: Source | None = None,
    calibrator: Calibrator | None = None,
    snapshot: Snapshot | None = None,
    details: Mapping[str, Any] | None = None,
    approve: Callable[[Path], Mapping[str, Any] | None] | None = None,
    format: str = SAVED_MODEL,
) -> Path:
    """Writes a model as the next version of a served model, or nothing at all.

    The SavedModel takes raw feature values by name (see `idefn_tf.export.signatures`) and holds its
    vocabularies. It is built in a hidden folder beside the versions, replayed against Python, and
    then renamed.

    Args:
        model: a trained model.
        schema: of its raw features.
        model_base: the model's folder, `<model base>/<model name>`, that holds its versions.
        replay: rows to compare (the first 2,048), beside made ones that are always compared.
        calibrator: a fitted one adds the output "cvr_calibrated".
        snapshot: history to look up, so that requests need none (`idefn_tf.history.snapshot`).
        details: entries of the model card that the caller knows (data, metrics, config).
        approve: is given the built folder before it is published; raises to refuse it, and what it
            returns is the model card's "gate".
        format: "saved-model", or "onnx": the same inputs and outputs, replayed against the
            SavedModel, which is not kept. Needs the extra ``onnx``.

    Returns:
        The version's path, ``<model_base>/<version>``.

    Raises:
        ValueError: if scores differ from Python's by more than 1e-6, or are not finite, or the
            model has no form in the format.
        ImportError: if a package is missing for ONNX.
        OSError: if the version cannot be written.

    Example:
        >>> from idefn_tf.export import export_model, list_versions
        >>> from idefn_tf.models import AllNegative
        >>> model = AllNegative(features, MLP((4,)))
        >>> version = export_model(model, schema, "models/cvr")
        >>> version.name, list(list_versions("models/cvr"))
        ('1', [1])
    """
    if format not in FORMATS:
        raise ValueError(f"format: must be one of {list(FORMATS)}, received {format!r}")
    if format == ONNX:
        require_convertible(model.features)
    base = Path(model_base)
    made = edge_rows(schema, model.features.fields)
    arrays = _rows(schema, replay, made)
    layer = None if calibrator is None else calibrator.to_layer()
    with versions.building(base) as folder:
        saved = folder if format == SAVED_MODEL else folder / "saved_model"
        tables = None if snapshot is None else HistoryTables(schema, snapshot)
        module = ServingModule(model, schema, layer, tables)
        with _disk_errors(base):
            tf.saved_model.save(module, str(saved), signatures=module.trace(schema))
            warmup.write(saved, made, schema, base.resolve().name, snapshot is not None)
        expected = replaying.python_scores(model, schema, arrays, calibrator)
        found = None
        if snapshot is not None:
            filled = replaying.looked_up_arrays(schema, snapshot, arrays)
            found = replaying.python_scores(model, schema, filled, calibrator)
        with Scorer(saved) as scorer:
            moment = None if snapshot is None else snapshot.as_of
            checked = replaying.check(
                scorer, expected, arrays, schema, calibrator, looked_up=found, as_of=moment
            )
            checked["warmup_records"] = warmup.check(saved, scorer)
            described = card.describe(model, schema, scorer, details or {})
            if format == ONNX:
                described |= onnx_version.write(
                    folder, scorer, model, schema, calibrator, snapshot, arrays
                )
        if format == ONNX:
            shutil.rmtree(saved)
        described["format"], described["check"] = format, checked
        if snapshot is not None:
            described["snapshot"] = {**snapshot.describe(schema), **described.get("snapshot", {})}
        if calibrator is not None:
            described["calibrator"] = {type(calibrator).__name__: calibrator.get_config()}
        described["gate"] = approve(folder) if approve is not None else None
        card.write(folder, described, schema)
        return versions.publish(folder, base)


@contextlib.contextmanager
def _disk_errors(base: Path) -> Iterator[None]:
    """Turns TensorFlow's errors of writing into the OSError that they are."""
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(f"model_base: {base} cannot be written; {error.message}") from error


def _rows(schema: Schema, replay: Source | None, made: Arrays) -> Arrays:
    """Returns the rows to compare: the caller's first ones, then the made ones."""
    if replay is None:
        return made
    given = replaying.request_arrays(schema, replay)
    return replaying.concatenate([{k: v[:REPLAY_ROWS] for k, v in given.items()}, made])
