"""Paths of the REST API: which model, version or label, and what is asked of it."""

from __future__ import annotations

import dataclasses
import functools
import re
from urllib.parse import unquote_to_bytes

from serving.server.errors import StatusError, invalid_argument
from serving.server.json_text import echo

_POST = re.compile(
    r"(?i)/v1/models/([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?:(classify|regress|predict)"
)
_GET = re.compile(
    r"(?i)/v1/models(?:/([^/:]+))?(?:/versions/([0-9]+)|/labels/([^/:]+))?(?:/(metadata))?"
)

# Addresses of at most this length are remembered once read.
_SHORT = 256


@dataclasses.dataclass(frozen=True)
class Route:
    """A request's address.

    Attributes:
        verb: "predict", "classify", "regress", "metadata" or "status".
        model: The model's name; "" if the path has none.
        version: The version asked for, if any.
        label: The label asked for, if any.
    """

    verb: str
    model: str
    version: int | None
    label: str | None


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


def parse(method: str, target: str) -> Route:
    """Reads a request line.

    Letters' case is free in the fixed words but counts in the model's name and in the verb; the
    query string belongs to the path, so a path with one matches nothing.

    Args:
        method: The HTTP method.
        target: Path and query as sent.

    Raises:
        StatusError: INVALID_ARGUMENT, in TensorFlow Serving's words.
    """
    return _remembered(method, target) if len(target) <= _SHORT else _parse(method, target)


def _parse(method: str, target: str) -> Route:
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    match = pattern.fullmatch(target) if pattern else None
    if match is None:
        raise invalid_argument(f"Malformed request: {method} {echo(target)}")
    name, version_text, label, last = match.groups()
    digits = (version_text or "").lstrip("0")
    version = int(digits[:20] or 0) if version_text else None
    if version is not None and version >= 2**63:
        raise StatusError(
            "INVALID_ARGUMENT", f"Failed to convert version: {version} to numeric.", bare=True
        )
    if method == "POST":
        if last not in ("classify", "regress", "predict"):  # right letters, wrong case
            raise invalid_argument(f"Malformed request: {method} {echo(target)}")
        verb = last
    else:
        verb = "metadata" if last == "metadata" else "status"
    return Route(verb, _decoded(name or ""), version, _decoded(label) if label else None)


_remembered = functools.lru_cache(1024)(_parse)
