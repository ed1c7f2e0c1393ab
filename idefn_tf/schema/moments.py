"""Moments as people write them, in whole units of a schema's time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_PER_SECOND = {"ms": 1000, "s": 1}
#: Milliseconds before 1971 that would be seconds after 2000 are seconds; smaller ones may count
#: from the beginning of a log.
SECONDS = (978_307_200, 31_536_000_000)
#: Seconds beyond the year 2200 are of another unit.
LATEST_S = 7_258_118_400


def per_second(unit: str) -> int:
    """Returns how many units of time a second has."""
    return _PER_SECOND[unit]


def read_moment(text: str, unit: str, zone: str = "UTC") -> int:
    """Reads a whole number of units, or a day or moment in ISO form (`iso_moment`).

    Args:
        text: such as 2024-05-08, 2024-05-08T06:00 or 1715126400.
        unit: "ms" or "s".
        zone: where a moment without an offset is read from a clock.

    Raises:
        ValueError: if it is neither; the caller knows its name.
    """
    return int(text) if text.isdigit() else iso_moment(text, unit, zone)


def iso_moment(text: str, unit: str, zone: str = "UTC") -> int:
    """Reads a day or moment in ISO form; what is finer than the unit is cut off.

    Args:
        text: such as 2024-05-08 or 2024-05-08T06:00.
        unit: "ms" or "s".
        zone: where a moment without an offset is read from a clock.

    Raises:
        ValueError: if it is none; the caller knows its name.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since // (timedelta(seconds=1) / per_second(unit))


def wrong_unit(greatest: int, unit: str) -> str:
    """Returns the cure where the greatest of many times must be of another unit; else nothing.

    Args:
        greatest: in units since 1970.
        unit: "ms" or "s".
    """
    if unit == "s" and greatest > LATEST_S:
        return "if these are milliseconds, set labels.time_unit: ms"
    if unit == "ms" and SECONDS[0] <= greatest < SECONDS[1]:
        return "if these are seconds, set labels.time_unit: s"
    return ""
