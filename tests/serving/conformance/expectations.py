"""Sends a conformance case and says what differs from what it expects."""

import base64
import gzip
import http.client
import json
import math
import re
from typing import Any
from urllib.parse import urlsplit


def body_of(request: dict[str, Any]) -> bytes:
    """The bytes a case sends, before compression."""
    if "body_b64" in request:
        return base64.b64decode(request["body_b64"])
    text = request.get("body", "")
    if repeat := request.get("body_repeat"):
        nested = repeat["open"] * repeat["n"] + repeat["close"] * repeat["n"]
        text = text.replace(repeat["token"], nested)
    return text.encode()


def send(url: str, request: dict[str, Any]) -> tuple[int, str, bytes]:
    """Status, content type and body of the answer."""
    body = body_of(request)
    headers = {"Content-Type": "application/json", **request.get("headers", {})}
    if request.get("gzip_body"):
        body = gzip.compress(body)
        headers["Content-Encoding"] = "gzip"
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    try:
        connection.request(request["method"], request["path"], body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type") or "", answer.read()
    finally:
        connection.close()


def equal(want: Any, got: Any, subset: bool = False) -> bool:
    """Equality of JSON values: numbers as numbers (to 1e-6), NaN equal to itself.

    With `subset`, objects may have further keys.
    """
    if isinstance(want, bool) or isinstance(got, bool):
        return want is got
    if isinstance(want, int | float) and isinstance(got, int | float):
        if math.isnan(want) or math.isnan(got):
            return math.isnan(want) and math.isnan(got)
        return want == got or math.isclose(want, got, rel_tol=1e-6)
    if isinstance(want, list):
        return (
            isinstance(got, list)
            and len(want) == len(got)
            and all(equal(a, b) for a, b in zip(want, got, strict=True))
        )
    if isinstance(want, dict):
        if not isinstance(got, dict) or (not subset and want.keys() != got.keys()):
            return False
        return all(key in got and equal(want[key], got[key], subset) for key in want)
    return bool(want == got)


def differences(expect: dict[str, Any], status: int, content_type: str, body: bytes) -> list[str]:
    """What of an answer is not as expected; empty if all is."""
    text = body.decode("utf-8", "replace")
    found = []
    if status != expect["status"]:
        found.append(f"status {status}, not {expect['status']}")
    if not content_type.startswith(expect.get("content_type", "")):
        found.append(f"content type {content_type!r}")
    value: Any = None
    if {"json", "json_subset", "error_contains", "error_is"} & expect.keys():
        try:
            value = json.loads(text)
        except ValueError as error:
            return [*found, f"body is not JSON: {error}"]
    if "json" in expect and not equal(expect["json"], value):
        found.append("JSON differs")
    if "json_subset" in expect and not equal(expect["json_subset"], value, subset=True):
        found.append("a part of the JSON differs")
    message = value.get("error") if isinstance(value, dict) else None
    for part in expect.get("error_contains", []):
        if not isinstance(message, str) or part not in message:
            found.append(f"error lacks {part!r}")
    if "error_is" in expect and message != expect["error_is"]:
        found.append(f"error is not {expect['error_is']!r}")
    found += [f"body lacks {part!r}" for part in expect.get("raw_contains", []) if part not in text]
    found += [f"body has {part!r}" for part in expect.get("raw_absent", []) if part in text]
    for pattern in expect.get("raw_regex", []):
        if not re.search(pattern, text):
            found.append(f"body does not match {pattern!r}")
    if expect.get("body_empty") and body:
        found.append("body is not empty")
    return found
