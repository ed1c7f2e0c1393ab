"""What a cell of a raw table means: missing, numbers, booleans, text of typed values, times.

Words and patterns as plain data, and their meaning in plain Python; `pipelines` lowers the same
data to its engines. Patterns keep to what every engine's regular expressions share: no backslashes.
`docs/cells.md` says the same to users, `idefn_tf.schema.lists` what a list is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

#: What is trimmed around numbers, words and pieces of lists; text of nothing else is missing.
BLANKS = " \t\n\r\v\f"
#: Words for a value that is not there, in columns of numbers, booleans and times. In features of
#: text they are values, unless the schema's `missing_words` has them.
MISSING_WORDS = ("NA", "N/A", "NULL", "null", "None", "nan", "NaN")
#: Words for 1 and 0, in lower case: for int64 features and labels.
TRUE, FALSE = ("true", "t", "yes", "y"), ("false", "f", "no", "n")
#: A number: sign, digits, point, exponent. No 1_0, 0x10, 1d, 1.5f, 7L, inf.
NUMBER = "^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$"
#: A whole number written without an exponent, which is read exactly: 4, 4.0.
WHOLE = "^[+-]?[0-9]+([.]0*)?$"
#: A number with a decimal comma, thousands set apart by points or not at all.
DECIMAL_COMMA = "^[+-]?([0-9]{1,3}([.][0-9]{3})+|[0-9]+),[0-9]+$"
#: Text of a list with its brackets is refused: ["a", "b"], [1, 2].
BRACKETS = ("[", "]")
#: A float holds every whole number up to this, and not every one beyond.
EXACT = 2**53
#: The least and the greatest int64, and the greatest float32.
LEAST, GREATEST = -(2**63), 2**63 - 1
LARGEST_FLOAT32 = 3.4028234663852886e38

_SHOWN = 80
_TIMES = ("datetime64", "timedelta64")
_CLOCK = "(([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]{1,9})?)?|24:00(:00([.,]0{1,9})?)?)"
_ZONE = "( *([Zz]|UTC|GMT|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?))?"
#: A time laid out: 2024-05-01, a time of day with up to nine decimals of its second, an offset.
TIME = f"^[0-9]{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([Tt ]{_CLOCK}{_ZONE})?$"
#: Dates as people write them: year, month, day and the rest; day, month, year and the rest.
YEAR_FIRST = "^([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})($|[Tt ].*$)"
DAY_FIRST = "^([0-9]{1,2})[.]([0-9]{1,2})[.]([0-9]{4})($|[Tt ].*$)"
#: The rest after a date: blanks or a T, then the time of day.
TIME_OF_DAY = "^[Tt ] *([0-9].*)$"
#: At the end of a laid-out time: decimals of the second, an offset, a word for UTC.
DECIMALS, OFFSET, ZULU = "[.,]([0-9]+)", "([+-][0-9:]+)$", "([Zz]|UTC|GMT)$"

_NANOSECONDS = 10**9


@dataclass(frozen=True)
class Moment:
    """A time as it was written.

    Attributes:
        nanoseconds: since 1970: of UTC where the text has an offset, of the clock it was read from
            where it has none.
        zoned: whether the text has an offset.
    """

    nanoseconds: int
    zoned: bool


def laid_out(text: str) -> str | None:
    """Returns a time as `TIME` has it: "2024-05-01T08:00" for "1.5.2024 8:00"; None for others."""
    text = text.strip(" ")
    if re.search(TIME, text):
        return text
    if found := re.search(YEAR_FIRST, text):
        year, month, day, rest = found.groups()
    elif found := re.search(DAY_FIRST, text):
        day, month, year, rest = found.groups()
    else:
        return None
    clock = re.search(TIME_OF_DAY, rest)
    if rest and clock is None:
        return None
    text = f"{year}-{month:0>2}-{day:0>2}"
    if clock:
        hour = "0" if clock[1][1:2] == ":" else ""
        text += f"T{hour}{clock[1]}"
    return text if re.search(TIME, text) else None


def read_time(text: str) -> Moment | None:
    """Reads a time of day and date, with or without an offset; None where the text is none."""
    text = laid_out(text) or ""
    try:
        days = (date(int(text[:4]), int(text[5:7]), int(text[8:10])) - date(1970, 1, 1)).days
    except ValueError:  # no time at all, or a day that does not exist
        return None
    tail = text[16:]
    second = int(tail[1:3]) if tail.startswith(":") else 0
    seconds = days * 86_400 + int(text[11:13] or 0) * 3600 + int(text[14:16] or 0) * 60 + second
    decimals = re.search(DECIMALS, tail)
    nanoseconds = int(decimals[1].ljust(9, "0")) if decimals else 0
    offset = re.search(OFFSET, tail)
    if offset:
        digits = offset[1].replace(":", "")
        east = int(digits[1:3]) * 3600 + int(digits[3:5] or 0) * 60
        seconds -= east if digits[0] == "+" else -east
    zoned = offset is not None or re.search(ZULU, tail) is not None
    return Moment(seconds * _NANOSECONDS + nanoseconds, zoned)


def is_missing(text: str, dtype: str, words: Collection[str] = ()) -> bool:
    """Whether text stands for a value that is not there.

    Args:
        text: as it is written.
        dtype: of the feature; "string" takes the usual words for values.
        words: the schema's `missing_words`.
    """
    text = text.strip(BLANKS)
    return not text or text in words or (dtype != "string" and text in MISSING_WORDS)


def read_number(text: str, comma: bool = False) -> int | float | None:
    """Reads a number: an int where it is whole and exact, else a float; None where it is none.

    Args:
        text: blanks around it do not count.
        comma: whether a decimal comma may stand in it, as in files whose separator is no comma.
    """
    text = text.strip(BLANKS)
    if comma and re.search(DECIMAL_COMMA, text):
        text = text.replace(".", "").replace(",", ".")
    if not re.search(NUMBER, text):
        return None
    if re.search(WHOLE, text) and len(text) < 400:
        return int(text.partition(".")[0])
    number = float(text)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) <= EXACT else number


def read_truth(text: str) -> int | None:
    """Reads a word for true (1) or false (0); None where it is none."""
    word = text.strip(BLANKS).lower()
    return 1 if word in TRUE else 0 if word in FALSE else None


def read_whole(text: str, comma: bool = False) -> int | None:
    """Reads an int64: a whole number or a word for true or false; None where it is none."""
    number = read_number(text, comma)
    if number is None:
        return read_truth(text)
    return number if isinstance(number, int) and LEAST <= number <= GREATEST else None


def text_of(value: Any) -> str:
    """Returns the text of a typed value, as features of dtype string read it.

    Raises:
        ValueError: with the rule and the cure, for a value that has no one text.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        if isinstance(value, float) and value.is_integer() and abs(value) > EXACT:
            raise _no_text(value, "a whole number beyond 2**53, which a float does not hold")
        if math.isfinite(value) and value == int(value):
            return str(int(value))
        raise _no_text(value, "a fraction")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise _no_text(value, "bytes that are not UTF-8") from None
    raise _no_text(value, f"a {type(value).__name__}")


def _no_text(value: Any, what: str) -> ValueError:
    return ValueError(
        f"must be text, a whole number, a boolean or a UUID, received {what}: {shown(value)}; "
        "write it as text, or declare float32"
    )


def plain(value: Any) -> Any:
    """Returns NumPy's scalars as Python's; times as they are, because `item` makes numbers of them.

    Args:
        value: any cell.
    """
    is_time = type(value).__name__ in _TIMES
    return value.item() if hasattr(value, "item") and not is_time else value


def is_null(value: Any) -> bool:
    """Whether a value is None, NaN, NaT, or pandas' NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    scalar = hasattr(value, "__float__") or type(value).__name__ in _TIMES
    return bool(scalar and not hasattr(value, "__len__") and value != value)


def listed(value: Any) -> list[Any] | None:
    """Returns the entries of a list, tuple, array or Arrow list; None where it is no list."""
    if isinstance(value, list | tuple):
        return list(value)
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "kind", "") in ("M", "m"):  # `tolist` makes numbers of times
        return list(value) if getattr(value, "ndim", 0) else None
    items = value.tolist() if hasattr(value, "tolist") else None
    return items if isinstance(items, list) else None


def in_brackets(text: str) -> bool:
    """Whether text is a list written with its brackets."""
    text = text.strip(BLANKS)
    return text.startswith(BRACKETS[0]) and text.endswith(BRACKETS[1])


def shown(value: Any) -> str:
    """Returns a value as messages show it: cut to 80 characters."""
    text = repr(value[:_SHOWN] if isinstance(value, str | bytes) else value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
