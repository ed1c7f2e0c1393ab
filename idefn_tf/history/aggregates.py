"""Aggregates: counts, smoothed rates, sums and hours since the last, as of each row's moment.

A window w holds the events that became known at as-of - w or later, and before as-of. Counts are
differences of running sums over the sorted stream, in whole numbers: later events change no bit.

::

    rate = (events + smoothing * prior) / (exposures + smoothing)

over the exposures whose outcome had become final in the window, so that both have equal maturity.

Source: smoothing with a prior is that of Micci-Barreca, SIGKDD Explorations 3(1), 2001, eq. (4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from idefn_tf.history.as_of import span, units
from idefn_tf.history.event_log import RATED, EventLog
from idefn_tf.history.sorted_stream import NO_KEY, SortedStream, codes
from idefn_tf.schema import HistoryAggregate, Schema

#: Share of exposures with each event, by event.
Priors = Mapping[str, float]
# halves of a float64 as whole numbers: its floor, and the rest in steps of 2**-40
_FRACTION = 2.0**40


def learn_priors(events: EventLog) -> dict[str, float]:
    """Returns the share of exposures with a click and with a conversion; 0 of no exposure.

    Args:
        events: the exposures of training days, outcomes final.
    """
    return {
        event: float(np.mean(events.happened[event])) if len(events) else 0.0 for event in RATED
    }


def aggregate_columns(
    schema: Schema,
    events: EventLog,
    keys: Mapping[str, np.ndarray],
    moments: np.ndarray,
    priors: Priors,
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the columns of every aggregate, float32 [n], by name.

    Args:
        schema: says which.
        events: all of them, later ones too.
        keys: of the rows, by feature.
        moments: the rows' as-of, int64 [n].
        priors: what rates are drawn to.
    """
    for aggregate in schema.history.aggregates if schema.history else ():
        of_events, of_rows = codes(
            [events.features[name] for name in aggregate.keys],
            [keys[name] for name in aggregate.keys],
        )
        yield from _columns(schema, aggregate, events, of_events, of_rows, moments, priors)


def _columns(
    schema: Schema,
    aggregate: HistoryAggregate,
    events: EventLog,
    of_events: np.ndarray,
    of_rows: np.ndarray,
    moments: np.ndarray,
    priors: Priors,
) -> Iterator[tuple[str, np.ndarray]]:
    assert schema.history is not None
    absent = of_rows == NO_KEY
    asked = np.where(absent, 0, of_rows)
    looks: dict[tuple[str, bool], _Look] = {}
    for column in aggregate.columns:
        rated = column.measure == "rate"
        if (column.event, rated) not in looks:
            times = (events.final if rated else events.known)[column.event]
            looks[column.event, rated] = _Look(of_events, times, asked, moments, absent)
        look = looks[column.event, rated]
        width = span(column.window, schema.labels)
        if column.measure == "count":
            start, end = look.window(width)
            found = (end - start).astype(np.float64)
        elif rated:
            start, end = look.window(width)
            smoothing = schema.history.smoothing
            hits = _between(events.happened[column.event][look.order].astype(np.int64), start, end)
            shown = end - start
            prior = priors[column.event]
            with np.errstate(invalid="ignore", divide="ignore"):
                found = (hits + smoothing * prior) / (shown + smoothing)
            found = np.where(shown + smoothing > 0, found, prior)
        elif column.measure == "sum":
            start, end = look.window(width)
            found = _sums(events.values[str(aggregate.value)][look.order], start, end)
        else:
            hour = 3600.0 * units(schema.labels)
            found = look.since() / hour
        yield column.name, found.astype(np.float32)


class _Look:
    """One stream, seen from the rows."""

    def __init__(
        self,
        of_events: np.ndarray,
        times: np.ndarray,
        of_rows: np.ndarray,
        moments: np.ndarray,
        absent: np.ndarray,
    ) -> None:
        self._stream = SortedStream.of(of_events, times)
        self.order = self._stream.order
        self._codes, self._moments = of_rows, moments
        self._end = self._stream.before(of_rows, moments)
        self._start = np.where(absent, self._end, self._stream.start(of_rows))

    def window(self, width: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Returns where the events of the window begin and end, in the stream."""
        if width is None:
            return self._start, self._end
        start = self._stream.before(self._codes, self._moments - width)
        return np.maximum(start, self._start), self._end

    def since(self) -> np.ndarray:
        """Returns the time since the last event, float64, NaN where there is none."""
        there = self._end > self._start
        if not len(self._stream):
            return np.full(len(there), np.nan)
        last = self._stream.times[np.where(there, self._end - 1, 0)]
        return np.where(there, (self._moments - last).astype(np.float64), np.nan)


def _between(values: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Sums whole numbers from `start` to `end`."""
    running = np.concatenate([[0], np.cumsum(values)])
    return running[end] - running[start]


def _sums(values: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Sums floats as whole numbers, so that neither order nor other keys change a digit."""
    floor = np.floor(values)
    rest = np.floor((values - floor) * _FRACTION).astype(np.int64)
    whole = _between(floor.astype(np.int64), start, end)
    return whole + _between(rest, start, end) / _FRACTION
