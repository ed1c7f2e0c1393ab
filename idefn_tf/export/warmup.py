"""Warm-up: writes the requests that a server runs before a version answers, and checks them.

The first run of a signature plans its graph, which takes many times the usual time. A record that
fails makes the server refuse the version, so every record is run before publication. The rows
are made ones: no real user travels with a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.export.scorer import Scorer
from idefn_tf.export.serving_protos import message_class
from idefn_tf.export.signatures import (
    CLASSIFY,
    DEFAULT,
    EXAMPLES,
    REGRESS,
    WITH_HISTORY,
    recorded,
    serving_inputs,
)
from idefn_tf.export.tf_examples import to_examples
from idefn_tf.export.warmup_records import FILE, MOST_RECORDS, parse_record, read_records
from idefn_tf.schema import Schema

#: Rows of the requests to `serving_default`, in turn.
_SIZES = (1, 1, 8, 1, 32, 1, 128)
_EXAMPLE_SIZES = (1, 8)


def write(
    folder: Path,
    arrays: Mapping[str, np.ndarray],
    schema: Schema,
    name: str,
    looked_up: bool = False,
) -> int:
    """Writes warm-up records into a version.

    Args:
        folder: the version's folder.
        arrays: made requests, see `replay.edge_rows`.
        schema: of the raw features.
        name: the served model's name.
        looked_up: whether the version looks history up, so that requests need none.

    Returns:
        How many records were written.
    """
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    asked = recorded(schema) if looked_up else schema
    records = [*_records(arrays, asked, name), *_with_history(arrays, schema, name)]
    if len(records) > MOST_RECORDS:
        raise ValueError(f"records: must be at most {MOST_RECORDS}, received {len(records)}")
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record.SerializeToString())
    return len(records)


def check(folder: Path, scorer: Scorer) -> int:
    """Runs every record of a version as a server does.

    Returns:
        How many records were run.

    Raises:
        ValueError: if a record fails; a server would refuse the version.
    """
    count = 0
    for count, data in enumerate(read_records(folder), start=1):
        request = parse_record(data)
        if request is None:
            continue
        try:
            scorer.run(request.inputs(("inputs",)), request.signature)
        except (tf.errors.OpError, ValueError) as error:
            raise ValueError(
                f"warm-up: record {count} ({request.signature}) fails, so a server would refuse "
                f"the version; {error}"
            ) from error
    return count


def _records(arrays: Mapping[str, np.ndarray], schema: Schema, name: str) -> Iterator[Any]:
    log, at, total = message_class("PredictionLog"), 0, len(next(iter(arrays.values())))
    arrays = {key: arrays[key] for key in serving_inputs(schema)}
    for size in _SIZES:
        rows = {key: _take(values, at, size) for key, values in arrays.items()}
        yield log(predict_log={"request": _predict(name, DEFAULT, rows)})
        at = (at + size) % total
    for size in _EXAMPLE_SIZES:
        rows = {key: _take(values, at, size) for key, values in arrays.items()}
        examples = to_examples(schema, rows)
        inputs = {"inputs": np.asarray(examples, object)}
        yield log(predict_log={"request": _predict(name, EXAMPLES, inputs)})
        for field, signature in (("classify_log", CLASSIFY), ("regress_log", REGRESS)):
            request = {
                "model_spec": {"name": name, "signature_name": signature},
                "input": {"example_list": {"examples": examples}},
            }
            yield log(**{field: {"request": request}})


def _with_history(arrays: Mapping[str, np.ndarray], schema: Schema, name: str) -> Iterator[Any]:
    for size in _EXAMPLE_SIZES if schema.generated else ():
        rows = {key: _take(values, 0, size) for key, values in arrays.items()}
        request = _predict(name, WITH_HISTORY, rows)
        yield message_class("PredictionLog")(predict_log={"request": request})


def _take(values: np.ndarray, start: int, size: int) -> np.ndarray:
    return values[np.arange(start, start + size) % len(values)]


def _predict(name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> Any:
    tensors = {key: tf.make_tensor_proto(v).SerializeToString() for key, v in inputs.items()}
    spec = {"name": name, "signature_name": signature}
    return message_class("PredictRequest")(model_spec=spec, inputs=tensors)
