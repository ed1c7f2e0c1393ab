"""Positive memory: the last conversions' representations, for batches that hold few."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Count, CountOrNone

#: Age stamp of an empty place.
_EMPTY = -1


@register("layer", public=False)
class PositiveMemory(keras.layers.Layer):
    """First-in first-out memory of detached representations z of converted rows.

    On Ali-CCP a batch of 2,048 holds 0.4 positives on average; without a memory most batches have
    nothing to match. The places are weights that no optimizer touches, saved with the model.

    Args:
        capacity: places.
        age_limit: training steps after which an entry no longer takes part; None for no limit.
            Entries age because the model that made them has moved on.

    Raises:
        ValueError: if `capacity` or `age_limit` is not positive.

    Example:
        >>> from idefn_tf.transport import PositiveMemory
        >>> memory = PositiveMemory(capacity=3)
        >>> memory(tf.constant([[1.0], [2.0]]), tf.constant([True, True]), tf.constant(0))
        >>> entries, alive = memory.read(tf.constant(1))
        >>> entries.numpy().ravel().tolist(), alive.numpy().tolist()
        ([1.0, 2.0, 0.0], [True, True, False])
    """

    def __init__(self, capacity: Count, age_limit: CountOrNone = None, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "trainable": False, "dtype": "float32"})
        self.capacity, self.age_limit = capacity, age_limit

    def build(self, input_shape: Any) -> None:
        """Creates the places for z of shape [B, d]."""
        width = input_shape[-1]
        self.entries = self.add_weight(
            shape=(self.capacity, width), initializer="zeros", trainable=False, name="entries"
        )
        self.born = self.add_weight(
            shape=(self.capacity,),
            initializer=keras.initializers.Constant(_EMPTY),
            dtype="int32",
            trainable=False,
            name="born",
        )
        self.built = True

    def read(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the entries [capacity, d], newest first, and which take part [capacity].

        Args:
            step: the training step that reads, scalar int32.
        """
        born = tf.convert_to_tensor(self.born.value)
        alive = born > _EMPTY
        if self.age_limit is not None:
            alive &= step - born <= self.age_limit
        return tf.convert_to_tensor(self.entries.value), alive

    def call(self, z: tf.Tensor, mask: tf.Tensor, step: tf.Tensor) -> None:
        """Puts new entries in front of the old ones; what no longer fits is forgotten.

        Args:
            z: candidates [n, d], those of `mask` before all others.
            mask: which of them are entries, boolean [n].
            step: the training step that writes, scalar int32.
        """
        new = tf.reduce_sum(tf.cast(mask, tf.int32))
        size = tf.shape(z)[0]
        place = tf.range(self.capacity)
        # place i takes the i-th new entry, or the old entry that stood `new` places before
        source = tf.where(place < new, tf.minimum(place, size - 1), size + place - new)
        born = tf.concat([tf.fill([size], step), tf.convert_to_tensor(self.born.value)], 0)
        entries = tf.concat([z, tf.convert_to_tensor(self.entries.value)], 0)
        self.entries.assign(tf.gather(entries, source))
        self.born.assign(tf.gather(born, source))

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "capacity": self.capacity,
            "age_limit": self.age_limit,
        }
