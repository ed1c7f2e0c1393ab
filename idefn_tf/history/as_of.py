"""As of: the moment whose knowledge a row may use, and when events become known.

Times are int64 in the schema's unit. `NEVER` stands for what did not happen.
"""

from __future__ import annotations

import numpy as np

from idefn_tf.schema import History, Labels, Schema, zones
from idefn_tf.schema.history import ALL
from idefn_tf.schema.moments import iso_moment, per_second

#: The time of what did not happen.
NEVER = np.iinfo(np.int64).max
_HOURS = {"h": 1, "d": 24}
_DAY, _HOUR = 86_400, 3_600


def units(labels: Labels) -> int:
    """Returns how many units of the schema's time a second has."""
    return per_second(labels.time_unit)


def span(duration: str | None, labels: Labels) -> int | None:
    """Returns a duration such as 6h or 7d in the schema's unit; None for all time."""
    if duration is None or duration == ALL:
        return None
    return int(duration[:-1]) * _HOURS[duration[-1]] * _HOUR * units(labels)


def lag(history: History | None, labels: Labels) -> int:
    """Returns how much later than it happened an event is known, in the schema's unit."""
    return (span(history.lag, labels) if history is not None else None) or 0


def known_at(history: History | None, labels: Labels) -> int | None:
    """Returns the moment from which a stream without times is known, in the schema's unit."""
    if history is None or history.known_at is None:
        return None
    return iso_moment(history.known_at, labels.time_unit, labels.time_zone)


def as_of(times: np.ndarray, history: History | None, labels: Labels) -> np.ndarray:
    """Returns the moment whose knowledge each row may use.

    `continuous` is the row's own time; `hourly` the last full hour and `daily` the beginning of the
    day, as clocks of `labels.time_zone` show them. An event is seen if it was known before that.

    Args:
        times: of the rows, int64 [n].
        history: says how often features are refreshed.
        labels: say unit and zone.
    """
    refresh = "continuous" if history is None else history.refresh
    if refresh == "continuous":
        return times
    second = units(labels)
    whole = np.floor_divide(times, second)
    zone = zones.offsets(labels.time_zone)
    east = np.asarray(zone.seconds)[np.searchsorted(zone.changes, whole, side="right")]
    local = whole + east
    step = _HOUR if refresh == "hourly" else _DAY
    begun = np.mod(local, step)
    east = np.asarray(zone.seconds)[np.searchsorted(zone.clock_changes, local - begun, "right")]
    found = local - begun - east
    if refresh == "hourly":  # an hour that clocks show twice begins twice, a day once
        change = np.asarray([-_DAY, *zone.changes])[np.searchsorted(zone.changes, whole, "right")]
        found = np.where(whole - begun >= change, whole - begun, found)
        # where clocks skipped the full hour, the one before it is the last that they showed
        earlier = found - 1
        at = earlier + np.asarray(zone.seconds)[np.searchsorted(zone.changes, earlier, "right")]
        here = found + np.asarray(zone.seconds)[np.searchsorted(zone.changes, found, "right")]
        found = np.where(np.mod(here, step) == 0, found, earlier - np.mod(at, step))
    return found * second


def next_refresh(schema: Schema, moment: int) -> int:
    """Returns the first moment from `moment` on of which features are computed.

    With `refresh: daily` that is the next midnight, with `continuous` the moment itself.
    """
    refresh = schema.past.refresh
    begun = last_refresh(schema, moment)
    if begun == moment:
        return moment
    hours = 36.0 if refresh == "daily" else 1.5  # well inside the next one, long days and short
    return last_refresh(schema, begun + round(hours * 3600 * units(schema.labels)))


def refreshes(schema: Schema, first: int, days: int) -> np.ndarray:
    """Returns every moment of `days` days from `first` on of which features are computed, rising.

    Empty with `refresh: continuous`, where it is every moment.
    """
    if schema.past.refresh == "continuous":
        return np.empty(0, np.int64)
    step = (12 * 3600 if schema.past.refresh == "daily" else 1800) * units(schema.labels)
    moments = np.arange(first, first + days * 86_400 * units(schema.labels), step)
    return np.unique(as_of(moments, schema.history, schema.labels))


def last_refresh(schema: Schema, moment: int) -> int:
    """Returns the last moment up to `moment` of which features are computed."""
    return int(as_of(np.array([moment], np.int64), schema.history, schema.labels)[0])
