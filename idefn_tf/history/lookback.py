"""Lookback: the events of one key as its rows see them, each row at its own moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from idefn_tf.history.event_kinds import Asked, EventKinds
from idefn_tf.history.event_log import EventLog
from idefn_tf.history.sorted_stream import SortedStream, codes

# parts of a float64 as whole numbers: its floor, and the rest in steps of 2**-40
_FRACTION = 2.0**40


@dataclass(frozen=True)
class Lookback:
    """The events of one key, sorted once for every measure and window.

    Rows are looked up in the order of key and moment, which walks through memory one way.

    Attributes:
        events: all of them.
        kinds: of the events.
        order: the rows that have the key, by key and moment, int64 [m].
        number: how many rows there are.
    """

    events: EventLog
    kinds: EventKinds
    order: np.ndarray
    number: int
    _of_events: np.ndarray = field(repr=False)
    _codes: np.ndarray = field(repr=False)
    _moments: np.ndarray = field(repr=False)
    _streams: dict[int, tuple[SortedStream, np.ndarray]] = field(default_factory=dict, repr=False)
    _ends: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, repr=False)
    _running: dict[Asked, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        events: EventLog,
        kinds: EventKinds,
        keys: Mapping[str, np.ndarray],
        moments: np.ndarray,
        names: tuple[str, ...],
    ) -> Lookback:
        """Numbers the keys and sorts the rows.

        Args:
            events: all of them, later ones too.
            kinds: of the events.
            keys: of the rows, by feature.
            moments: the rows' as-of, int64 [n].
            names: the one or two features of the key.
        """
        of_events, of_rows = codes(
            [events.features[name] for name in names], [keys[name] for name in names]
        )
        rows = SortedStream.of(of_rows, moments)
        return cls(
            events, kinds, rows.order, len(moments), of_events, rows.codes, moments[rows.order]
        )

    def counts(self, asked: Asked, width: int | None) -> np.ndarray:
        """Returns how many events the window holds, int64 [n].

        Args:
            asked: of which kind.
            width: of the window, in units of time; None for all time.
        """
        start, end = self._window(asked, width)
        if self.kinds.kinds[asked].flags is None:
            return self._spread(end - start, 0)
        if asked not in self._running:
            self._running[asked] = _running(self._flags(asked).astype(np.int64))
        running = self._running[asked]
        return self._spread(running[end] - running[start], 0)

    def sums(self, asked: Asked, width: int | None, value: str) -> np.ndarray:
        """Returns what a column adds up to in the window, float64 [n].

        Floats are added as whole numbers, so that neither order nor other keys change a digit.
        """
        start, end = self._window(asked, width)
        stream, _ = self._stream(asked)
        values = np.where(self._flags(asked), self.events.values[value][stream.order], 0.0)
        floor = np.floor(values)
        whole = _running(floor.astype(np.int64))
        rest = _running(np.floor((values - floor) * _FRACTION).astype(np.int64))
        found = (whole[end] - whole[start]) + (rest[end] - rest[start]) / _FRACTION
        return self._spread(found, 0.0)

    def since(self, asked: Asked) -> np.ndarray:
        """Returns the time since the last event, float64 [n], NaN where there is none."""
        start, end = self._window(asked, None)
        stream, _ = self._stream(asked)
        if not len(stream):
            return np.full(self.number, np.nan)
        places = np.where(self._flags(asked), np.arange(len(stream)), -1)
        latest = np.concatenate([[-1], np.maximum.accumulate(places)])[end]
        there = latest >= start
        last = stream.times[np.where(there, latest, 0)] + self.kinds.kinds[asked].shift
        found = np.where(there, (self._moments - last).astype(np.float64), np.nan)
        return self._spread(found, np.nan)

    def _stream(self, asked: Asked) -> tuple[SortedStream, np.ndarray]:
        """Returns the sorted line of a kind, and where in it each row's key begins."""
        line = self.kinds.kinds[asked].line
        if line not in self._streams:
            stream = SortedStream.of(self._of_events, self.kinds.lines[line])
            self._streams[line] = stream, stream.start(self._codes)
        return self._streams[line]

    def _window(self, asked: Asked, width: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Returns where the window's events begin and end in the line."""
        end = self._before(asked, 0)
        if width is None:
            return self._stream(asked)[1], end
        return self._before(asked, width), end

    def _before(self, asked: Asked, earlier: int) -> np.ndarray:
        kind = self.kinds.kinds[asked]
        at = kind.line, kind.shift + earlier
        if at not in self._ends:
            stream, _ = self._stream(asked)
            self._ends[at] = stream.before(self._codes, self._moments - at[1])
        return self._ends[at]

    def _flags(self, asked: Asked) -> np.ndarray:
        stream, _ = self._stream(asked)
        flags = self.kinds.kinds[asked].flags
        return np.ones(len(stream), bool) if flags is None else flags[stream.order]

    def _spread(self, found: np.ndarray, otherwise: float) -> np.ndarray:
        """Returns what was found in the order of the rows; `otherwise` for those without a key."""
        made = np.full(self.number, otherwise, found.dtype)
        made[self.order] = found
        return made


def _running(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(values)])
