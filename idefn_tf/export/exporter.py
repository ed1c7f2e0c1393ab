"""export_model: from a trained model to a published version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from idefn_tf.data.tables import Source
from idefn_tf.export import replay as replaying
from idefn_tf.export import versions
from idefn_tf.export.scorer import Scorer
from idefn_tf.export.signatures import ServingModule
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import Schema

if TYPE_CHECKING:
    from idefn_tf.calibration import Calibrator

#: Rows of `replay` that are compared, beside the made ones.
REPLAY_ROWS = 2048


def export_model(
    model: EntireSpaceModel,
    schema: Schema,
    model_base: str | Path,
    *,
    replay: Source | None = None,
    calibrator: Calibrator | None = None,
    approve: Callable[[Path], Mapping[str, Any] | None] | None = None,
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
        approve: is given the built folder before it is published; raises to refuse it.

    Returns:
        The version's path, ``<model_base>/<version>``.

    Raises:
        ValueError: if scores differ from Python's by more than 1e-6, or are not finite.
        OSError: if the version cannot be written.
    """
    with versions.building(model_base) as folder:
        module = ServingModule(model, schema, calibrator.to_layer() if calibrator else None)
        try:
            tf.saved_model.save(module, str(folder), signatures=module.trace(schema))
        except tf.errors.OpError as error:
            raise OSError(f"model_base: {model_base} cannot be written; {error.message}") from error
        arrays = replaying.edge_rows(schema, model.features.fields)
        if replay is not None:
            given = replaying.request_arrays(schema, replay)
            given = {name: values[:REPLAY_ROWS] for name, values in given.items()}
            arrays = replaying.concatenate([given, arrays])
        expected = replaying.python_scores(model, schema, arrays, calibrator)
        with Scorer(folder) as scorer:
            replaying.check(scorer, expected, arrays, schema, calibrator)
        if approve is not None:
            approve(folder)
        return versions.publish(folder, model_base)
