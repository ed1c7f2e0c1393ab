"""HTTP client: REST over a kept connection, or gRPC; and what can go wrong on it."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import orjson
import requests


class ServingError(RuntimeError):
    """The server did not answer with scores.

    Attributes:
        status: HTTP status, or None where there was no answer.
        message: the server's own message.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message if status is None else f"{status}: {message}")
        self.status, self.message = status, message


class InvalidRequestError(ServingError):
    """400: the request does not fit the model."""


class NotFoundError(ServingError):
    """404: no such model, version or label."""


class DeniedError(ServingError):
    """401 or 403: the token is missing or wrong."""


class OverloadedError(ServingError):
    """429 or 503: the server has too much to do, or is starting or stopping; try again later."""


class TimeoutExpiredError(ServingError):
    """No answer in time: the server's deadline (504), or the client's."""


class ConnectionFailedError(ServingError):
    """No server listens there, or the connection broke twice."""


_ERRORS: dict[int, type[ServingError]] = {
    400: InvalidRequestError,
    401: DeniedError,
    403: DeniedError,
    404: NotFoundError,
    408: TimeoutExpiredError,
    413: InvalidRequestError,
    429: OverloadedError,
    503: OverloadedError,
    504: TimeoutExpiredError,
}


class Rest:
    """REST on one kept connection; not to be shared between threads.

    Args:
        url: the server, e.g. "http://127.0.0.1:8501".
        timeout: seconds for an answer.
        token: bearer token, or None.
        verify: for HTTPS: whether to check the certificate, or a file of authorities.
    """

    def __init__(
        self,
        url: str,
        timeout: float = 10.0,
        token: str | None = None,
        verify: bool | str = True,
    ) -> None:
        self.url, self.timeout = url.rstrip("/"), timeout
        self._session = requests.Session()
        self._session.verify = verify
        self._session.headers["Content-Type"] = "application/json"
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:
        """Returns the JSON at a path.

        Raises:
            ServingError: of the kind that the status names, with the server's message.
        """
        return self._send("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Sends JSON (bytes as {"b64": ...}, NaN as NaN) and returns the JSON of the answer.

        Raises:
            ServingError: of the kind that the status names, with the server's message.
        """
        if _has_nan(body):  # which orjson writes as null
            return self._send("POST", path, json.dumps(body, default=_b64).encode())
        return self._send("POST", path, orjson.dumps(body, default=_b64))

    def close(self) -> None:
        """Closes the connection."""
        self._session.close()

    def _send(self, method: str, path: str, body: bytes | None) -> Any:
        answer = self._request(method, f"{self.url}{path}", body)
        value = _decode(answer.content)
        if answer.status_code == 200 and value is not None:
            return value
        message = value.get("error") if isinstance(value, dict) else None
        kind = _ERRORS.get(answer.status_code, ServingError)
        raise kind(str(message or answer.text or answer.reason), answer.status_code)

    def _request(self, method: str, url: str, body: bytes | None) -> requests.Response:
        for last in (False, True):
            try:
                return self._session.request(method, url, data=body, timeout=self.timeout)
            except requests.Timeout:
                raise TimeoutExpiredError(
                    f"{method} {url}: no answer within {self.timeout:g} s"
                ) from None
            except requests.ConnectionError as error:
                # a kept connection that the server has closed meanwhile; a score can be asked twice
                if last:
                    raise ConnectionFailedError(
                        f"{method} {url}: {_reason(error)}. Is a server running at {self.url}?"
                    ) from error
        raise ConnectionFailedError(f"{method} {url}: not sent")


def _reason(error: requests.ConnectionError) -> str:
    """Says why a connection failed, without the layers it came through."""
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "reason", cause)).rsplit(": ", 1)[-1]


def _has_nan(value: Any) -> bool:
    """Whether a number that is not finite stands somewhere in a body."""
    if isinstance(value, Mapping):
        return any(_has_nan(item) for item in value.values())
    if isinstance(value, list):
        try:
            return not math.isfinite(sum(value))  # far faster than a look at each
        except TypeError:
            return any(_has_nan(item) for item in value if isinstance(item, list | float | Mapping))
        except OverflowError:  # whole numbers beyond every float
            return any(_has_nan(item) for item in value)
    return isinstance(value, float) and not math.isfinite(value)


def _b64(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


def _decode(content: bytes) -> Any:
    """Decodes an answer; Python's own parser knows the NaN that TensorFlow Serving writes."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            return json.loads(content)
        except ValueError:
            return None


class Grpc:
    """gRPC through tensorflow-serving-api, which only tensorflow_model_server answers.

    Args:
        address: host and port, e.g. "127.0.0.1:8500".
        timeout: seconds for an answer.
        token: bearer token, or None.

    Raises:
        ImportError: with the cure, where tensorflow-serving-api is absent.
    """

    def __init__(self, address: str, timeout: float = 10.0, token: str | None = None) -> None:
        try:
            import grpc
            from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
        except ImportError as error:
            raise ImportError(
                "gRPC needs the packages tensorflow-serving-api (of TensorFlow's own version) and "
                f"grpcio: {error}. Install them, or use REST."
            ) from None
        self._predict_pb2 = predict_pb2
        self._channel = grpc.insecure_channel(
            address, [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
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
        import tensorflow as tf

        request = self._predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, signature
        if version is not None:
            request.model_spec.version.value = version
        elif label is not None:
            request.model_spec.version_label = label
        for name, (dtype, values) in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values, tf.as_dtype(dtype)))
        try:
            answer = self._stub.Predict(request, timeout=self.timeout, metadata=self._metadata)
        except self._rpc_error as error:
            raise self._translated(error) from error
        return {name: tf.make_ndarray(value).tolist() for name, value in answer.outputs.items()}

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
