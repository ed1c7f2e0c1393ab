"""Key tables: look-ups by int64 or text, marked in a TensorFlow graph for the conversion.

TensorFlow's hash tables hold no keys in the graph, and a search in sorted keys has no counterpart
in ONNX. While a graph is traced for ONNX its look-ups are these, named nodes whose keys stand
beside; each becomes a LabelEncoder, which compares int64 as int64 and text as text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.export.history_tables import KeyIndex
from idefn_tf.features import FeatureColumns

#: What an unknown key gives.
UNKNOWN = -1


class KeyTables:
    """The keys of every look-up in one graph, by the name that the graph's nodes carry."""

    def __init__(self) -> None:
        self.keys: dict[str, Sequence[Any]] = {}

    def add(self, keys: Sequence[Any]) -> KeyTable:
        """Returns a look-up of further keys."""
        name = f"keys_{len(self.keys)}"
        self.keys[name] = keys
        return KeyTable(name)

    def index(self, values: np.ndarray) -> MarkedIndex:
        """Returns what looks keys of history up."""
        return MarkedIndex(values, self)


class KeyTable:
    """The place of a value among keys, `UNKNOWN` where it is none of them.

    Args:
        name: of the keys in their `KeyTables`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def lookup(self, values: tf.Tensor) -> tf.Tensor:
        """Returns places, int64, of the shape of `values`; only a graph can hold it."""
        table = tf.raw_ops.HashTableV2(
            key_dtype=values.dtype, value_dtype=tf.int64, shared_name=self._name
        )
        return tf.raw_ops.LookupTableFindV2(
            table_handle=table, keys=values, default_value=tf.constant(UNKNOWN, tf.int64)
        )


class MarkedIndex(KeyIndex):
    """The distinct keys of one part of history, looked up by the keys themselves."""

    def __init__(self, values: np.ndarray, tables: KeyTables) -> None:
        super().__init__(np.unique(values))
        self._table = tables.add(np.unique(values)) if self.count else None

    def look_up(self, asked: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the place of each value [B], and whether it is known."""
        if self._table is None:
            return tf.zeros_like(asked, tf.int64), tf.zeros_like(asked, tf.bool)
        found = self._table.lookup(asked)
        return tf.maximum(found, 0), found >= 0


@contextlib.contextmanager
def marked(features: FeatureColumns, tables: KeyTables) -> Iterator[None]:
    """Lets the vocabularies of a feature layer look up in marked tables meanwhile."""
    known = [(encoder, encoder._table) for encoder in features.encoders]
    try:
        for encoder, table in known:
            if table is not None:
                encoder._table = tables.add(encoder.field.values)
        yield
    finally:
        for encoder, table in known:
            encoder._table = table


@contextlib.contextmanager
def embeddings_from(features: FeatureColumns, given: dict[str, tf.Tensor]) -> Iterator[None]:
    """Lets a feature layer read tensors in place of its embedding tables meanwhile."""
    own = features.tables
    object.__setattr__(features, "tables", {k: SimpleNamespace(value=v) for k, v in given.items()})
    try:
        yield
    finally:
        object.__setattr__(features, "tables", own)
