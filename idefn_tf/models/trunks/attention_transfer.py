"""AttentionTransfer: lets one task's tower read what other towers have learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register


@register("layer", public=False)
class AttentionTransfer(keras.layers.Layer):
    """A logit from a receiver's features and those of its senders, weighed by attention.

    Formula, for the receiver's features h and those of sender s, all of width w::

        p_s = relu(P_s s)                                 what the sender tells
        t_s = a V_s p_s + (1 - a) V_s h                   weighed by attention
        (a, 1 - a) = softmax over x in (p_s, h) of (Q_s x) . (K_s x) / sqrt(w)
        logit = v . relu(F concat_s t_s)

    Args:
        senders: how many towers tell something.

    Source: Xi et al., KDD 2021 (AITM), whose attention DDPO (Su et al., SIGIR 2024) uses.
    """

    def __init__(self, senders: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.senders = senders

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates the maps for features of shape [B, w]."""
        width = int(input_shape[-1])  # type: ignore[arg-type]
        shape = (None, width)
        self.tells = [keras.layers.Dense(width, "relu") for _ in range(self.senders)]
        self.queries = [keras.layers.Dense(width) for _ in range(self.senders)]
        self.keys = [keras.layers.Dense(width) for _ in range(self.senders)]
        self.values = [keras.layers.Dense(width) for _ in range(self.senders)]
        for layer in (*self.tells, *self.queries, *self.keys, *self.values):
            layer.build(shape)
        self.fuse = keras.layers.Dense(width, "relu")
        self.fuse.build((None, width * self.senders))
        self.logit = keras.layers.Dense(1)
        self.logit.build(shape)
        self.built = True

    def call(self, receiver: tf.Tensor, senders: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns a logit float32 [B] from features [B, w] of the receiver and of each sender."""
        heard = []
        for i, sender in enumerate(senders):
            pair = tf.stack([self.tells[i](sender), receiver], 1)
            products = tf.reduce_sum(self.queries[i](pair) * self.keys[i](pair), -1)
            weights = tf.nn.softmax(products / math.sqrt(receiver.shape[-1]))
            heard.append(tf.reduce_sum(weights[:, :, None] * self.values[i](pair), 1))
        fused = self.fuse(tf.concat(heard, 1))
        return tf.cast(tf.squeeze(self.logit(fused), 1), tf.float32)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "senders": self.senders}
