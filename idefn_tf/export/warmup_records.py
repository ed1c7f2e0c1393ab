"""Warm-up records of a version: the requests that a server runs before the version answers.

The file is a TFRecord file of PredictionLog messages; exports check it and servers run it, and both
read it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2

from idefn_tf.export.serving_protos import message_class

#: Where the records lie in a version.
FILE = Path("assets.extra") / "tf_serving_warmup_requests"
#: More records than this make a server refuse the version.
MOST_RECORDS = 1000


class WarmupRequest(NamedTuple):
    """One record: a signature's name, and tensors by name or serialized examples."""

    signature: str
    tensors: dict[str, np.ndarray] | None
    examples: np.ndarray | None

    def inputs(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Returns what to feed; examples go to every input in `names`."""
        if self.examples is not None:
            return dict.fromkeys(names, self.examples)
        return self.tensors or {}


def read_records(version: Path) -> Iterator[bytes]:
    """Yields a version's records, serialized; none if it has no file.

    Raises:
        tf.errors.OpError: if the file is damaged.
    """
    if (version / FILE).is_file():
        yield from tf.data.TFRecordDataset(str(version / FILE)).as_numpy_iterator()


def parse_record(data: bytes) -> WarmupRequest | None:
    """Returns what a record asks for; None where it asks for nothing.

    Raises:
        ValueError: if it is no record.
        NotImplementedError: if it is of a kind that no signature answers.
    """
    try:
        log = message_class("PredictionLog").FromString(data)
        kind = log.WhichOneof("log_type")
        if kind is None:
            return None
        if kind not in ("predict_log", "classify_log", "regress_log"):
            raise NotImplementedError(f"Unsupported log_type for warmup: {kind}")
        request = getattr(log, kind).request
        name = request.model_spec.signature_name
        if kind == "predict_log":
            parse = tensor_pb2.TensorProto.FromString
            tensors = {k: np.asarray(tf.make_ndarray(parse(v))) for k, v in request.inputs.items()}
            return WarmupRequest(name, tensors, None)
    except DecodeError as error:
        raise ValueError(str(error)) from None
    given = request.input
    listed = getattr(given, given.WhichOneof("kind") or "example_list")
    context = getattr(listed, "context", b"")
    rows = [context + example for example in listed.examples]
    return WarmupRequest(name, None, np.array([*rows, None], object)[:-1])
