"""Mean of the events."""

from __future__ import annotations

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.encoders.encoder import SequenceEncoder, weighted_sum


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

    def encode(self, events: tf.Tensor, item: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
        """Returns the mean of the events."""
        counted = tf.cast(there, events.dtype)
        shares = tf.math.divide_no_nan(counted, tf.reduce_sum(counted, 1, keepdims=True))
        return weighted_sum(shares, events)
