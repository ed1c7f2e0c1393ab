"""RowPadding: a last batch is scored with as many rows as the batch before, and cut again.

TensorFlow's matrix products on a CPU (oneDNN) are made, and kept, for every number of rows that a
process meets. So do not let it meet one for every data set.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

#: Numbers of rows that the first batch of a data set is brought to: eight an octave.
SIZES = (*range(8, 16), *(k << shift for shift in range(1, 24) for k in range(8, 16)))


class RowPadding:
    """Repeats the last row of a batch until it has as many rows as the one before it had.

    The first batch of a data set has none before it: it goes up to the next of `SIZES`, at most an
    eighth more. A batch is never brought beyond the size of the one before, so all the padding
    of a data set costs at most as much as its rows do, and usually one batch.

    It is for what is computed row by row; what sums over rows must see the batch as it is.

    Attributes:
        before: rows of the batch before; 0 at the start of a data set.

    Example:
        >>> from idefn_tf.models.training.row_padding import RowPadding
        >>> padding = RowPadding()
        >>> sizes = []
        >>> for rows in (30, 20, 20):
        ...     padded, there = padding.padded({"x": tf.range(rows)})
        ...     sizes.append((padded["x"].shape[0], int(there)))
        >>> sizes
        [(30, 30), (30, 20), (20, 20)]
    """

    def __init__(self) -> None:
        with tf.init_scope(), tf.device("CPU:0"):  # one name: TensorFlow keeps a kernel for each
            self.before = tf.Variable(
                0,
                trainable=False,
                dtype=tf.int64,
                name="rows_of_the_batch_before",
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

    def start(self) -> None:
        """Says that the next batch is the first of a data set."""
        self.before.assign(0)

    def padded(self, batch: Any) -> tuple[Any, tf.Tensor | None]:
        """Returns a batch with rows to cut off again, and how many of its rows are its own.

        Args:
            batch: a structure of tensors, all of them with rows first.

        Returns:
            The same structure, and the number of its own rows, int64 scalar; None, with the batch
            as it was given, where it holds anything but such tensors.

        Raises:
            tf.errors.InvalidArgumentError: if they have not one number of rows.
        """
        parts = tf.nest.flatten(batch)
        if not parts or not all(isinstance(p, tf.Tensor) and p.shape.rank for p in parts):
            return batch, None
        counts = tf.stack([tf.shape(part)[0] for part in parts])
        said = ["features: must have one number of rows, received", counts]
        alike = tf.debugging.Assert(tf.reduce_all(counts == counts[0]), said, len(parts))
        rows = tf.cast(counts[0], tf.int64)
        with tf.control_dependencies([alike]):  # else longer ones would be cut
            rows = tf.identity(rows)
        before = self.before.read_value()
        self.before.assign(rows)
        first = tf.searchsorted(tf.constant(SIZES, tf.int64), rows[None], out_type=tf.int64)[0]
        sizes = tf.concat([tf.constant(SIZES, tf.int64), rows[None]], 0)  # beyond all: as it is
        size = tf.where(before > 0, tf.maximum(rows, before), sizes[first])
        size = tf.where(rows > 0, size, 0)
        at = tf.minimum(tf.range(size), rows - 1)
        return tf.nest.map_structure(lambda part: tf.gather(part, at), batch), rows


def cut(outputs: Any, rows: tf.Tensor | None) -> Any:
    """Returns a structure of tensors without what `RowPadding.padded` added.

    Args:
        outputs: with rows first.
        rows: as `RowPadding.padded` gave it.
    """
    if rows is None:
        return outputs
    return tf.nest.map_structure(lambda part: part[:rows], outputs)
