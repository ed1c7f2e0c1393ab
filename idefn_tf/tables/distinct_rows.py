"""Distinct rows: which rows of a table a batch asks for, each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

#: What a batch holds of the rows of a table beside "rows:<width>".
_ROWS, _COUNT, _POSITION = "distinct:{}", "count:{}", "position:{}"


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

    Example:
        >>> from idefn_tf.tables import distinct
        >>> found = distinct(tf.constant([[7, 1], [3, 1], [7, 1]]))  # column by column
        >>> found.rows[: int(found.count)].numpy().tolist(), found.position.numpy().tolist()
        ([7, 3, 1], [[0, 2], [1, 2], [0, 2]])
    """

    rows: tf.Tensor
    count: tf.Tensor
    position: tf.Tensor


def distinct(rows: tf.Tensor) -> Distinct:
    """Finds the distinct rows among int32 `rows` of any shape.

    Returns:
        The rows in order of first appearance, column by column of a matrix.

    Example:
        >>> from idefn_tf.tables import distinct
        >>> found = distinct(tf.constant([7, 3, 7]))
        >>> int(found.count), found.rows[:2].numpy().tolist(), found.position.numpy().tolist()
        (2, [7, 3], [0, 1, 0])
    """
    matrix = rows.shape.rank == 2
    by_column = tf.transpose(rows) if matrix else rows
    unique, position = tf.unique(tf.reshape(by_column, [-1]))
    position = tf.reshape(position, tf.shape(by_column))
    count = tf.size(unique)
    # four lengths an octave: at most a quarter is padding, and XLA compiles few programs
    octave = tf.floor(tf.math.log(tf.cast(tf.maximum(count, 1), tf.float32)) / 0.6931472)
    grain = tf.cast(tf.pow(2.0, tf.maximum(octave - 2.0, 4.0)), tf.int32)
    padded = tf.pad(unique, [[0, -count % grain]])
    return Distinct(padded, count, tf.transpose(position) if matrix else position)


def look_ahead(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a data set of encoded batches with the distinct rows of every table beside them.

    They belong to the batch as it is: a batch that is cut for several replicas has others.

    Example:
        >>> from idefn_tf.tables import found_rows, look_ahead
        >>> encoded = tf.data.Dataset.from_tensors({"rows:4": tf.constant([[7], [3], [7]])})
        >>> found = next(iter(look_ahead(encoded)))
        >>> sorted(found), int(found_rows(found, "4").count)
        (['count:4', 'distinct:4', 'position:4', 'rows:4'], 2)
    """

    def find(*element: Any) -> Any:
        encoded = dict(element[0])
        for name in element[0]:
            kind, _, width = name.partition(":")
            if kind != "rows" or width == "indicator":
                continue
            found = distinct(encoded[name])
            encoded[_ROWS.format(width)] = found.rows
            encoded[_COUNT.format(width)] = found.count
            encoded[_POSITION.format(width)] = found.position
        return (encoded, *element[1:]) if len(element) > 1 else encoded

    return dataset.map(find, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def found_rows(encoded: Mapping[str, tf.Tensor], width: str) -> Distinct:
    """Returns the distinct rows of a table that a batch asks for, found ahead or now.

    Example:
        >>> from idefn_tf.tables import found_rows
        >>> found = found_rows({"rows:4": tf.constant([[7], [3], [7]])}, "4")
        >>> int(found.count)
        2
    """
    if _ROWS.format(width) not in encoded:
        return distinct(encoded[f"rows:{width}"])
    names = (_ROWS.format(width), _COUNT.format(width), _POSITION.format(width))
    return Distinct(*(encoded[name] for name in names))
