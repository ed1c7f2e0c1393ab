"""SortedStream: the events of every key in the order of time, and where a moment stands in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from idefn_tf.history.as_of import NEVER

#: A key that is missing: it has no events and sees none.
NO_KEY = -1
# the greatest number that key and time together may make
_LIMIT = 2**62


def is_missing(values: np.ndarray) -> np.ndarray:
    """Returns where a key or an item is missing: -1, or no text."""
    return values == -1 if values.dtype.kind == "i" else values == b""


def codes(
    events: Sequence[np.ndarray], rows: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers the keys of events and rows alike, int64; `NO_KEY` where a part is missing.

    Args:
        events: one array for each part of the key, int64 (-1 is missing) or bytes (b"" is).
        rows: the same of the rows.
    """
    total = np.zeros(len(events[0]) + len(rows[0]), np.int64)
    absent = np.zeros(len(total), bool)
    for part, (of_events, of_rows) in enumerate(zip(events, rows, strict=True)):
        values = np.concatenate([of_events, of_rows])
        absent |= is_missing(values)
        number, uniques = pd.factorize(values)
        if part:  # numbers of pairs, made small again before the next part
            total, _ = pd.factorize(total * len(uniques) + number)
        else:
            total = number.astype(np.int64)
    total = np.where(absent, NO_KEY, total)
    return total[: len(events[0])], total[len(events[0]) :]


@dataclass(frozen=True)
class SortedStream:
    """Events of one kind by (key, time, place in the log).

    Attributes:
        order: numbers of the events in the log, in the stream's order, int64 [n].
        codes: keys, rising, int64 [n].
        times: rising within a key, int64 [n].
    """

    order: np.ndarray
    codes: np.ndarray
    times: np.ndarray
    _ruler: _Ruler = field(repr=False)
    _places: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, codes: np.ndarray, times: np.ndarray) -> SortedStream:
        """Sorts events; those without a key, or that did not happen, are left out."""
        there = np.flatnonzero((codes != NO_KEY) & (times != NEVER))
        codes, times = codes[there], times[there]
        ruler = _Ruler.of(codes, times)
        places = ruler.places(codes, times)
        order = np.argsort(places, kind="stable")
        return cls(there[order], codes[order], times[order], ruler, places[order])

    def __len__(self) -> int:
        return len(self.order)

    def before(self, codes: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """Returns where, in the stream, each key's events before a moment end, int64.

        Args:
            codes: keys of the rows.
            moments: int64; an event at this very moment is not before it.
        """
        return np.searchsorted(self._places, self._ruler.places(codes, moments), side="left")

    def start(self, codes: np.ndarray) -> np.ndarray:
        """Returns where each key's events begin, int64."""
        return np.searchsorted(self._places, self._ruler.starts(codes), side="left")


@dataclass(frozen=True)
class _Ruler:
    """Numbers keys and times together, so that one search finds both.

    Attributes:
        first: the earliest time of an event; 0 without events.
        width: how many numbers a key takes: one for each time that is told apart.
        keys: how many keys events may have; all others come after them.
        ranks: the distinct times, where numbers of their own would grow too large.
    """

    first: int
    width: int
    keys: int
    ranks: np.ndarray | None

    @classmethod
    def of(cls, codes: np.ndarray, times: np.ndarray) -> _Ruler:
        if not len(times):
            return cls(0, 1, 0, None)
        first, last, keys = int(times.min()), int(times.max()), int(codes.max()) + 1
        if (keys + 1) * (last - first + 2) < _LIMIT:
            return cls(first, last - first + 2, keys, None)
        ranks = np.unique(times)
        return cls(first, len(ranks) + 1, keys, ranks)

    def starts(self, codes: np.ndarray) -> np.ndarray:
        """Returns the first number of a key."""
        return np.minimum(codes, self.keys) * self.width

    def places(self, codes: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Returns the number of a key and a time; times after the last event share one."""
        starts = self.starts(codes)
        if self.ranks is not None:
            return starts + np.searchsorted(self.ranks, times, side="left")
        last = self.first + self.width - 1
        return starts + (np.clip(times, self.first, last) - self.first)
