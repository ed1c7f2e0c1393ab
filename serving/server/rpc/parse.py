"""Reading a request's bytes."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from idefn_tf.export.serving_protos import message_class
from serving.server.errors import invalid_argument


def parse(kind: str, body: bytes) -> Any:
    """Reads a request; PredictEntries and TensorsRequest are forms of a PredictRequest.

    Raises:
        StatusError: INVALID_ARGUMENT, it is no such message.
    """
    request = message_class(kind)()
    try:
        request.ParseFromString(body)
    except DecodeError:
        said = "PredictRequest" if kind in ("PredictEntries", "TensorsRequest") else kind
        raise invalid_argument(f"The request is no {said}") from None
    return request
