"""What a cell of a raw table means: times.

Patterns as plain data, and their meaning in plain Python; `pipelines` lowers the same patterns to
its engines. They keep to what every engine's regular expressions share: no backslashes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

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
