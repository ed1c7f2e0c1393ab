"""Warm-up records: requests that TensorFlow Serving replays before a version answers.

The first run of a signature plans its graph, which takes many times the usual time. A record that
fails makes the server refuse the version, so every record is replayed before publication. The rows
are made ones: no real user travels with a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.export.scorer import Arrays, Scorer
from idefn_tf.export.serving_protos import message_class
from idefn_tf.export.signatures import CLASSIFY, DEFAULT, EXAMPLES, REGRESS
from idefn_tf.export.tf_examples import to_examples
from idefn_tf.schema import Schema

#: Where the records lie in a version.
FILE = Path("assets.extra") / "tf_serving_warmup_requests"
#: More records than this make TensorFlow Serving refuse the version.
MOST_RECORDS = 1000
#: Rows of the requests to `serving_default`, in turn.
_SIZES = (1, 1, 8, 1, 32, 1, 128)
_EXAMPLE_SIZES = (1, 8)


def write(folder: Path, arrays: Mapping[str, np.ndarray], schema: Schema, name: str) -> int:
    """Writes warm-up records into a version.

    Args:
        folder: the version's folder.
        arrays: made requests, see `replay.edge_rows`.
        schema: of the raw features.
        name: the served model's name.

    Returns:
        How many records were written.
    """
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    records = list(_records(arrays, schema, name))
    if len(records) > MOST_RECORDS:
        raise ValueError(f"records: must be at most {MOST_RECORDS}, received {len(records)}")
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record.SerializeToString())
    return len(records)


def replay(folder: Path, scorer: Scorer) -> int:
    """Runs every record of a version as a server does.

    Returns:
        How many records were run.

    Raises:
        ValueError: if a record fails; a server would refuse the version.
    """
    log = message_class("PredictionLog")
    count = 0
    for count, data in enumerate(
        tf.data.TFRecordDataset(str(folder / FILE)).as_numpy_iterator(), start=1
    ):
        signature, inputs = _request(log.FromString(data))
        try:
            scorer.run(inputs, signature)
        except (tf.errors.OpError, ValueError) as error:
            raise ValueError(
                f"warm-up: record {count} ({signature}) fails, so a server would refuse the "
                f"version; {error}"
            ) from error
    return count


def _records(arrays: Mapping[str, np.ndarray], schema: Schema, name: str) -> Iterator[Any]:
    log, at, total = message_class("PredictionLog"), 0, len(next(iter(arrays.values())))
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


def _take(values: np.ndarray, start: int, size: int) -> np.ndarray:
    return values[np.arange(start, start + size) % len(values)]


def _predict(name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> Any:
    tensors = {key: tf.make_tensor_proto(v).SerializeToString() for key, v in inputs.items()}
    spec = {"name": name, "signature_name": signature}
    return message_class("PredictRequest")(model_spec=spec, inputs=tensors)


def _request(record: Any) -> tuple[str, Arrays]:
    """Returns a record's signature and inputs."""
    for field in ("classify_log", "regress_log"):
        if record.HasField(field):
            request = getattr(record, field).request
            examples = list(request.input.example_list.examples)
            return request.model_spec.signature_name, {"inputs": np.asarray(examples, object)}
    request = record.predict_log.request
    proto = type(tf.make_tensor_proto(0))
    inputs = {k: tf.make_ndarray(proto.FromString(v)) for k, v in request.inputs.items()}
    return request.model_spec.signature_name, inputs
