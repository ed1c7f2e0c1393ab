"""Time zones: their names, and how far their clocks stand from UTC."""

from __future__ import annotations

import difflib
import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

_DAY = 86_400
#: The beginning of 1970, and of 2100.
_FIRST, _LAST = 0, 4_102_444_800
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Offsets:
    """How far a zone's clocks stood from UTC, and when that changed.

    Attributes:
        changes: when clocks change, in seconds of UTC since 1970, rising.
        seconds: how far clocks stand east of UTC before each change, and after the last
            [changes + 1].
    """

    changes: tuple[int, ...]
    seconds: tuple[int, ...]

    @property
    def clock_changes(self) -> tuple[int, ...]:
        """The changes as clocks show them, in seconds since 1970: until then the offset holds.

        What is shown twice belongs to the offset before, and so does what is skipped.
        """
        pairs = zip(self.seconds, self.seconds[1:], strict=False)
        return tuple(at + max(pair) for at, pair in zip(self.changes, pairs, strict=True))


def check(name: str) -> str:
    """Returns the name of a time zone.

    Raises:
        ValueError: if there is none of that name.
    """
    if name == "UTC":
        return name
    known = available_timezones()
    if name not in known:
        near = difflib.get_close_matches(name, known, 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; an offset may not stand here"
        raise ValueError(f"must be an IANA name such as Asia/Shanghai, received {name!r}{hint}")
    return name


@functools.cache
def offsets(zone: str) -> Offsets:
    """Returns a zone's offsets from 1970 to 2100; before and after, the nearest of them holds."""
    place = ZoneInfo(zone)

    def east(at: int) -> int:
        offset = (_EPOCH + timedelta(seconds=at)).astimezone(place).utcoffset()
        return (offset or timedelta(0)) // timedelta(seconds=1)

    changes, seconds = [], [east(_FIRST)]
    for day in range(_FIRST, _LAST, _DAY):
        after = east(day + _DAY)
        if after == seconds[-1]:
            continue
        low, high = day, day + _DAY
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if east(middle) == after else (middle, high)
        changes.append(high)
        seconds.append(after)
    return Offsets(tuple(changes), tuple(seconds))
