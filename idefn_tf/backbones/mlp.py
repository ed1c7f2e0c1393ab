"""The multi-layer perceptron, and the base of every backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="idefn_tf")
class MLP(keras.layers.Layer):
    """One task's tower: (Dense, BatchNorm, activation, Dropout) per hidden layer, then one logit.

    A model holds one clone per task (`for_task`); only the embeddings are shared.

    Args:
        units: widths of the hidden layers, e.g. (512, 256, 128, 64) on KuaiRand-Pure.
        batch_norm: whether each hidden layer normalizes before its activation.
        activation: of the hidden layers.
        dropout: rate after each hidden layer.
        parity: "keras" or "published": initializers and BatchNorm settings of the published
            runs (uniform in +-1/sqrt(fan_in) for kernel and bias, momentum .9, epsilon 1e-5).

    Raises:
        ValueError: if `units` is empty or not positive, or `parity` is unknown.
    """

    def __init__(
        self,
        units: Sequence[int] = (512, 256, 128, 64),
        batch_norm: bool = True,
        activation: str = "relu",
        dropout: float = 0.0,
        parity: str = "keras",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not units or any(int(u) < 1 for u in units):
            raise ValueError(f"units: must be positive widths, at least one, received {units}")
        if parity not in ("keras", "published"):
            raise ValueError(f"parity: must be 'keras' or 'published', received {parity!r}")
        self.units = tuple(int(u) for u in units)
        self.batch_norm, self.activation = batch_norm, activation
        self.dropout, self.parity = dropout, parity
        self.blocks = self.hidden_blocks()
        self.logit = self.dense(1, name="logit")

    def dense(self, width: int, **kwargs: Any) -> keras.layers.Dense:
        """Returns a Dense layer with the chosen initializers."""
        if self.parity == "published":
            uniform = {"scale": 1.0 / 3.0, "mode": "fan_in", "distribution": "uniform"}
            kwargs["kernel_initializer"] = keras.initializers.VarianceScaling(**uniform)
            kwargs.setdefault("bias_initializer", "zeros")
        return keras.layers.Dense(width, **kwargs)

    def hidden_blocks(self) -> list[keras.layers.Layer]:
        """Returns the layers between z and the logit."""
        layers: list[keras.layers.Layer] = []
        published = self.parity == "published"
        for width in self.units:
            layers.append(self.dense(width, use_bias=not self.batch_norm))
            if self.batch_norm:
                layers.append(
                    keras.layers.BatchNormalization(
                        momentum=0.9, epsilon=1e-5 if published else 1e-3
                    )
                )
            layers.append(keras.layers.Activation(self.activation))
            if self.dropout:
                layers.append(keras.layers.Dropout(self.dropout))
        return layers

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Builds every block for z of shape [B, width]."""
        shape = tuple(input_shape)
        for block in self.blocks:
            block.build(shape)
            shape = tuple(block.compute_output_shape(shape))
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

    def call(self, z: tf.Tensor, training: bool | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the logit float32 [B] and the last hidden layer [B, units[-1]] of z [B, d]."""
        hidden = self.hidden(z, training)
        return tf.cast(tf.squeeze(self.logit(hidden), 1), tf.float32), hidden

    def for_task(self, name: str) -> MLP:
        """Returns a fresh clone for one task."""
        return type(self).from_config({**self.get_config(), "name": f"{name}_tower"})

    def bind(self, features: Any) -> None:
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
        }
