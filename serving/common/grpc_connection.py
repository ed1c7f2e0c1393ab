"""gRPC client of PredictionService, without TensorFlow."""

from __future__ import annotations

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
            ServingError: with the server's message.
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
        if error.code() == codes.UNAVAILABLE:
            return ConnectionFailedError(error.details())
        kind, status = kinds.get(error.code(), (ServingError, 500))
        return kind(error.details(), status)
