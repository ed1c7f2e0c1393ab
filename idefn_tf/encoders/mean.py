"""Mean of the events."""

from __future__ import annotations

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.encoders.encoder import SequenceEncoder
from idefn_tf.encoders.packed import PackedEvents


@register("encoder", "mean")
class MeanEncoder(SequenceEncoder):
    """Average pooling: the mean of the events, whatever the item in question.

    ::

        v = sum_j e_j / K

    Source: the pooling of Covington et al., RecSys 2016.

    Example:
        >>> from idefn_tf.encoders import MeanEncoder
        >>> events = tf.constant([[[2.0], [4.0], [0.0]]])
        >>> there = tf.constant([[True, True, False]])
        >>> MeanEncoder()(events, tf.zeros([1, 1]), there).numpy().tolist()
        [[3.0]]
    """

    def encode_packed(self, events: PackedEvents, item: tf.Tensor) -> tf.Tensor:
        """Returns the mean of the events."""
        count = events.total(tf.ones_like(events.vectors[:, :1]))
        return tf.math.divide_no_nan(events.total(events.vectors), count)
