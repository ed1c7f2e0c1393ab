"""HTTP client: REST over a kept connection; and what can go wrong on it."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
import requests.auth
import requests.utils


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
        self._verify = verify
        self._session.headers["Content-Type"] = "application/json"
        if token is not None:
            self._session.auth = _Bearer(token)

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
                # by call: REQUESTS_CA_BUNDLE goes before what a session says, not before this
                return self._session.request(
                    method, url, data=body, timeout=self.timeout, verify=self._verify
                )
            except requests.Timeout:
                raise TimeoutExpiredError(
                    f"{method} {url}: no answer within {self.timeout:g} s"
                ) from None
            except requests.exceptions.ProxyError as error:
                proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
                raise ConnectionFailedError(
                    f"{method} {url}: {_reason(error)}. The environment asks for the proxy "
                    f"{proxy}; is it running? NO_PROXY={urlsplit(url).hostname} leaves it out"
                ) from error
            except requests.ConnectionError as error:
                # a kept connection that the server has closed meanwhile; a score can be asked twice
                if last:
                    raise ConnectionFailedError(
                        f"{method} {url}: {_reason(error)}. Is a server running at {self.url}?"
                    ) from error
        raise ConnectionFailedError(f"{method} {url}: not sent")


class _Bearer(requests.auth.AuthBase):
    """The token's header; as `auth` it goes before what ~/.netrc says of the host."""

    def __init__(self, token: str) -> None:
        self._value = f"Bearer {token}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


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
