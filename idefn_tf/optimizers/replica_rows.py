"""Row gradients under ``tf.distribute``: every replica updates every row that one of them read."""

from __future__ import annotations

import tensorflow as tf


def replica_count() -> int:
    """Returns how many replicas train together, seen from the one that asks."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def gather_row_gradients(gradient: tf.IndexedSlices) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the rows and gradients of all replicas, the gradients divided by their number.

    Keras sums over replicas what is the same on each.
    """
    rows, values = gradient.indices, gradient.values
    if replica_count() == 1:
        return rows, values
    context = tf.distribute.get_replica_context()
    rows, values = context.all_gather(rows, 0), context.all_gather(values, 0)
    return rows, values / float(replica_count())
