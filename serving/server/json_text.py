"""JSON text as TensorFlow Serving lays it out: answers, errors, and values quoted in messages."""

from __future__ import annotations

import json
import math
import re
import struct
from typing import Any

import numpy as np
import orjson
import rapidjson

# A message quotes at most this much of the value it complains about.
QUOTE_LIMIT = 256
# A whole message is at most this long, whatever an operation of the graph says.
MESSAGE_LIMIT = 16_384

_FLOAT = struct.Struct("f")

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_SHORT = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    return _SHORT.get(character) or f"\\u{ord(character):04X}"


def string(text: str) -> str:
    """A JSON string; what is not ASCII stays as it is."""
    return f'"{_ESCAPED.sub(_escape, text)}"'


def bytes_string(value: bytes) -> str:
    """A JSON string of a DT_STRING value; bytes that are not UTF-8 pass through unchanged.

    Encode the final text with errors="surrogateescape".
    """
    return string(value.decode("utf-8", "surrogateescape"))


def is_utf8(text: str) -> bool:
    """Whether a text of a request was UTF-8."""
    return text.isascii() or not any("\udc80" <= c <= "\udcff" for c in text)


def echo(text: str, limit: int = QUOTE_LIMIT) -> str:
    """What a client sent, as messages name it: whole, or its beginning and its length.

    TensorFlow Serving names keys, signatures, models and addresses whole, however long.
    """
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text):,} characters)"


def error_body(message: str) -> bytes:
    """The body of every error answer, valid UTF-8: what a request had that is none is U+FFFD."""
    sent = echo(message, MESSAGE_LIMIT).encode("utf-8", "surrogateescape")
    return f'{{\n    "error": {string(sent.decode("utf-8", "replace"))}\n}}'.encode()


def proto_json(message: Any) -> bytes:
    """A protobuf message's JSON (one space of indent), as in status and metadata answers."""
    return json.dumps(message, indent=1, ensure_ascii=False).encode("utf-8") + b"\n"


def type_name(value: Any) -> str:
    """RapidJSON's name of a value's type, used in messages."""
    if value is None:
        return "Null"
    if value is True:
        return "True"
    if value is False:
        return "False"
    if isinstance(value, dict):
        return "Object"
    if isinstance(value, list):
        return "Array"
    return "String" if isinstance(value, str) else "Number"


def decimal(value: float, single: bool) -> str:
    """A floating-point number: %g if that gives the value back, else 9 or 17 digits; always marked.

    Args:
        value: The number.
        single: Whether it is a float32 (9 digits) or a double (17).

    Returns:
        Text with a point or an exponent, or NaN, Infinity, -Infinity.
    """
    if not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    text = f"{value:g}"
    back = float(text)
    if single:
        back = _FLOAT.unpack(_FLOAT.pack(back))[0]
    if back != value:
        text = f"{value:.9g}" if single else f"{value:.17g}"
    return text if "." in text or "e" in text else text + ".0"


def quote(value: Any) -> str:
    """A value as messages quote it: indented JSON, at most 256 bytes of it."""
    if isinstance(value, float):
        with np.errstate(over="ignore"):
            single = np.float32(value)
        if np.isfinite(single) or not np.isfinite(value):
            return decimal(float(single), True)
        return decimal(value, False)
    pieces: list[str] = []
    size = 0
    for piece in _pretty(value):
        pieces.append(piece)
        size += len(piece.encode("utf-8", "surrogateescape"))
        if size > QUOTE_LIMIT:
            break
    text = "".join(pieces).encode("utf-8", "surrogateescape")
    end = min(QUOTE_LIMIT, len(text))
    for _ in range(3):  # the rest of a character that the limit cuts
        end -= end < len(text) and text[end] & 0xC0 == 0x80
    return text[:end].decode("utf-8", "surrogateescape")


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        # RapidJSON's writer: shortest digits that give the double back.
        return rapidjson.dumps(value, number_mode=rapidjson.NM_NATIVE | rapidjson.NM_NAN)
    if isinstance(value, str):
        return string(value[: QUOTE_LIMIT + 1])
    return orjson.dumps(value).decode()


def _pretty(value: Any) -> Any:
    """Yields the text of a value in pieces, without recursion (values may be nested deeply)."""
    if not isinstance(value, dict | list) or not value:
        yield _scalar(value)
        return
    stack: list[Any] = [(value, iter(value.items() if isinstance(value, dict) else value), True)]
    yield "{" if isinstance(value, dict) else "["
    while stack:
        container, rest, first = stack.pop()
        named = isinstance(container, dict)
        depth = len(stack)
        try:
            item = next(rest)
        except StopIteration:
            yield "\n" + "    " * depth + ("}" if named else "]")
            continue
        stack.append((container, rest, False))
        yield ("" if first else ",") + "\n" + "    " * (depth + 1)
        if named:
            yield string(item[0]) + ": "
            item = item[1]
        if isinstance(item, dict | list) and item:
            yield "{" if isinstance(item, dict) else "["
            stack.append((item, iter(item.items() if isinstance(item, dict) else item), True))
        else:
            yield _scalar(item)
