"""Target attention: multi-head attention whose query is the item in question."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Count
from idefn_tf.encoders.encoder import SequenceEncoder, config_of
from idefn_tf.encoders.packed import PackedEvents


@register("encoder", "target_attention")
class TargetAttentionEncoder(SequenceEncoder):
    """Multi-head attention: the item asks, the events answer.

    ::

        head_h = softmax_j(q Wq_h (e_j Wk_h)^T / sqrt(d_h)) e_j Wv_h
        v      = concat(head_1 .. head_H) Wo

    One query a row lets the products change places: q Wq_h Wk_h^T is one vector a row, and the
    events are summed before Wv_h. So no event is multiplied by a matrix, and cost hardly grows
    with K.

    Source: Vaswani et al., Attention is all you need, NeurIPS 2017, section 3.2.

    Args:
        heads: number of heads, H.
        head_width: d_h.

    Example:
        >>> from idefn_tf.encoders import TargetAttentionEncoder
        >>> encoder = TargetAttentionEncoder(heads=2, head_width=4)
        >>> there = tf.constant([[True, True, False]])
        >>> encoder(tf.ones([1, 3, 4]), tf.ones([1, 4]), there).shape.as_list()
        [1, 4]
    """

    def __init__(self, heads: Count = 2, head_width: Count = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.head_width = int(heads), int(head_width)

    def build(self, width: int) -> None:
        """Creates the projections."""
        shape = (self.heads, width, self.head_width)
        for name in ("query", "key", "value"):
            kernel = self.add_weight(
                name=name, shape=shape, initializer=_per_head(width, self.head_width)
            )
            setattr(self, f"{name}_kernel", kernel)
        self.output_kernel = self.add_weight(
            name="output", shape=(self.heads * self.head_width, width), initializer="glorot_uniform"
        )
        super().build(width)

    def encode_packed(self, events: PackedEvents, item: tf.Tensor) -> tf.Tensor:
        """Returns what the item's attention gathers."""
        width, heads = int(item.shape[1]), self.heads
        asked = tf.einsum("bd,hde,hfe->bhf", item, self.query_kernel.value, self.key_kernel.value)
        asked = tf.reshape(asked / self.head_width**0.5, [-1, heads * width])
        vectors = events.vectors[:, None]
        asked = tf.reshape(events.spread(asked), [-1, heads, width])
        shares = events.softmax(tf.reduce_sum(asked * vectors, 2))
        summed = events.total(tf.reshape(shares[:, :, None] * vectors, [-1, heads * width]))
        summed = tf.reshape(summed, [-1, heads, width])
        answers = tf.einsum("bhd,hde->bhe", summed, self.value_kernel.value)
        flat = tf.reshape(answers, [-1, heads * self.head_width])
        return tf.matmul(flat, self.output_kernel)

    def get_config(self) -> dict[str, Any]:
        """Returns the settings."""
        return {**super().get_config(), **config_of(self, "heads", "head_width")}


def _per_head(width: int, head_width: int) -> keras.initializers.Initializer:
    """Glorot's uniform of one head's kernel; Keras would take heads for a receptive field."""
    limit = (6.0 / (width + head_width)) ** 0.5
    return keras.initializers.RandomUniform(-limit, limit)
