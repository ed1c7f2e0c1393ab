"""DIN: events weighed by a small network that sees the item in question."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Activation, Switch, Widths
from idefn_tf.encoders.encoder import SequenceEncoder, config_of
from idefn_tf.encoders.packed import PackedEvents


@register("encoder", "din")
class DINEncoder(SequenceEncoder):
    """Local activation unit: a weighted sum of the events, the weights from event and item.

    ::

        v = sum_j a(e_j, q) e_j,    a = MLP([q, e, q - e, q * e])

    The first layer is linear in q, in e and in their product, so its difference part is folded
    into the other two: x = q Wq + e We + (q * e) Wp + b.
    Weights are not normalized, as published, so that many similar events weigh more; `normalize`
    takes a softmax.

    Source: Zhou et al., Deep Interest Network, KDD 2018, eq. (3).

    Args:
        units: widths of the network's hidden layers.
        activation: of the hidden layers.
        normalize: whether weights are a softmax over the events.

    Example:
        >>> from idefn_tf.encoders import DINEncoder
        >>> encoder = DINEncoder((8,))
        >>> events, item = tf.ones([2, 3, 4]), tf.ones([2, 4])
        >>> there = tf.constant([[True, True, False], [False, False, False]])
        >>> encoder(events, item, there).shape.as_list()
        [2, 4]
    """

    def __init__(
        self,
        units: Widths = (80, 40),
        activation: Activation = "sigmoid",
        normalize: Switch = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = tuple(int(u) for u in units)
        self.activation, self.normalize = activation, normalize
        self._activate = keras.activations.get(activation)

    def build(self, width: int) -> None:
        """Creates the network."""
        first = self.units[0]
        spread = keras.initializers.VarianceScaling(1.0, "fan_avg", "uniform")
        self.of_item, self.of_event, self.of_product = (
            self.add_weight(name=name, shape=(width, first), initializer=spread)
            for name in ("of_item", "of_event", "of_product")
        )
        self.bias = self.add_weight(name="bias", shape=(first,), initializer="zeros")
        self.deeper = []
        for i, (before, after) in enumerate(zip(self.units, (*self.units[1:], 1), strict=True)):
            kernel = self.add_weight(name=f"kernel_{i}", shape=(before, after), initializer=spread)
            bias = self.add_weight(name=f"bias_{i}", shape=(after,), initializer="zeros")
            self.deeper.append((kernel, bias))
        super().build(width)

    def scores(self, events: PackedEvents, item: tf.Tensor) -> tf.Tensor:
        """Returns the network's output of each event, [P, 1].

        Args:
            events: those that are there.
            item: float32 [B, d].
        """
        of_item = tf.matmul(item, self.of_item) + self.bias.value
        product = events.vectors * events.spread(item)
        both = tf.concat([self.of_event.value, self.of_product.value], 0)
        hidden = tf.matmul(tf.concat([events.vectors, product], 1), both)
        hidden = self._activate(hidden + events.spread(of_item))
        for kernel, bias in self.deeper[:-1]:
            hidden = self._activate(tf.matmul(hidden, kernel) + bias.value)
        kernel, bias = self.deeper[-1]
        return tf.matmul(hidden, kernel) + bias.value

    def encode_packed(self, events: PackedEvents, item: tf.Tensor) -> tf.Tensor:
        """Returns the weighted sum."""
        scores = self.scores(events, item)
        weights = events.softmax(scores) if self.normalize else scores
        return events.total(weights * events.vectors)

    def get_config(self) -> dict[str, Any]:
        """Returns the settings."""
        return {**super().get_config(), **config_of(self, "units", "activation", "normalize")}
