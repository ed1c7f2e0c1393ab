"""Replays a version's warm-up records before it is published, as TensorFlow Serving does.

The file assets.extra/tf_serving_warmup_requests is a TFRecord file of PredictionLog protos. They
are read here field by field, since their classes come with tensorflow-serving-api, which is
optional. A record that fails makes the load fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import tensor_pb2

from serving.server.errors import StatusError, from_tensorflow, invalid_argument
from serving.server.runtime.servable import Servable

FILE = Path("assets.extra/tf_serving_warmup_requests")
MAX_RECORDS = 1000

# PredictionLog.log_type
_CLASSIFY, _REGRESS, _MULTI, _PREDICT, _SESSION = 2, 3, 4, 6, 5


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("truncated")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a serialized proto: number and value (length-delimited ones as bytes).

    Raises:
        ValueError: The bytes are no proto.
    """
    view = memoryview(data)
    at = 0
    while at < len(view):
        tag, at = _varint(view, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(view, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _varint(view, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > len(view):
            raise ValueError("truncated")
        yield tag >> 3, view[at : at + size]
        at += size


def _only(data: bytes | memoryview, number: int) -> memoryview:
    """The last value of a length-delimited field; empty if it is not set."""
    found = memoryview(b"")
    for field, value in fields(data):
        if field == number and isinstance(value, memoryview):
            found = value
    return found


def _signature_name(request: memoryview) -> str:
    return bytes(_only(_only(request, 1), 3)).decode("utf-8")


def _predict_inputs(request: memoryview) -> dict[str, np.ndarray]:
    arrays = {}
    for number, entry in fields(request):
        if number == 2 and isinstance(entry, memoryview):
            proto = tensor_pb2.TensorProto.FromString(bytes(_only(entry, 2)))
            arrays[bytes(_only(entry, 1)).decode("utf-8")] = np.asarray(tf.make_ndarray(proto))
    return arrays


def _examples(request: memoryview) -> np.ndarray:
    """The serialized examples of a Classification- or RegressionRequest (Input is field 2)."""
    given = _only(request, 2)
    plain, with_context = _only(given, 1), _only(given, 2)
    context = bytes(_only(with_context, 2)) if with_context else b""
    source = with_context or plain
    found = [bytes(v) for n, v in fields(source) if n == 1 and isinstance(v, memoryview)]
    return np.array([context + example for example in found] + [None], object)[:-1]


def replay(servable: Servable, iterations: int = 1) -> int:
    """Runs the warm-up records of a version.

    Args:
        servable: The loaded version.
        iterations: How often each record is run.

    Returns:
        The number of records; 0 if there is no file.

    Raises:
        StatusError: A record cannot be read or run, or there are more than 1,000.
    """
    path = servable.path / FILE
    if not path.is_file():
        return 0
    count = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            count += 1
            if count > MAX_RECORDS:
                raise invalid_argument(f"there are more than {MAX_RECORDS} records")
            _replay_one(servable, record, iterations)
    except StatusError as error:
        raise StatusError(error.code, f"Warm-up record {count}: {error.message}") from None
    except tf.errors.OpError as error:
        raise from_tensorflow(error) from None
    except (ValueError, KeyError, TypeError, message.DecodeError) as error:
        raise invalid_argument(f"Warm-up record {count} cannot be read: {error}") from None
    return count


def _replay_one(servable: Servable, record: bytes, iterations: int) -> None:
    for kind, log in fields(record):
        if kind not in (_PREDICT, _CLASSIFY, _REGRESS, _MULTI, _SESSION):
            continue
        if kind in (_MULTI, _SESSION) or not isinstance(log, memoryview):
            raise StatusError("UNIMPLEMENTED", f"Unsupported log_type for warmup: {kind}")
        request = _only(log, 1)
        signature = servable.find(_signature_name(request))
        if kind == _PREDICT:
            arrays = _predict_inputs(request)
        else:
            arrays = {name: _examples(request) for name in signature.inputs}
        if arrays.keys() != signature.inputs.keys():
            raise invalid_argument(
                f"inputs {sorted(arrays)} are not those of signature {signature.name}"
            )
        for _ in range(iterations):
            signature.run(arrays)
