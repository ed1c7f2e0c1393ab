"""Times in raw tables, lowered to the engines: what `idefn_tf.schema.cells` says of one text.

All of it is arithmetic on whole numbers, so that no engine's rounding, time zone or own idea of a
time enters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import ibis
import ibis.expr.types as ir

from idefn_tf.schema import cells, zones
from idefn_tf.schema.moments import per_second
from pipelines.preparation import text_forms
from pipelines.preparation.findings import Rule

Unit = Literal["ms", "s"]
#: Whole numbers in this span are days written YYYYMMDD.
DAYS = (19_000_101, 29_991_231)
#: Seconds since 1970 of the years 1 to 9999; numbers beyond are no times, or of another unit.
_SPAN = (-62_135_596_800, 253_402_300_799)
_FORMS = (
    "2024-05-01 10:00:00 or 01.05.2024 10:00, with an offset such as +09:00 or without, 20240501, "
    "or whole {unit} since 1970"
)


@dataclass(frozen=True)
class _Read:
    """A column of times: whole units since 1970, and where they count from 1970 in UTC."""

    ticks: ir.IntegerValue
    absolute: ir.BooleanValue


def epoch(value: ir.Value, unit: Unit, zone: str = "UTC") -> ir.IntegerValue:
    """Returns a time as whole seconds or milliseconds of UTC since 1970, null where it is none.

    Timestamps and dates, texts such as "2024-05-01 10:00:00" or "01.05.2024 10:00" with or without
    an offset, days written YYYYMMDD, and numbers that are already in the unit are understood.
    Decimals beyond the unit are cut off, never rounded.

    Args:
        value: the raw column.
        unit: the schema's unit.
        zone: where times without an offset were read from a clock.
    """
    read = _read(value, unit)
    if zone == "UTC":
        return read.ticks
    factor, found = per_second(unit), zones.offsets(zone)

    def to_utc(ticks: ir.IntegerValue) -> ir.IntegerValue:
        east = _stepwise(ticks // factor, found.clock_changes, found.seconds)
        return ibis.ifelse(read.absolute, ticks, ticks - east * factor)

    return _once(read.ticks, to_utc)


def rule(name: str, value: ir.Value, made: ir.IntegerValue, unit: Unit, source: str) -> Rule:
    """Returns the rule that a raw value which is there is a time.

    Args:
        name: the column.
        value: the raw column.
        made: its times.
        unit: the schema's unit.
        source: the file.
    """
    words = _FORMS.format(unit="milliseconds" if unit == "ms" else "seconds")
    text = f"must be a time (in {source}): {words}"
    return Rule(name, text, text_forms.present(value, "int64") & made.isnull())


def days(time: ir.IntegerValue, unit: Unit, zone: str) -> ir.IntegerValue:
    """Returns the day (YYYYMMDD) of a time since 1970, as calendars of a zone show it.

    Args:
        time: in the unit.
        unit: the schema's unit.
        zone: whose midnight begins a day.
    """
    seconds = time // per_second(unit)
    if zone == "UTC":
        return day_number(seconds)
    found = zones.offsets(zone)
    return _once(seconds, lambda s: day_number(s + _stepwise(s, found.changes, found.seconds)))


def day_number(seconds: ir.IntegerValue) -> ir.IntegerValue:
    """Returns the day (YYYYMMDD) of seconds since 1970, by plain arithmetic."""
    return _once(seconds // 86_400 + 719_468, _day_number)


def _day_number(days: ir.IntegerValue) -> ir.IntegerValue:
    """Returns the date of days since the first of March of year 0.

    Neri and Schneider, "Euclidean affine functions and their application to calendar algorithms",
    2022: each line names the one before once or twice, which keeps the engine's expression short.
    """
    in_quarters = 4 * days + 3
    century = in_quarters // 146_097
    of_century = in_quarters % 146_097 // 4
    scaled = 2_939_745 * (4 * of_century + 3)
    year = 100 * century + scaled // 2**32
    of_year = scaled % 2**32 // 2_939_745 // 4
    shifted = 2_141 * of_year + 197_913
    month, date = shifted // 2**16, shifted % 2**16 // 2_141 + 1
    # months 13 and 14 are January and February of the year that follows
    number = (year * 100 + month) * 100 + date + ibis.ifelse(of_year >= 306, 8_800, 0)
    return number.cast("int64")


def _stepwise(
    value: ir.IntegerValue, steps: tuple[int, ...], results: tuple[int, ...]
) -> ir.IntegerValue:
    """Returns the result that stands between the last step not above the value and the next."""
    if not steps:
        return ibis.literal(results[0], "int64")
    below = ibis.literal(list(steps), "array<int64>").filter(lambda step: step <= value)
    return ibis.literal(list(results), "array<int64>")[below.length()]


def _read(value: ir.Value, unit: Unit) -> _Read:
    kind = value.type()
    if kind.is_date():
        return _Read(_since_1970(value.cast("timestamp"), unit), ibis.literal(False))
    if kind.is_timestamp():
        absolute = ibis.literal(kind.timezone is not None)
        return _Read(_since_1970(value.cast("timestamp"), unit), absolute)
    number = text_forms.as_dtype(value, "int64")
    numbers = _Read(_once(number, lambda n: _from_number(n, unit)), ~number.between(*DAYS))
    if not isinstance(value, ir.StringValue):
        return numbers
    text = value.strip()
    plain = text.re_search(cells.TIME)
    loose = text.re_search(cells.YEAR_FIRST) | text.re_search(cells.DAY_FIRST)
    laid_out = _laid_out(text)
    ticks = ibis.cases(
        (plain, _ticks(text, unit)),
        (loose, _once(laid_out, lambda found: _if_time(found, unit))),
        else_=numbers.ticks,
    )
    zoned = ibis.cases(
        (plain, _zoned(text)), (loose, _once(laid_out, _zoned)), else_=numbers.absolute
    )
    return _Read(ticks, zoned)


def _once(value: ir.Value, rule: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """Returns rule(value), which engines would compute anew wherever the rule names the value."""
    return ibis.array([value]).map(rule)[0]


def _from_number(number: ir.IntegerValue, unit: Unit) -> ir.IntegerValue:
    """Returns a number as it is, YYYYMMDD as its midnight, null beyond the years 1 to 9999."""
    first, last = _SPAN
    factor = per_second(unit)
    digits = number.cast("string")
    date = _civil(digits.substr(0, 4), digits.substr(4, 2), digits.substr(6, 2))
    is_time = number.between(first * factor, (last + 1) * factor - 1)
    return ibis.cases((number.between(*DAYS), date * 86_400 * factor), (is_time, number))


def _since_1970(stamp: ir.TimestampValue, unit: Unit) -> ir.IntegerValue:
    # cut to the second first: an engine's seconds have decimals, which its cast would round
    seconds = stamp.truncate("s").epoch_seconds().cast("int64")
    return seconds * 1000 + stamp.millisecond().cast("int64") if unit == "ms" else seconds


def _laid_out(text: ir.StringValue) -> ir.StringValue:
    """Returns a time that people wrote as `cells.TIME` has it; see `cells.laid_out`."""
    year_first, day_first = (
        [text.re_extract(form, i) for i in range(1, 5)]
        for form in (cells.YEAR_FIRST, cells.DAY_FIRST)
    )
    turned = [day_first[i] for i in (2, 1, 0, 3)]
    is_turned = text.re_search(cells.DAY_FIRST)
    year, month, day, rest = (
        ibis.ifelse(is_turned, one, other) for one, other in zip(turned, year_first, strict=True)
    )
    date = year + "-" + ("0" + month).right(2) + "-" + ("0" + day).right(2)
    return date + _once(rest, _clock)


def _clock(rest: ir.StringValue) -> ir.StringValue:
    """Returns "T08:00" for " 8:00"; what is no time of day stays, and is refused."""
    clock = rest.re_extract(cells.TIME_OF_DAY, 1)
    padded = ibis.ifelse(clock.re_search("^[0-9]:"), "T0" + clock, "T" + clock)
    return ibis.ifelse(clock == "", rest, padded)


def _ticks(text: ir.StringValue, unit: Unit) -> ir.IntegerValue:
    """Returns units since 1970 of a laid-out time, of UTC where it has an offset."""
    tail = text.substr(16)
    days = _civil(text.substr(0, 4), text.substr(5, 2), text.substr(8, 2))
    hours, minutes = _number(text.substr(11, 2)), _number(text.substr(14, 2))
    second = ibis.ifelse(tail.substr(0, 1) == ":", _number(tail.substr(1, 2)), 0)
    seconds = days * 86_400 + hours * 3600 + minutes * 60 + second
    offset = tail.re_extract(cells.OFFSET, 1).replace(":", "")
    east = _number(offset.substr(1, 2)) * 3600 + _number(offset.substr(3, 2)) * 60
    seconds -= ibis.ifelse(offset.substr(0, 1) == "-", -east, east)
    if unit == "s":
        return seconds
    decimals = tail.re_extract(cells.DECIMALS, 1)
    return seconds * 1000 + _number((decimals + "000").substr(0, 3))


def _if_time(text: ir.StringValue, unit: Unit) -> ir.IntegerValue:
    return ibis.ifelse(text.re_search(cells.TIME), _ticks(text, unit), ibis.null("int64"))


def _zoned(text: ir.StringValue) -> ir.BooleanValue:
    tail = text.substr(16)
    return tail.re_search(cells.OFFSET) | tail.re_search(cells.ZULU)


def _number(digits: ir.StringValue) -> ir.IntegerValue:
    return ibis.coalesce(digits.try_cast("int64"), 0)


def _civil(year: ir.StringValue, month: ir.StringValue, day: ir.StringValue) -> ir.IntegerValue:
    """Returns the days since 1970 of a date in digits, null where it does not exist."""
    y, m, d = _number(year), _number(month), _number(day)
    leap = (y % 4 == 0) & ((y % 100 != 0) | (y % 400 == 0))
    february = ibis.ifelse(leap, 29, 28)
    length = ibis.cases((m == 2, february), (m.isin([4, 6, 9, 11]), 30), else_=31)
    exists = m.between(1, 12) & d.between(1, length)
    march = y - ibis.ifelse(m <= 2, 1, 0)  # the year that begins in March
    of_year = (153 * ((m + 9) % 12) + 2) // 5 + d - 1
    days = march * 365 + march // 4 - march // 100 + march // 400 + of_year - 719_468
    return ibis.ifelse(exists, days.cast("int64"), ibis.null("int64"))
