"""Request bodies to Python values, as TensorFlow Serving's parser (RapidJSON) reads them.

orjson reads what is plain JSON. Whatever it refuses is read again by RapidJSON itself, so NaN and
Infinity tokens, error messages and offsets are TensorFlow Serving's. Some of its habits need help:
it stops after the first value, does not mind deep nesting, lets bytes pass that are not UTF-8, and
of two equal keys finds the first.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

import orjson
import rapidjson

from serving.server import json_text
from serving.server.errors import StatusError, invalid_argument

_NUMBERS = rapidjson.NM_NATIVE | rapidjson.NM_NAN
_FAILED = re.compile(r"Parse error at offset (\d+): (.*)", re.DOTALL)
_NO_LIMIT = 2**31
_COLON = ord(":")
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')
_BOM = b"\xef\xbb\xbf"
# A byte b that is not UTF-8 is read as the character of this number plus b (of private use), unless
# the body has such characters already, plainly or as \\uDBFF.
_STAND_INS = 0x10FF00
_STAND_IN = re.compile("[\U0010ff80-\U0010ffff]")
_TAKEN = re.compile(rb"\xf4\x8f[\xbe\xbf]|\\u[dD][bB][fF][fF]")
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
        floats; other numbers are ints. Bytes that are not UTF-8 stand in strings as Python's
        "surrogateescape" puts them there.

    Raises:
        StatusError: INVALID_ARGUMENT, with RapidJSON's message and offset.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _reparse(body, max_depth)
    else:
        if type(value) is dict and _may_repeat_a_key(body, value):
            value = _with_first_keys(body, value)
    if type(value) is not dict:
        raise invalid_argument(f"JSON Value: {json_text.quote(value)} Is not object")
    return value


def _failure(message: str, offset: int) -> StatusError:
    return invalid_argument(f"JSON Parse error: {message} at offset: {offset}")


def _may_repeat_a_key(body: bytes, request: dict[str, Any]) -> bool:
    """Whether a body has more colons than what was read of it has keys; quick for plain ones."""
    keys = _keys(request)
    if body.count(_COLON) == keys:
        return False
    keys += body.count(b'{"b64":')
    # the other colons may stand in strings
    return body.count(b'":') != keys or _SPACED_COLON.search(body) is not None


def _keys(request: dict[str, Any]) -> int:
    """The keys of a plain request: its own, and those of its rows or columns."""
    count = len(request)
    for name in ("inputs", "instances", "examples", "context"):
        part = request.get(name)
        if type(part) is dict:
            count += len(part)
        elif type(part) is list and part and type(part[0]) is dict:
            count += sum([len(row) for row in part if type(row) is dict])
    return count


class _Decoder(rapidjson.Decoder):
    """RapidJSON that keeps the first of equal keys, and notes that there were some."""

    repeated = False

    def start_object(self) -> list[tuple[str, Any]]:
        """Collects an object's members one by one."""
        return []

    def end_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Makes the object."""
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        self.repeated = True
        return _first_ones(pairs)


def _first_ones(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _with_first_keys(body: bytes, value: Any) -> Any:
    """What was read of a body in which a key may be given twice."""
    decoder = _Decoder(number_mode=_NUMBERS)
    try:
        again = decoder(body)
    except RecursionError:  # orjson reads 1,024 levels
        return _parse_deep(body.decode("utf-8"), 0, _NO_LIMIT)
    return again if decoder.repeated else value


def _reparse(body: bytes, max_depth: int) -> Any:
    skipped = len(_BOM) if body.startswith(_BOM) else 0
    text = body[skipped:]
    try:
        return _Decoder(number_mode=_NUMBERS)(text)
    except UnicodeDecodeError as error:
        return _reparse_bytes(body, error.start, max_depth)
    except RecursionError:
        return _parse_deep(text.decode("utf-8"), skipped, max_depth)
    except rapidjson.JSONDecodeError as error:
        match = _FAILED.fullmatch(str(error))
        if match is None:
            raise _failure(str(error), 0) from None
        offset, message = int(match[1]), match[2]
        if message.startswith("The document root must not be followed"):
            return _Decoder(number_mode=_NUMBERS)(text[:offset])
        raise _failure(message, offset + skipped) from None


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    odd = error.object[error.start : error.end]
    return "".join(chr(_STAND_INS + byte) for byte in odd), error.end


codecs.register_error("serving_stand_in", _stand_in)


def _reparse_bytes(body: bytes, start: int, max_depth: int) -> Any:
    """Reads a body in which, from `start` on, bytes are not UTF-8: they pass as they are.

    The parser takes text only. Other characters stand in for those bytes while it reads.
    """
    if _TAKEN.search(body):
        raise _failure("Invalid encoding in string.", start)
    text = body.decode("utf-8", "serving_stand_in")
    _reparse(_STAND_IN.sub("?", text).encode(), max_depth)  # the same offsets, if it is refused
    return _unmasked(_reparse(text.encode(), max_depth))


def _unmasked(value: Any) -> Any:
    """Puts surrogate escapes in the place of stand-ins; without recursion."""

    def text(found: str) -> str:
        return _STAND_IN.sub(lambda m: chr(ord(m.group()) - _STAND_INS + 0xDC00), found)

    holder = [value]
    waiting: list[Any] = [holder]
    while waiting:
        container = waiting.pop()
        named = type(container) is dict
        items = list(container.items()) if named else list(enumerate(container))
        if named:
            container.clear()
        for key, item in items:
            if type(item) in (dict, list):
                waiting.append(item)
            container[text(key) if isinstance(key, str) else key] = (
                text(item) if type(item) is str else item
            )
    return holder[0]


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
        container.setdefault(key, value)
    else:
        container.append(value)


def _atom(token: str, end: int) -> Any:
    try:
        return rapidjson.loads(token, number_mode=_NUMBERS)
    except rapidjson.JSONDecodeError as error:
        match = _FAILED.fullmatch(str(error))
        message = match[2] if match else str(error)
        raise _failure(message, end - len(token)) from None
