"""The label columns and the exposure time: found, checked, described."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from idefn_tf.schema import cells
from pipelines.schema_inference.profile import Profile

_TIME_NAMES = re.compile(
    r"(^|_)(time|timestamp|ts|date|datetime|at|time_ms|created|epoch|unix)($|_)", re.IGNORECASE
)
#: Seconds, milliseconds and days (YYYYMMDD) as whole numbers: from 2001 to 2100.
_SECONDS, _MILLISECONDS = (978_307_200, 4_102_444_800), (978_307_200_000, 4_102_444_800_000)
_DAYS = (20_010_101, 21_001_231)
#: YYYYMMDDHH, which preparation refuses as ambiguous.
_HOURS = (1_970_010_100, 2_199_123_123)


def require(name: str, option: str, known: Sequence[str]) -> None:
    """Refuses a column that is not there, naming the nearest ones.

    Raises:
        ValueError: if it is not there.
    """
    if name not in known:
        near = difflib.get_close_matches(name, known, 3) or sorted(known)[:12]
        raise ValueError(
            f"{option}: {name!r} must be a column of the table; did you mean "
            f"{' or '.join(repr(n) for n in near)}?"
        )


def label(column: Profile, option: str) -> NDArray[np.float64]:
    """Returns a label as 0 and 1, nulls as 0.

    Raises:
        ValueError: if it holds something else, or one class only.
    """
    numbers = column.numbers
    if column.type == "text":
        numbers = _truth(column)
    if numbers is None or not np.isin(numbers[np.isfinite(numbers)], (0, 1)).all():
        shown = pc.unique(column.values).slice(0, 5).to_pylist() if len(column) else []
        raise ValueError(
            f"{option}: {column.name!r} must hold 0 and 1 (or true and false, yes and no), "
            f"received values such as {shown}; turn it into 0 and 1 first"
        )
    values = np.nan_to_num(numbers)
    if values.min() == values.max():
        raise ValueError(
            f"{option}: {column.name!r} holds {values[0]:g} on every one of {len(column):,} rows; "
            "a table of exposures has both. Are the unclicked rows in it?"
        )
    return values


def check_presence(click: Profile, clicks: NDArray[np.float64], conversion: Profile) -> None:
    """Refuses what preparation refuses: a click that is missing, a clicked row's conversion.

    Raises:
        ValueError: naming the column and how many rows.
    """
    for option, column, needed in (
        ("--click", click, np.ones(len(clicks), bool)),
        ("--conversion", conversion, clicks == 1),
    ):
        missing = int((needed & ~column.present).sum())
        if missing:
            where = "clicked row" if option == "--conversion" else "row"
            raise ValueError(
                f"{option}: {column.name!r} must hold 0 or 1 on every {where}, received none on "
                f"{missing:,}; write 0 where there was none"
            )


def _truth(column: Profile) -> NDArray[np.float64] | None:
    """Reads words such as yes and no; None where a value is neither."""
    trimmed = pc.utf8_trim(column.values, characters=cells.BLANKS)
    absent = pc.is_in(trimmed, pa.array(("", *cells.MISSING_WORDS)))
    lower = pc.utf8_lower(pc.if_else(absent, pa.scalar(None, pa.string()), trimmed))
    yes = pc.is_in(lower, pa.array(cells.TRUE))
    no = pc.is_in(lower, pa.array(cells.FALSE))
    if not pc.all(pc.or_(pc.or_(yes, no), pc.is_null(lower))).as_py():
        return None
    return np.where(np.asarray(lower.is_valid()), np.asarray(yes, np.float64), np.nan)


def time_unit(column: Profile) -> Literal["ms", "s"] | None:
    """Returns the unit of a time column ("ms" for dates and texts too), or None if it is none."""
    if column.type == "time":
        return "ms"
    if column.type != "integer" or column.numbers is None or not column.exact:
        return None
    numbers = column.numbers[np.isfinite(column.numbers)]
    if not numbers.size or _hours(numbers):
        return None
    low, high = numbers.min(), numbers.max()
    for unit, (first, last) in (("s", _SECONDS), ("ms", _MILLISECONDS), ("ms", _DAYS)):
        if first <= low and high <= last:
            return unit  # type: ignore[return-value]
    return None


def _hours(numbers: NDArray[np.float64]) -> bool:
    """Whether all numbers read as YYYYMMDDHH, which are no seconds."""
    month, day, hour = numbers // 10_000 % 100, numbers // 100 % 100, numbers % 100
    inside = (numbers >= _HOURS[0]) & (numbers <= _HOURS[1]) & (month >= 1) & (month <= 12)
    return bool(np.all(inside & (day >= 1) & (day <= 31) & (hour < 24)))


def is_moment(column: Profile) -> bool:
    """Whether a column holds points in time: by its type, or by its name and its numbers."""
    named = _TIME_NAMES.search(column.name) is not None
    return column.type == "time" or (named and time_unit(column) is not None) or is_inexact(column)


def is_inexact(column: Profile) -> bool:
    """Whether a column holds seconds or milliseconds that preparation refuses as a time.

    They have fractions, or stand in a float32 column, which is too coarse for them.
    """
    if not _TIME_NAMES.search(column.name) or column.numbers is None:
        return False
    numbers = column.numbers[np.isfinite(column.numbers)]
    whole = column.type == "integer" and column.exact
    return (
        not whole
        and bool(numbers.size)
        and any(
            low <= numbers.min() and numbers.max() <= high
            for low, high in (_SECONDS, _MILLISECONDS)
        )
    )


def find_time(columns: Sequence[Profile]) -> Profile | None:
    """Finds a column that may be the time of the exposure: a time on every row, by name first."""
    found = [c for c in columns if c.values.null_count == 0 and time_unit(c) is not None]
    named = [c for c in found if _TIME_NAMES.search(c.name)]
    named += [c for c in found if c.type == "time" and c not in named]
    return max(named, key=lambda c: c.distinct, default=None)
