"""A snapshot of history as look-up tables in the graph: keys in, history inputs out.

Keys are sorted numbers in variables, searched in halves. Ids are compared as int64 and text as
text, so that neighbours beyond 2**53 and colliding hashes stay apart. A pair of keys is the pair of
their places. An unknown key has the empty history.

Rows may say their time. Hours since the last event and gaps are then those of the row's as-of, as
the schema's `refresh` and zone have it; windows stay as of the snapshot, which no row is before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf

from idefn_tf.history.as_of import refreshes, units
from idefn_tf.history.sequences import described
from idefn_tf.history.snapshot import KeyedEvents, KeyedNumbers, Snapshot
from idefn_tf.schema import Schema

# the greatest number of buckets: a hash of 63 bits
_BUCKETS = 2**63 - 1
_TRIES = 100
# for how long a snapshot knows when features are refreshed
_DAYS = 3660


class KeyIndex(tf.Module):
    """The distinct values of one feature, or of codes, and the place of each.

    Args:
        ordered: distinct values, int64 or text, each at its place.
    """

    def __init__(self, ordered: np.ndarray) -> None:
        super().__init__()
        self.count = len(ordered)
        self._index = pd.Index(ordered)

    def places(self, values: np.ndarray) -> np.ndarray:
        """Returns the places of known values."""
        return np.asarray(self._index.get_indexer(values), np.int64)

    def look_up(self, asked: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the place of each value [B], and whether it is known."""
        raise NotImplementedError(f"{type(self).__name__} must define look_up")


class SortedIndex(KeyIndex):
    """Values searched in halves: numbers, or hashes of texts, in variables."""

    def __init__(self, values: np.ndarray) -> None:
        distinct = numbers = np.unique(values)
        text = values.dtype.kind != "i"
        if text:
            self._seed, hashes = _hashes(distinct)
            order = np.argsort(hashes)
            distinct, numbers = distinct[order], hashes[order]
        super().__init__(distinct)
        self._sorted = _held(tf.constant(numbers, tf.int64)) if self.count else None
        self._texts: tf.Variable | None = None
        if text and self.count:
            self._texts = _held(tf.constant(list(distinct), tf.string))

    def look_up(self, asked: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the place of each value [B], and whether it is known."""
        if self._sorted is None:
            return tf.zeros_like(asked, tf.int64), tf.zeros_like(asked, tf.bool)
        keys = asked
        if self._texts is not None:
            keys = tf.strings.to_hash_bucket_strong(asked, _BUCKETS, self._seed)
        at = tf.searchsorted(self._sorted, keys, out_type=tf.int64)
        at = tf.minimum(at, self.count - 1)
        known = tf.equal(tf.gather(self._sorted, at), keys)
        if self._texts is not None:
            known &= tf.equal(tf.gather(self._texts, at), asked)
        return at, known


#: Makes an index of values.
MakeIndex = Callable[[np.ndarray], KeyIndex]


class _Keys(tf.Module):
    """The keys of one table: one feature, or a pair."""

    def __init__(
        self, names: tuple[str, ...], values: tuple[np.ndarray, ...], index: MakeIndex
    ) -> None:
        super().__init__()
        self._names, self.count = names, len(values[0])
        self._parts = [index(found) for found in values]
        codes = np.zeros(self.count, np.int64)
        for part, found in zip(self._parts, values, strict=True):
            codes = codes * max(part.count, 1) + part.places(found)
        self.order = np.argsort(codes)
        # distinct codes: the place of each is its line
        self._codes = index(codes) if len(values) > 1 and self.count else None

    def look_up(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the line of each row's key, int64 [B]; `count` where it is unknown."""
        code: tf.Tensor = tf.zeros_like(features[self._names[0]], tf.int64)
        known = tf.ones_like(code, tf.bool)
        for name, part in zip(self._names, self._parts, strict=True):
            at, there = part.look_up(features[name])
            code, known = code * max(part.count, 1) + at, known & there
        if self._codes is not None:
            code, there = self._codes.look_up(code)
            known &= there
        return tf.where(known, code, tf.cast(self.count, tf.int64))


class Later(NamedTuple):
    """The as-of of rows that say their time.

    Attributes:
        moments: in the schema's unit, int64 [B].
        hours: since the snapshot's, float64 [B].
    """

    moments: tf.Tensor
    hours: tf.Tensor


class _Numbers(tf.Module):
    def __init__(self, table: KeyedNumbers, index: MakeIndex, hours: Set[str]) -> None:
        super().__init__()
        self._keys, self._names = _Keys(table.keys, table.values, index), table.names
        self.hours = hours & set(table.names)
        lines = [*self._keys.order, len(table.values[0])]
        self._matrix = _held(tf.constant(table.matrix[lines], tf.float32))

    def __call__(
        self, features: Mapping[str, tf.Tensor], later: Later | None
    ) -> dict[str, tf.Tensor]:
        found = tf.gather(self._matrix, self._keys.look_up(features))
        made = {name: found[:, i] for i, name in enumerate(self._names)}
        if later is not None:
            for name in self.hours:
                made[name] = tf.cast(tf.cast(made[name], tf.float64) + later.hours, tf.float32)
        return made


class _Events(tf.Module):
    def __init__(self, table: KeyedEvents, index: MakeIndex, mark: Mapping[str, Any]) -> None:
        super().__init__()
        self._gap = f"{mark['name']}__gap"
        self._bounds = np.ceil(mark["gap_bounds"]).astype(np.int64)
        self._keys, self._length = _Keys(table.keys, table.values, index), table.length
        order = self._keys.order
        first, counts = table.offsets[:-1][order], np.diff(table.offsets)[order]
        end = np.concatenate([[0], np.cumsum(counts)])
        places = np.repeat(first - end[:-1], counts) + np.arange(end[-1])
        # an unknown key begins and ends where the last one ends
        self._offsets = _held(tf.constant(np.append(end, end[-1]), tf.int64))
        self._parts = {name: _padded(values[places]) for name, values in table.parts.items()}
        self.times = None if table.times is None else _padded(table.times[places])

    def __call__(
        self, features: Mapping[str, tf.Tensor], later: Later | None
    ) -> dict[str, tf.Tensor]:
        line = self._keys.look_up(features)
        start, end = tf.gather(self._offsets, line), tf.gather(self._offsets, line + 1)
        at = start[:, None] + tf.range(self._length, dtype=tf.int64)
        inside = at < end[:, None]
        made = {}
        for name, values in self._parts.items():
            padding = tf.constant("" if values.dtype == tf.string else -1, values.dtype)
            made[name] = tf.where(inside, tf.gather(values, tf.where(inside, at, 0)), padding)
        if later is not None and self.times is not None:
            elapsed = later.moments[:, None] - tf.gather(self.times, tf.where(inside, at, 0))
            passed = tf.cast(elapsed[:, :, None] >= self._bounds, tf.int64)
            made[self._gap] = tf.where(inside, tf.reduce_sum(passed, -1), tf.constant(-1, tf.int64))
        return made


class HistoryTables(tf.Module):
    """Look-up tables of a snapshot.

    Args:
        schema: of the raw features.
        snapshot: what is looked up.
        index: makes what looks values up.
    """

    def __init__(self, schema: Schema, snapshot: Snapshot, index: MakeIndex = SortedIndex) -> None:
        super().__init__(name="history")
        columns = [column for a in schema.past.aggregates for column in a.columns]
        hours = {column.name for column in columns if column.measure == "hours_since"}
        marks = [described(sequence, schema.labels) for sequence in schema.sequences]
        self._tables: list[_Numbers | _Events] = [
            *(_Numbers(table, index, hours) for table in snapshot.numbers),
            *(_Events(t, index, mark) for t, mark in zip(snapshot.events, marks, strict=True)),
        ]
        self._as_of, self._hour = snapshot.as_of, 3600.0 * units(schema.labels)
        found = refreshes(schema, snapshot.as_of, _DAYS if self.tells_time else 0)
        self._refreshes = _held(tf.constant(found, tf.int64)) if len(found) else None

    @property
    def tells_time(self) -> bool:
        """Whether an answer depends on a row's time: there are hours since, or gaps."""
        timed = (t.hours if isinstance(t, _Numbers) else t.times is not None for t in self._tables)
        return any(timed)

    def __call__(
        self, features: Mapping[str, tf.Tensor], times: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Returns the generated features of rows: numbers [B], lists [B, K].

        Args:
            features: with the keys, [B].
            times: of the rows in the schema's unit, int64 [B]; by default the snapshot's as-of.
        """
        later = None if times is None else self._later(times)
        made: dict[str, tf.Tensor] = {}
        for table in self._tables:
            made |= table(features, later)
        return made

    def _later(self, times: tf.Tensor) -> Later:
        if self._refreshes is not None:
            at = tf.searchsorted(self._refreshes, times, side="right", out_type=tf.int64) - 1
            times = tf.gather(self._refreshes, tf.maximum(at, 0))
        moments = tf.maximum(times, tf.constant(self._as_of, tf.int64))
        return Later(moments, tf.cast(moments - self._as_of, tf.float64) / self._hour)


def _held(values: tf.Tensor) -> tf.Variable:
    with tf.device("CPU:0"):
        return tf.Variable(values, trainable=False)


def _padded(values: np.ndarray) -> tf.Variable:
    """Holds one entry more, so that there is something to read in an empty table."""
    if values.dtype.kind == "O":
        return _held(tf.constant([*values, b""], tf.string))
    return _held(tf.constant(np.append(values, -1), tf.int64))


def _hashes(texts: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Returns a seed under which no two texts share a hash, and the hashes."""
    for seed in range(_TRIES):
        key = [seed, 0x5EED]
        found = tf.strings.to_hash_bucket_strong(
            tf.constant(list(texts), tf.string, [len(texts)]), _BUCKETS, key
        ).numpy()
        if len(np.unique(found)) == len(texts):
            return key, found
    raise ValueError(f"keys: must have distinct hashes under one of {_TRIES} seeds")
