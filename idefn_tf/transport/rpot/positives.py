"""The positives' side of a batch: the first converted rows, from every replica."""

from __future__ import annotations

import tensorflow as tf


def first_positives(
    z: tf.Tensor, positive: tf.Tensor, capacity: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Gathers the positives of a batch into a fixed number of places.

    Args:
        z: representations [B, d].
        positive: 1 at positives, 0 elsewhere, float [B].
        capacity: places; no more than B are made.

    Returns:
        z of the places [n, d], which of them hold a positive [n], and their rows in the batch [n].
    """
    batch = z.shape[0]  # known wherever a step is compiled, and then so are the places
    count = tf.minimum(capacity, tf.shape(z)[0]) if batch is None else min(capacity, batch)
    chosen, rows = tf.math.top_k(positive, count)
    return tf.gather(z, rows), chosen > 0.5, rows


def from_all_replicas(z: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Gathers the positives of every replica under ``tf.distribute``, real ones first.

    Args:
        z: this replica's places [n, d].
        mask: which of them hold a positive [n].

    Returns:
        The places of all replicas [replicas x n, d] and their mask, alike on every replica; with
        one replica the arguments themselves.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return z, mask
    places = None if z.shape[0] is None else z.shape[0] * context.num_replicas_in_sync
    mask = tf.ensure_shape(context.all_gather(tf.cast(mask, tf.float32), axis=0), [places])
    z = tf.ensure_shape(context.all_gather(z, axis=0), [places, z.shape[1]])
    order = tf.argsort(mask, direction="DESCENDING", stable=True)  # memory wants them first
    return tf.gather(z, order), tf.gather(mask, order) > 0.5
