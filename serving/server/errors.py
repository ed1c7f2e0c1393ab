"""Errors in TensorFlow Serving's words: a canonical code, a message, and its HTTP status.

Every refusal inside the server is a `StatusError`; the application turns it into the JSON body
`{"error": "..."}` and the HTTP status of its code. Nothing else ever reaches a client.
"""

from __future__ import annotations

import tensorflow as tf

# Canonical codes by number, as in google/rpc/code.proto.
CODE_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)

HTTP_STATUS = {
    "OK": 200,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}


class StatusError(Exception):
    """A refusal with a canonical code.

    Args:
        code: One of `CODE_NAMES`, not OK.
        message: The text that the client reads.
        http_status: Overrides the HTTP status of the code (413, 408: what the HTTP layer of
            TensorFlow Serving answers before any code exists).
        bare: The answer has no body at all (TensorFlow Serving's answer to a version beyond int64).
    """

    def __init__(
        self, code: str, message: str, http_status: int | None = None, bare: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_status = HTTP_STATUS[code] if http_status is None else http_status
        self.bare = bare

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def invalid_argument(message: str) -> StatusError:
    """The client's mistake: HTTP 400."""
    return StatusError("INVALID_ARGUMENT", message)


def not_found(message: str) -> StatusError:
    """No such model or version: HTTP 404."""
    return StatusError("NOT_FOUND", message)


def from_tensorflow(error: tf.errors.OpError) -> StatusError:
    """Turns an error of the graph into a status.

    A Session adds the Python lines that built the graph to the message; the client gets the
    runtime's own words, as TensorFlow Serving (which has no Python) gives them.

    Args:
        error: What `Session.run` raised.

    Returns:
        The status with the code of the operation's error.
    """
    source = error
    while isinstance(source.__context__, tf.errors.OpError):
        source = source.__context__
    message = source.message.split("\n\nOriginal stack trace", 1)[0]
    if message.startswith("Graph execution error:"):
        message = message.split("\n\n", 1)[0]
    number = error.error_code
    code = CODE_NAMES[number] if 0 < number < len(CODE_NAMES) else "UNKNOWN"
    return StatusError(code, message)
