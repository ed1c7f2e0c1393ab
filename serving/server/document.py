"""Request bodies to Python values, as TensorFlow Serving's parser (RapidJSON) reads them.

orjson reads what is plain JSON. Whatever it refuses is read again by RapidJSON itself, so NaN and
Infinity tokens, error messages and offsets are TensorFlow Serving's. Two of its habits need help:
it stops after the first value, and it does not mind deep nesting.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
import rapidjson

from serving.server import jsontext
from serving.server.errors import StatusError, invalid_argument

_NUMBERS = rapidjson.NM_NATIVE | rapidjson.NM_NAN
_FAILED = re.compile(r"Parse error at offset (\d+): (.*)", re.DOTALL)
_BOM = b"\xef\xbb\xbf"
_TOKEN = re.compile(
    r'[ \t\n\r]*(?:(?P<punct>[{}\[\]:,])|(?P<string>"(?:[^"\\]|\\.)*")|(?P<atom>[^\s{}\[\]:,"]+))',
    re.DOTALL,
)


def parse(body: bytes, max_depth: int) -> dict[str, Any]:
    """Reads a request body.

    Args:
        body: The bytes of the request, already decompressed.
        max_depth: Nesting beyond this is refused.

    Returns:
        The top-level object. Numbers with a point or exponent, and integers beyond 64 bits, are
        floats; other numbers are ints.

    Raises:
        StatusError: INVALID_ARGUMENT, with RapidJSON's message and offset.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _reparse(body, max_depth)
    if type(value) is not dict:
        raise invalid_argument(f"JSON Value: {jsontext.quote(value)} Is not object")
    return value


def _failure(message: str, offset: int) -> StatusError:
    return invalid_argument(f"JSON Parse error: {message} at offset: {offset}")


def _reparse(body: bytes, max_depth: int) -> Any:
    skipped = len(_BOM) if body.startswith(_BOM) else 0
    text = body[skipped:]
    try:
        return rapidjson.loads(text, number_mode=_NUMBERS)
    except UnicodeDecodeError as error:
        # TensorFlow Serving passes such bytes on unread; here they are refused.
        raise _failure("Invalid encoding in string.", error.start + skipped) from None
    except RecursionError:
        return _parse_deep(text.decode("utf-8"), skipped, max_depth)
    except rapidjson.JSONDecodeError as error:
        match = _FAILED.fullmatch(str(error))
        if match is None:
            raise _failure(str(error), 0) from None
        offset, message = int(match[1]), match[2]
        if message.startswith("The document root must not be followed"):
            return rapidjson.loads(text[:offset], number_mode=_NUMBERS)
        raise _failure(message, offset + skipped) from None


def _parse_deep(text: str, skipped: int, max_depth: int) -> Any:
    """Reads a document nested too deeply for a recursive parser, with a stack of its own."""
    stack: list[tuple[Any, str | None]] = []  # open containers with the key they go to
    holder: list[Any] = []  # receives the document
    container: Any = holder
    key: str | None = None
    wanted = "value"  # value, value or end, key, key or end, colon, comma
    position = 0

    def fail(message: str) -> StatusError:
        return _failure(message, len(text[:position].encode("utf-8")) + skipped)

    while True:
        match = _TOKEN.match(text, position)
        if match is None:
            raise fail("Invalid value.")
        token, kind = match[match.lastgroup or 0], match.lastgroup
        position = match.end()
        closes = token if kind == "punct" and token in "]}" else ""
        if closes and _may_close(container, closes, wanted):
            container, key = stack.pop()
            wanted = "comma"
        elif wanted == "comma":
            if token != "," or kind != "punct":
                raise fail("Missing a comma or a closing bracket.")
            wanted = "key" if type(container) is dict else "value"
            continue
        elif wanted.startswith("key"):
            if kind != "string":
                raise fail("Missing a name for object member.")
            key, wanted = _atom(token, position), "colon"
            continue
        elif wanted == "colon":
            if token != ":" or kind != "punct":
                raise fail("Missing a colon after a name of object member.")
            wanted = "value"
            continue
        elif kind == "punct":
            if token not in "[{":
                raise fail("Invalid value.")
            opened: Any = [] if token == "[" else {}
            _put(container, key, opened)
            stack.append((container, key))
            if len(stack) > max_depth:
                raise invalid_argument(
                    f"JSON Parse error: The document is nested deeper than {max_depth} levels"
                )
            container, key = opened, None
            wanted = "value or end" if token == "[" else "key or end"
            continue
        else:
            _put(container, key, _atom(token, position))
            wanted = "comma"
        if not stack:
            return holder[0]


def _may_close(container: Any, closes: str, wanted: str) -> bool:
    if type(container) is dict:
        return closes == "}" and wanted in ("comma", "key or end")
    return closes == "]" and wanted in ("comma", "value or end")


def _put(container: Any, key: str | None, value: Any) -> None:
    if type(container) is dict:
        container[key] = value
    else:
        container.append(value)


def _atom(token: str, end: int) -> Any:
    try:
        return rapidjson.loads(token, number_mode=_NUMBERS)
    except rapidjson.JSONDecodeError as error:
        match = _FAILED.fullmatch(str(error))
        message = match[2] if match else str(error)
        raise _failure(message, end - len(token)) from None
