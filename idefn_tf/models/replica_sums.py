"""Sums over the replicas of ``tf.distribute``; with one device all of this is the identity.

A loss is a mean over the rows of every replica, so its numerators and divisors are added up before
they meet. The gradient of such a sum is left to each replica's own share: the optimizer adds the
shares, and the total is the gradient of the whole batch, whatever the formula does with its means.
"""

from __future__ import annotations

import tensorflow as tf


def replica_count() -> int:
    """How many replicas take this step together; 1 outside of a step."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else int(context.num_replicas_in_sync)


def total(values: tf.Tensor) -> tf.Tensor:
    """Sums a tensor over replicas; the gradient flows into this replica's share alone.

    Args:
        values: of one shape on every replica.
    """
    if replica_count() == 1:
        return values
    context = tf.distribute.get_replica_context()
    everywhere = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stop_gradient(values))
    return values + tf.stop_gradient(everywhere - values)


def greatest(value: tf.Tensor) -> tf.Tensor:
    """Returns the greatest of the replicas' scalars."""
    if replica_count() == 1:
        return value
    context = tf.distribute.get_replica_context()
    return tf.reduce_max(context.all_gather(tf.reshape(value, [1]), axis=0))


def crosses_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether some replicas are in other processes."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return False
    return int(strategy.num_replicas_in_sync) > len(strategy.extended.worker_devices)
