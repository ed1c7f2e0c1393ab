"""gRPC client of PredictionService, without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from idefn_tf.export.serving_protos import message_class
from serving.common.connection import (
    ConnectionFailedError,
    DeniedError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    ServingError,
    TimeoutExpiredError,
)
from serving.common.tensor_protos import to_array, to_proto

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_MOST = 2**31
# A score can be asked twice: once more where the server is not to be reached, or stops and drops a
# call that it has not begun (gRPC's library says CANCELLED then, though nobody has cancelled).
_AGAIN = {
    "maxAttempts": 2,
    "initialBackoff": "0.1s",
    "maxBackoff": "0.1s",
    "backoffMultiplier": 1,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}
_MOST_AGAIN = 64 * 1024 * 1024
_SERVICE = {"methodConfig": [{"name": [{}], "retryPolicy": _AGAIN}]}


class Grpc:
    """gRPC on one channel.

    Args:
        address: host and port, e.g. "127.0.0.1:8500".
        timeout: seconds for an answer.
        token: bearer token, or None.
        secure: whether the channel uses TLS.
        verify: of TLS: True for the usual authorities, or a file of them.

    Raises:
        ImportError: with the cure, where grpcio is absent.
        ValueError: if TLS is asked for without checking certificates, which gRPC cannot.
    """

    def __init__(
        self,
        address: str,
        timeout: float = 10.0,
        token: str | None = None,
        secure: bool = False,
        verify: bool | str = True,
    ) -> None:
        try:
            import grpc
        except ImportError as error:
            raise ImportError(f"gRPC needs grpcio: {error}. Install it, or use REST.") from None
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.service_config", json.dumps(_SERVICE)),
            ("grpc.per_rpc_retry_buffer_size", _MOST_AGAIN),
        ]
        if secure:
            if verify is False:
                raise ValueError(
                    "verify: must be True or a file of authorities for grpcs://, received False; "
                    "give the server's own certificate as the file"
                )
            roots = Path(verify).read_bytes() if isinstance(verify, str) else None
            credentials = grpc.ssl_channel_credentials(roots)
            self._channel = grpc.secure_channel(address, credentials, options)
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._call = self._channel.unary_unary(_PREDICT)
        self._metadata = [] if token is None else [("authorization", f"Bearer {token}")]
        self._rpc_error, self._codes = grpc.RpcError, grpc.StatusCode
        self.timeout = timeout

    def predict(
        self,
        inputs: Mapping[str, tuple[str, Any]],
        model: str,
        signature: str,
        version: int | None = None,
        label: str | None = None,
    ) -> dict[str, list[Any]]:
        """Runs a signature.

        Args:
            inputs: by name, dtype and column.
            model: the model's name.
            signature: the signature's name.
            version: the version, or None.
            label: the label, or None.

        Returns:
            By output name, a list.

        Raises:
            ServingError: with the server's message; ConnectionFailedError after a second try.
        """
        request = message_class("PredictRequest")()
        request.model_spec.name, request.model_spec.signature_name = model, signature
        if version is not None:
            request.model_spec.version.value = version
        elif label is not None:
            request.model_spec.version_label = label
        for name, (dtype, values) in inputs.items():
            array = np.asarray(values, object if dtype == "string" else dtype)
            request.inputs[name] = to_proto(array, content=True)
        try:
            answer = self._call(
                request.SerializeToString(), timeout=self.timeout, metadata=self._metadata
            )
        except self._rpc_error as error:
            raise self._translated(error) from error
        found = message_class("PredictResponse").FromString(answer)
        return {name: to_array(value, _MOST).tolist() for name, value in found.outputs.items()}

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _translated(self, error: Any) -> ServingError:
        codes = self._codes
        kinds: dict[Any, tuple[type[ServingError], int]] = {
            codes.INVALID_ARGUMENT: (InvalidRequestError, 400),
            codes.FAILED_PRECONDITION: (InvalidRequestError, 400),
            codes.NOT_FOUND: (NotFoundError, 404),
            codes.UNAUTHENTICATED: (DeniedError, 401),
            codes.PERMISSION_DENIED: (DeniedError, 403),
            codes.RESOURCE_EXHAUSTED: (OverloadedError, 429),
            codes.DEADLINE_EXCEEDED: (TimeoutExpiredError, 504),
        }
        if error.code() in (codes.UNAVAILABLE, codes.CANCELLED):
            return ConnectionFailedError(error.details())
        kind, status = kinds.get(error.code(), (ServingError, 500))
        return kind(error.details(), status)
