"""A snapshot of history as look-up tables in the graph: keys in, history inputs out.

Keys are sorted numbers in variables, searched in halves. Ids are compared as int64 and text as
text, so that neighbours beyond 2**53 and colliding hashes stay apart. A pair of keys is the pair of
their places. An unknown key has the empty history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import tensorflow as tf

from idefn_tf.history.snapshot import KeyedEvents, KeyedNumbers, Snapshot
from idefn_tf.schema import Schema

# the greatest number of buckets: a hash of 63 bits
_BUCKETS = 2**63 - 1
_TRIES = 100


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


class _Numbers(tf.Module):
    def __init__(self, table: KeyedNumbers, index: MakeIndex) -> None:
        super().__init__()
        self._keys, self._names = _Keys(table.keys, table.values, index), table.names
        lines = [*self._keys.order, len(table.values[0])]
        self._matrix = _held(tf.constant(table.matrix[lines], tf.float32))

    def __call__(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found = tf.gather(self._matrix, self._keys.look_up(features))
        return {name: found[:, i] for i, name in enumerate(self._names)}


class _Events(tf.Module):
    def __init__(self, table: KeyedEvents, index: MakeIndex) -> None:
        super().__init__()
        self._keys, self._length = _Keys(table.keys, table.values, index), table.length
        order = self._keys.order
        first, counts = table.offsets[:-1][order], np.diff(table.offsets)[order]
        end = np.concatenate([[0], np.cumsum(counts)])
        places = np.repeat(first - end[:-1], counts) + np.arange(end[-1])
        # an unknown key begins and ends where the last one ends
        self._offsets = _held(tf.constant(np.append(end, end[-1]), tf.int64))
        self._parts = {name: _padded(values[places]) for name, values in table.parts.items()}

    def __call__(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        line = self._keys.look_up(features)
        start, end = tf.gather(self._offsets, line), tf.gather(self._offsets, line + 1)
        at = start[:, None] + tf.range(self._length, dtype=tf.int64)
        inside = at < end[:, None]
        made = {}
        for name, values in self._parts.items():
            padding = tf.constant("" if values.dtype == tf.string else -1, values.dtype)
            made[name] = tf.where(inside, tf.gather(values, tf.where(inside, at, 0)), padding)
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
        self._tables: list[_Numbers | _Events] = [
            *(_Numbers(table, index) for table in snapshot.numbers),
            *(_Events(table, index) for table in snapshot.events),
        ]

    def __call__(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the generated features of rows: numbers [B], lists [B, K]."""
        made: dict[str, tf.Tensor] = {}
        for table in self._tables:
            made |= table(features)
        return made


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
