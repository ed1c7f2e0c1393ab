"""Transformer: a causal block over the events and the item in question."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Count, ShareBelowOne
from idefn_tf.encoders.encoder import SequenceEncoder, config_of


@register("encoder", "transformer")
class TransformerEncoder(SequenceEncoder):
    """Causal self-attention over the events, the item last; its output is the vector.

    ::

        x = [e_1 .. e_n, q] + recency embedding
        x = x + attention(norm(x)),   x = x + W2 relu(W1 norm(x))      once a block
        v = norm(x)_q

    An event attends to itself and to earlier ones, the item to all. Recency counts events from the
    newest, so that a longer history moves no position. Of the last block the item's output alone is
    computed. Computed on the padded length.

    Source: Chen et al., Behavior Sequence Transformer, 2019 (arXiv 1905.06874); blocks normalize
    first, as in Xiong et al., ICML 2020.

    Args:
        blocks: number of blocks.
        heads: of the attention.
        head_width: of each head.
        feed_forward: width of the inner layer.
        dropout: rate after attention and inner layer.
        recency: how many positions have an embedding of their own; older ones share the last.

    Example:
        >>> from idefn_tf.encoders import TransformerEncoder
        >>> encoder = TransformerEncoder(heads=1, head_width=4, feed_forward=8)
        >>> there = tf.constant([[True, True, False]])
        >>> encoder(tf.ones([1, 3, 4]), tf.ones([1, 4]), there).shape.as_list()
        [1, 4]
    """

    ordered = True

    def __init__(
        self,
        blocks: Count = 1,
        heads: Count = 2,
        head_width: Count = 16,
        feed_forward: Count = 64,
        dropout: ShareBelowOne = 0.0,
        recency: Count = 200,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.blocks, self.heads, self.head_width = int(blocks), int(heads), int(head_width)
        self.feed_forward, self.dropout, self.recency = int(feed_forward), dropout, int(recency)

    def build(self, width: int) -> None:
        """Creates the blocks."""
        self.positions = self.add_weight(
            name="positions",
            shape=(self.recency + 1, width),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        layers = keras.layers
        self.parts: list[dict[str, Any]] = []
        same: dict[str, Any] = {"dtype": self.dtype_policy}
        norm = {"epsilon": 1e-6, **same}
        for i in range(self.blocks):
            part = {
                "norm_1": layers.LayerNormalization(name=f"norm_1_{i}", **norm),
                "attention": layers.MultiHeadAttention(
                    self.heads, self.head_width, dropout=self.dropout, name=f"attention_{i}", **same
                ),
                "norm_2": layers.LayerNormalization(name=f"norm_2_{i}", **norm),
                "inner": layers.Dense(self.feed_forward, "relu", name=f"inner_{i}", **same),
                "outer": layers.Dense(width, name=f"outer_{i}", **same),
            }
            shape = (None, None, width)
            for name in ("norm_1", "norm_2", "inner"):
                part[name].build(shape)
            part["outer"].build((None, None, self.feed_forward))
            part["attention"].build(shape, shape)
            self.parts.append(part)
        self.norm = layers.LayerNormalization(name="norm", **norm)
        self.norm.build((None, width))
        super().build(width)

    def encode(self, events: tf.Tensor, item: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
        """Returns the item's output of the last block."""
        counted = tf.cast(there, tf.int32)
        # how many events that are there stand after each one: 1 for the newest, 0 for the item
        recency = tf.cumsum(counted, 1, reverse=True)
        recency = tf.minimum(tf.concat([recency, tf.zeros_like(recency[:, :1])], 1), self.recency)
        x = tf.concat([events, item[:, None]], 1) + tf.gather(self.positions.value, recency)
        seen = tf.concat([there, tf.ones_like(there[:, :1])], 1)
        steps = tf.range(tf.shape(seen)[1])
        mask = tf.logical_and(seen[:, None, :], (steps[:, None] >= steps[None, :])[None])
        # a padded place sees itself, so that no softmax is over nothing
        mask = tf.logical_or(mask, tf.eye(tf.shape(seen)[1], dtype=tf.bool)[None])
        for i, part in enumerate(self.parts):
            normal = asking = part["norm_1"](x)
            if i == len(self.parts) - 1:  # of the last block the item's output alone is read
                x, asking, mask = x[:, -1:], normal[:, -1:], mask[:, -1:]
            x += part["attention"](asking, normal, attention_mask=mask)
            x += part["outer"](part["inner"](part["norm_2"](x)))
        return self.norm(x[:, 0])

    def get_config(self) -> dict[str, Any]:
        """Returns the settings."""
        names = ("blocks", "heads", "head_width", "feed_forward", "dropout", "recency")
        return {**super().get_config(), **config_of(self, *names)}
