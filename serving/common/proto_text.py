"""Protobuf's text format: TensorFlow Serving's configuration files, parsed by its own rules."""

from __future__ import annotations

import functools
import logging
import re
from typing import Any

from google.protobuf import text_format

from idefn_tf.export.serving_protos import PACKAGE, message_class

log = logging.getLogger("serving.config")
_PLACE = re.compile(r"^(\d+):(\d+) : ")
_NO_NUMBER = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""")
_OCTAL = re.compile(r"(?<![\w.])0[0-7]+(?![\w.])")


class ProtoTextError(ValueError):
    """The text is not this message in protobuf's text format."""


def parse(text: str, name: str, path: str = "") -> Any:
    """Returns a message of TensorFlow Serving's.

    Numbers with a leading zero are octal, as TensorFlow Serving reads them; that is logged once.

    Args:
        text: the message in text format.
        name: of the message, e.g. "ModelServerConfig".
        path: the file, for the log.

    Raises:
        ProtoTextError: in TensorFlow Serving's words, with line and column.
    """
    try:
        found = text_format.Parse(text, message_class(name)())
    except (text_format.ParseError, RecursionError) as error:
        told = _PLACE.sub(r"\1:\2: ", str(error))
        raise ProtoTextError(f"Error parsing text-format {PACKAGE}.{name}: {told}") from None
    for number in dict.fromkeys(_OCTAL.findall(_NO_NUMBER.sub(" ", text))):
        _warn_of_octal(number, path)
    return found


@functools.cache
def _warn_of_octal(number: str, path: str) -> None:
    log.warning(
        "%s: %s is read as octal, that is %d, as TensorFlow Serving reads it; write numbers "
        "without leading zeros, such as %s",
        path or "config",
        number,
        int(number, 8),
        number.lstrip("0") or "0",
    )
