"""Top-k choices inside a batch, with shapes that XLA knows."""

from __future__ import annotations

import tensorflow as tf


def top_rows(scores: tf.Tensor, candidates: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """1 at the `count` candidates with the greatest scores.

    Args:
        scores: float32 [B].
        candidates: float32 [B], 1 where a row may be chosen and 0 elsewhere.
        count: scalar, a whole number; more than there are candidates chooses them all.

    Returns:
        float32 [B] of 0 and 1, without gradient; among equal scores the lower index wins.
    """
    lowest = tf.constant(float("-inf"), scores.dtype)
    ordered = tf.where(candidates > 0.0, tf.stop_gradient(scores), lowest)
    order = tf.argsort(ordered, direction="DESCENDING", stable=True)
    positions = tf.range(tf.size(order))
    rank = tf.tensor_scatter_nd_update(tf.zeros_like(order), order[:, None], positions)
    chosen = tf.cast(rank, tf.float32) < tf.cast(count, tf.float32)
    return tf.where(chosen & (candidates > 0.0), 1.0, 0.0)
