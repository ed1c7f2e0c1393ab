"""Splits by date: which days are train, validation and test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import ibis
import ibis.expr.types as ir

from pipelines.preparation.engine import translated_errors

#: The parts of a split, in the order of time.
PARTS = ("train", "validation", "test")
#: The name of the only part of data that are not split.
ALL = "all"

_RANGE = re.compile(r"^(?P<part>\w+)=(?P<first>\d{4}-\d\d-\d\d)(?:\.\.(?P<last>\d{4}-\d\d-\d\d))?$")


@dataclass(frozen=True)
class Split:
    """Named spans of days, both ends included; no span at all means one part called "all"."""

    spans: Mapping[str, tuple[date, date]]

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts."""
        return tuple(self.spans) or (ALL,)

    def label(self, table: ir.Table) -> ir.StringValue:
        """Returns the part of each row from its `day` (YYYYMMDD), or null outside every span.

        Raises:
            ValueError: if there are spans and the table has no days.
        """
        if not self.spans:
            return ibis.literal(ALL)
        if "day" not in table.columns:
            raise ValueError("--split: must be auto, this data set has no days; remove the dates")
        day = table["day"]
        return ibis.cases(
            *((day.between(number(a), number(b)), part) for part, (a, b) in self.spans.items())
        )

    def describe(self) -> dict[str, str]:
        """Returns each part's span as text, such as "2022-04-25..2022-05-02"."""
        return {part: f"{a}..{b}" for part, (a, b) in self.spans.items()}


@dataclass(frozen=True)
class NamedParts:
    """Parts that a data set names itself, row by row in its column `part`; it has no days.

    Attributes:
        rules: for each part, in words, which rows it holds.
    """

    rules: Mapping[str, str]

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts."""
        return tuple(self.rules)

    def label(self, table: ir.Table) -> ir.StringValue:
        """Returns the part of each row."""
        return table["part"]

    def describe(self) -> dict[str, str]:
        """Returns which rows each part holds, in words."""
        return dict(self.rules)


def number(day: date) -> int:
    """Writes a date as the integer YYYYMMDD."""
    return day.year * 10000 + day.month * 100 + day.day


def from_number(value: int) -> date:
    """Reads a date from the integer YYYYMMDD.

    Raises:
        ValueError: if it is no date.
    """
    try:
        return date(value // 10000, value // 100 % 100, value % 100)
    except ValueError:
        raise ValueError(f"date: must be YYYYMMDD, received {value}") from None


def parse(text: str) -> Split | None:
    """Reads ``train=2022-04-25..2022-05-02,validation=...,test=...``; "auto" gives None.

    Raises:
        ValueError: if it is written otherwise, a part is missing or spans overlap.
    """
    if text == "auto":
        return None
    spans: dict[str, tuple[date, date]] = {}
    for piece in text.split(","):
        match = _RANGE.match(piece.strip())
        if match is None or match["part"] not in PARTS or match["part"] in spans:
            raise ValueError(
                f"--split: must be auto or train=FIRST..LAST,validation=FIRST..LAST,"
                f"test=FIRST..LAST with days such as 2022-04-25, received {piece.strip()!r}"
            )
        try:
            first = date.fromisoformat(match["first"])
            last = date.fromisoformat(match["last"] or match["first"])
        except ValueError:
            raise ValueError(
                f"--split: {piece.strip()!r} holds a day that does not exist"
            ) from None
        if last < first:
            raise ValueError(f"--split: {piece.strip()!r} ends before it begins")
        spans[match["part"]] = (first, last)
    missing = [part for part in PARTS if part not in spans]
    if missing:
        raise ValueError(f"--split: must also give {' and '.join(missing)}, received {text!r}")
    ordered = {part: spans[part] for part in PARTS}
    for before, after in pairwise(PARTS):
        if ordered[after][0] <= ordered[before][1]:
            raise ValueError(
                f"--split: {after} must begin after the last day of {before}, received {text!r}"
            )
    return Split(ordered)


def last_days(days: Sequence[int], held_out: int = 2) -> Split:
    """Splits the days found: the last two are test, the two before validation, the rest train.

    Raises:
        ValueError: if that leaves no day for train.
    """
    found = sorted(days)
    if len(found) < 2 * held_out + 1:
        span = f"{from_number(found[0])}..{from_number(found[-1])}" if found else "no day"
        raise ValueError(
            f"--split: auto needs at least {2 * held_out + 1} days, received {len(found)} "
            f"({span}); give more of the log, or say the days yourself: "
            "--split train=FIRST..LAST,validation=FIRST..LAST,test=FIRST..LAST"
        )
    at = [found[0], found[-2 * held_out - 1], found[-2 * held_out], found[-held_out - 1]]
    at += [found[-held_out], found[-1]]
    dates = [from_number(value) for value in at]
    return Split({part: (dates[2 * i], dates[2 * i + 1]) for i, part in enumerate(PARTS)})


def days(table: ir.Table) -> list[int]:
    """Returns the days (YYYYMMDD) that a table of exposures holds, in order.

    Raises:
        ValueError: if it holds none, or a day that is none.
    """
    with translated_errors("reading the logs"):
        found = table.select("day").distinct().order_by("day").to_pyarrow()["day"].to_pylist()
    if not found:
        raise ValueError("--raw: the logs must hold at least one exposure, received none")
    return [day for day in found if day is not None and from_number(day)]
