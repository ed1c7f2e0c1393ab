"""Distinct rows: which rows of a table a batch asks for, each once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from idefn_tf.data.generated_dataset import made_of
from idefn_tf.tables.packed_events import EVENTS, SEQUENCES, events_of, packed_events

#: Under which name an encoded batch holds what `look_ahead` found, by table.
DISTINCT = "distinct"


@dataclass(frozen=True)
class Distinct:
    """Which rows a batch asks for, each once, and where each of those asked for stands.

    Rows of one column of the asked-for matrix stand together, so that a table of many fields is
    read and written field by field: neighbours in memory, which is most of what a step's rows cost.

    Attributes:
        rows: the distinct rows, int32 [K], padded with row 0 to one of few lengths, so that
            compiled programs meet few shapes.
        count: how many of them are real, scalar.
        position: where in `rows` each asked-for row stands, int32, of the shape asked for.
        events: the same for the packed events of each sequence, int32 [P, parts].

    Example:
        >>> from idefn_tf.tables import distinct
        >>> found = distinct(tf.constant([[7, 1], [3, 1], [7, 1]]))  # column by column
        >>> found.rows[: int(found.count)].numpy().tolist(), found.position.numpy().tolist()
        ([7, 3, 1], [[0, 2], [1, 2], [0, 2]])
    """

    rows: tf.Tensor
    count: tf.Tensor
    position: tf.Tensor
    events: Mapping[str, tf.Tensor] = field(default_factory=dict)


def distinct(rows: tf.Tensor, events: Mapping[str, tf.Tensor] | None = None) -> Distinct:
    """Finds the distinct rows among int32 `rows` of any shape.

    Args:
        rows: asked for.
        events: further ones, of the packed events of each sequence, [P, parts].

    Returns:
        The rows in order of first appearance, column by column of a matrix, events last.

    Example:
        >>> from idefn_tf.tables import distinct
        >>> found = distinct(tf.constant([7, 3, 7]))
        >>> int(found.count), found.rows[:2].numpy().tolist(), found.position.numpy().tolist()
        (2, [7, 3], [0, 1, 0])
    """
    matrix = rows.shape.rank == 2
    by_column = tf.transpose(rows) if matrix else rows
    more = {name: tf.transpose(asked) for name, asked in (events or {}).items()}
    flat = [tf.reshape(asked, [-1]) for asked in (by_column, *more.values())]
    unique, position = tf.unique(flat[0] if len(flat) == 1 else tf.concat(flat, 0))
    places = {}
    if more:
        position, *others = tf.split(position, [tf.size(one) for one in flat])
        for (name, asked), one in zip(more.items(), others, strict=True):
            places[name] = tf.transpose(tf.reshape(one, tf.shape(asked)))
    position = tf.reshape(position, tf.shape(by_column))
    count = tf.size(unique)
    # four lengths an octave: at most a quarter is padding, and XLA compiles few programs
    octave = tf.floor(tf.math.log(tf.cast(tf.maximum(count, 1), tf.float32)) / 0.6931472)
    grain = tf.cast(tf.pow(2.0, tf.maximum(octave - 2.0, 4.0)), tf.int32)
    padded = tf.pad(unique, [[0, -count % grain]])
    return Distinct(padded, count, tf.transpose(position) if matrix else position, places)


def look_ahead(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a data set of encoded batches with the distinct rows of every table beside them.

    Behaviour sequences are packed in place of padded. All this belongs to the batch as it is: one
    that is cut for several replicas has others. What was found already is left as it is.

    Example:
        >>> from idefn_tf.tables import found_rows, look_ahead
        >>> encoded = tf.data.Dataset.from_tensors({"rows": {"4": tf.constant([[7], [3], [7]])}})
        >>> found = next(iter(look_ahead(encoded)))
        >>> sorted(found), sorted(found["distinct"]["4"]), int(found_rows(found, "4").count)
        (['distinct', 'rows'], ['count', 'position', 'rows'], 2)
    """
    return made_of(_program(), dataset)


@functools.cache
def _program() -> Any:
    """Returns the one program of `look_ahead`, traced for every form of data set."""
    return tf.function(_look_ahead, autograph=False)


def _look_ahead(dataset: tf.data.Dataset) -> tf.data.Dataset:
    @tf.autograph.experimental.do_not_convert
    def find(*element: Any) -> Any:
        encoded = dict(element[0])
        if DISTINCT not in encoded:
            packed = packed_events(encoded)
            if packed:
                encoded.pop(SEQUENCES, None)
                encoded[EVENTS] = packed
            tables = {w: rows for w, rows in encoded["rows"].items() if w != "indicator"}
            encoded[DISTINCT] = {
                width: _named(distinct(rows, events_of(packed, width)))
                for width, rows in tables.items()
            }
        return (encoded, *element[1:]) if len(element) > 1 else encoded

    return dataset.map(find, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _named(found: Distinct) -> dict[str, Any]:
    """Returns what was found by name, events where there are any."""
    return {name: value for name, value in vars(found).items() if name != "events" or value}


def found_rows(encoded: Mapping[str, Any], width: str) -> Distinct:
    """Returns the distinct rows of a table that a batch asks for, found ahead or now.

    Example:
        >>> from idefn_tf.tables import found_rows
        >>> found = found_rows({"rows": {"4": tf.constant([[7], [3], [7]])}}, "4")
        >>> int(found.count)
        2
    """
    if DISTINCT not in encoded:
        return distinct(encoded["rows"][width], events_of(packed_events(encoded), width))
    return Distinct(**encoded[DISTINCT][width])
