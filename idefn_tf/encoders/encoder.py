"""SequenceEncoder: the base of what turns a behaviour sequence into one vector."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class SequenceEncoder(keras.layers.Layer):
    """Last events of a key, and the item in question, to one vector.

    A model holds one clone for each sequence (`for_sequence`). An encoder subclasses this and
    writes `encode`; rows without an event get a learned vector.

    Example:
        >>> from idefn_tf.encoders import MeanEncoder
        >>> encoder = MeanEncoder().for_sequence("clicks")
        >>> events = tf.constant([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
        >>> there = tf.constant([[True, True], [False, False]])
        >>> encoder(events, tf.zeros([2, 2]), there).numpy().tolist()
        [[2.0, 3.0], [0.0, 0.0]]
    """

    #: Whether the order of events changes the vector.
    ordered: bool = False

    def build(self, width: int) -> None:
        """Creates the vector of an empty history; a subclass adds its own variables.

        Args:
            width: of an event, d.
        """
        self.empty = self.add_weight(name="empty", shape=(width,), initializer="zeros")
        self.built = True

    def for_sequence(self, name: str) -> SequenceEncoder:
        """Returns a clone with variables of its own."""
        return type(self).from_config({**self.get_config(), "name": f"{name}_encoder"})

    def encode(self, events: tf.Tensor, item: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
        """Returns one vector a row [B, d]; of a row without an event any finite one.

        Args:
            events: oldest first, float32 [B, K, d]; 0 where there is none.
            item: the item in question, float32 [B, d]; 0 in the columns of gaps.
            there: which events there are, bool [B, K].
        """
        raise NotImplementedError(f"{type(self).__name__} must define encode")

    def __call__(self, events: tf.Tensor, item: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
        """Returns `encode`'s vectors [B, d], and the learned one of rows without an event."""
        if not self.built:
            with tf.init_scope():
                self.build(int(events.shape[-1]))
        some = tf.reduce_any(there, 1)[:, None]
        return tf.where(some, self.encode(events, item, there), self.empty.value)


def weighted_sum(weights: tf.Tensor, events: tf.Tensor) -> tf.Tensor:
    """Sums events [B, K, d] with their weights [B, K]."""
    return tf.linalg.matvec(events, weights, transpose_a=True)


def masked_softmax(scores: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
    """Softmax over the events that are there, the last axis; 0 everywhere where none is.

    Args:
        scores: float32 [..., K].
        there: bool, of a shape that broadcasts to it.
    """
    hidden = tf.where(there, scores, scores.dtype.min)
    shifted = scores - tf.stop_gradient(tf.reduce_max(hidden, -1, keepdims=True))
    exponents = tf.where(there, tf.exp(tf.where(there, shifted, 0.0)), 0.0)
    return tf.math.divide_no_nan(exponents, tf.reduce_sum(exponents, -1, keepdims=True))


def config_of(layer: keras.layers.Layer, *names: str) -> dict[str, Any]:
    """Returns the attributes that an encoder's constructor takes."""
    return {name: getattr(layer, name) for name in names}
