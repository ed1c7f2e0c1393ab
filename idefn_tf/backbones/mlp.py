"""The multi-layer perceptron, and the base of every backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Activation, ShareBelowOne, Widths
from idefn_tf.backbones.published_dense import PublishedDense

if TYPE_CHECKING:
    from idefn_tf.features import FeatureColumns


@register("backbone", "mlp")
class MLP(keras.layers.Layer):
    """One task's tower: (Dense, BatchNorm, activation, Dropout) per hidden layer, then one logit.

    A model holds one clone per task (`for_task`); only the embeddings are shared. Under a trunk
    (`MMoETrunk`, `PLETrunk`) clones without a head are its experts (`for_expert`), and plain
    perceptrons with the same settings read what it mixes (`for_head`).

    Args:
        units: widths of the hidden layers, e.g. (512, 256, 128, 64) on KuaiRand-Pure.
        batch_norm: whether each hidden layer normalizes before its activation.
        activation: of the hidden layers.
        dropout: rate after each hidden layer.
        parity: "keras" or "published": initializers and BatchNorm settings of the published
            runs (uniform in +-1/sqrt(fan_in) for kernel and bias, momentum .9, epsilon 1e-5).
        head: whether the tower ends in a logit; an expert has none.

    Raises:
        ValueError: if `units` is empty or not positive, or `parity` is unknown.

    Example:
        >>> from idefn_tf.backbones import MLP
        >>> tower = MLP((8, 4)).for_task("cvr")
        >>> tower.bind(features)
        >>> logit, hidden = tower(tf.zeros([2, features.output_width]))
        >>> logit.shape.as_list(), hidden.shape.as_list()
        ([2], [2, 4])
    """

    def __init__(
        self,
        units: Widths = (512, 256, 128, 64),
        batch_norm: bool = False,
        activation: Activation = "relu",
        dropout: ShareBelowOne = 0.0,
        parity: Literal["keras", "published"] = "keras",
        head: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = tuple(int(u) for u in units)
        self.batch_norm, self.activation = batch_norm, activation
        self.dropout, self.parity, self.head = dropout, parity, head
        self.blocks = self.hidden_blocks()
        self.logit: Any = self.dense(1, name="logit") if head else None

    def dense(self, width: int, **kwargs: Any) -> keras.layers.Dense:
        """Returns a Dense layer with the chosen initializers."""
        kind = PublishedDense if self.parity == "published" else keras.layers.Dense
        return kind(width, **kwargs)

    def hidden_blocks(self) -> list[keras.layers.Layer]:
        """Returns the layers between z and the logit."""
        layers: list[keras.layers.Layer] = []
        epsilon = 1e-5 if self.parity == "published" else 1e-3
        for width in self.units:
            # BatchNorm subtracts the mean, and any bias with it
            layers.append(self.dense(width, use_bias=not self.batch_norm))
            if self.batch_norm:
                layers.append(keras.layers.BatchNormalization(momentum=0.9, epsilon=epsilon))
            layers.append(keras.layers.Activation(self.activation))
            if self.dropout:
                layers.append(keras.layers.Dropout(self.dropout))
        return layers

    @property
    def hidden_width(self) -> int:
        """The width of the last hidden layer."""
        return self.units[-1]

    @property
    def output_width(self) -> int:
        """The width of an expert's output."""
        return self.units[-1]

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Builds every block for z of shape [B, width]."""
        shape = tuple(input_shape)
        for block in self.blocks:
            block.build(shape)
            shape = tuple(block.compute_output_shape(shape))
        if self.logit is not None:
            self.logit.build(shape)
        self.built = True

    def hidden(self, z: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the last hidden layer, [B, units[-1]]."""
        for block in self.blocks:
            if isinstance(block, (keras.layers.BatchNormalization, keras.layers.Dropout)):
                z = block(z, training=training)
            else:
                z = block(z)
        return z

    def logits(self, z: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        """Returns the logit [B, 1] of z [B, d] with its last hidden layer."""
        return self.logit(hidden)

    def extract(self, z: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        """Returns an expert's output [B, output_width]."""
        return hidden

    def call(self, z: tf.Tensor, training: bool | None = None) -> Any:
        """Reads z [B, d].

        Returns:
            The logit float32 [B] and the last hidden layer [B, units[-1]]; of an expert, its
            output [B, output_width] alone.
        """
        hidden = self.hidden(z, training)
        if not self.head:
            return self.extract(z, hidden)
        return tf.cast(tf.squeeze(self.logits(z, hidden), 1), tf.float32), hidden

    def for_task(self, name: str) -> MLP:
        """Returns a fresh clone for one task."""
        return type(self).from_config({**self.get_config(), "name": f"{name}_tower"})

    def for_expert(self, name: str, units: Sequence[int]) -> MLP:
        """Returns a fresh clone without a head and with hidden layers of its own."""
        changed = {"name": name, "units": tuple(units), "head": False}
        return type(self).from_config({**self.get_config(), **changed})

    def for_head(self, name: str, units: Sequence[int], head: bool = True) -> MLP:
        """Returns a plain perceptron with this backbone's settings: what reads mixed experts."""
        return MLP(
            units=units,
            batch_norm=self.batch_norm,
            activation=self.activation,
            dropout=self.dropout,
            parity=self.parity,
            head=head,
            name=name,
        )

    def bind(self, features: FeatureColumns) -> None:
        """Learns where each field lies in z; an MLP does not mind."""

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "batch_norm": self.batch_norm,
            "activation": self.activation,
            "dropout": self.dropout,
            "parity": self.parity,
            "head": self.head,
        }
