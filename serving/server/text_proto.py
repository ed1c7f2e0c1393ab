"""Reads protobuf's text format without the protos: models.config, batching and monitoring files.

A message becomes a dict from field name to the list of its values in order; a value is a dict
(sub-message), a str or bytes-like text (quoted), or a `Word` (number, true/false, enum name). What
a field means, and whether it may exist, is decided by `serving.server.config`.
"""

from __future__ import annotations

import ast
import re
from typing import Union

Value = Union[str, "Word", "Message"]
Message = dict[str, list[Value]]


class Word(str):
    """A bare token: a number, true, false, or the name of an enum value."""


_TOKEN = re.compile(
    r"""(?P<space>[\s,;]+|\#[^\n]*)
      |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      |(?P<punct>[{}<>:\[\]])
      |(?P<word>[-+.\w/]+)""",
    re.VERBOSE,
)


class TextProtoError(ValueError):
    """The text is not in protobuf's text format."""


def _tokens(text: str) -> list[tuple[str, str, int]]:
    found, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise TextProtoError(
                f"line {text.count(chr(10), 0, position) + 1}: unexpected {text[position]!r}"
            )
        kind = str(match.lastgroup)
        if kind != "space":
            found.append((kind, match.group(), text.count("\n", 0, position) + 1))
        position = match.end()
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0

    def peek(self) -> tuple[str, str, int]:
        if self.at < len(self.tokens):
            return self.tokens[self.at]
        return "end", "end of text", self.tokens[-1][2] if self.tokens else 1

    def next_token(self) -> tuple[str, str, int]:
        token = self.peek()
        self.at += 1
        return token

    def fail(self, token: tuple[str, str, int], wanted: str) -> TextProtoError:
        return TextProtoError(f"line {token[2]}: expected {wanted}, found {token[1]!r}")

    def message(self, closing: str | None, depth: int = 0) -> Message:
        if depth > 100:
            raise TextProtoError("messages are nested more than 100 deep")
        fields: Message = {}
        while True:
            token = self.next_token()
            if token[0] == "end" and closing is None:
                return fields
            if token[1] == closing and token[0] == "punct":
                return fields
            if token[0] != "word":
                raise self.fail(token, "a field name" if closing is None else f"{closing!r}")
            fields.setdefault(token[1], []).extend(self.values(depth))

    def values(self, depth: int) -> list[Value]:
        kind, text, _ = self.peek()
        colon = kind == "punct" and text == ":"
        if colon:
            self.next_token()
            kind, text, _ = self.peek()
        if kind == "punct" and text == "[":
            self.next_token()
            listed: list[Value] = []
            while not (self.peek()[0] == "punct" and self.peek()[1] == "]"):
                listed.append(self.value(depth, True))
            self.next_token()
            return listed
        return [self.value(depth, colon)]

    def value(self, depth: int, colon: bool) -> Value:
        token = self.next_token()
        if token[0] == "punct" and token[1] in "{<":
            return self.message("}" if token[1] == "{" else ">", depth + 1)
        if colon and token[0] == "string":
            text = _unquote(token[1])
            while self.peek()[0] == "string":  # adjacent strings are one
                text += _unquote(self.next_token()[1])
            return text
        if colon and token[0] == "word":
            return Word(token[1])
        raise self.fail(token, "a value" if colon else "':' or '{'")


def _unquote(literal: str) -> str:
    try:
        value = ast.literal_eval("b" + literal) if literal.isascii() else literal[1:-1].encode()
        return value.decode("utf-8")
    except (ValueError, SyntaxError) as error:
        raise TextProtoError(f"bad string {literal}: {error}") from None


def parse(text: str) -> Message:
    """Parses a message in text format.

    Args:
        text: The content of the file.

    Returns:
        Field names with their values in the order given; a field set once has a list of one.

    Raises:
        TextProtoError: The text is malformed; the message names the line.
    """
    return _Reader(text).message(None)
