"""SequenceEncoder: the base of what turns a behaviour sequence into one vector."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from idefn_tf.encoders.packed import PackedEvents


class SequenceEncoder(keras.layers.Layer):
    """Last events of a key, and the item in question, to one vector.

    A model holds one clone for each sequence (`for_sequence`). An encoder subclasses this and
    writes `encode`, or `encode_packed`, which costs what events there are and no padding; rows
    without an event get a learned vector.

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

    def __init__(self, **kwargs: Any) -> None:
        # float32 whatever the policy, as tables and what they give are
        super().__init__(**{"dtype": "float32", **kwargs})

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

    def encode_packed(self, events: PackedEvents, item: tf.Tensor) -> tf.Tensor:
        """Returns what `encode` does, of packed events; by default it pads them.

        Args:
            events: those that are there.
            item: as in `encode`.
        """
        padded, there = events.unpack()
        return self.encode(padded, item, there)

    def __call__(self, events: tf.Tensor, item: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
        """Returns one vector a row [B, d] of padded events, the learned one where there is none."""
        return self.of_packed(PackedEvents.of(events, there), item)

    def of_packed(self, events: PackedEvents, item: tf.Tensor) -> tf.Tensor:
        """Returns one vector a row [B, d], the learned one of rows without an event."""
        if not self.built:
            with tf.init_scope():
                self.build(int(events.vectors.shape[-1]))
        some = events.total(tf.ones_like(events.vectors[:, :1])) > 0
        return tf.where(some, self.encode_packed(events, item), self.empty.value)


def config_of(layer: keras.layers.Layer, *names: str) -> dict[str, Any]:
    """Returns the attributes that an encoder's constructor takes."""
    return {name: getattr(layer, name) for name in names}
