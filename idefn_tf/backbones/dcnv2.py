"""DCNv2: explicit feature crosses through TensorFlow Recommenders, then a perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Count
from idefn_tf.backbones.mlp import MLP


@register("backbone", "dcnv2")
class DCNv2(MLP):
    """Deep & Cross Network, version 2, stacked: the perceptron reads what the crosses give.

    Formula, one cross layer per l::

        x_{l+1} = x_0 * (W x_l + b) + x_l,   x_0 = z;   logit = MLP(x_L)

    The code of the published runs adds b outside the product (x_0 * (W x_l) + b + x_l); this is
    the formula of the DCNv2 paper, as ``tfrs.layers.dcn.Cross`` computes it. As an expert of a
    trunk its output is a Dense layer of the last hidden layer's width on top of that layer.

    Args:
        cross_layers: how many crosses; the published runs use one.
        projection_dim: rank of W = U V; None for a full matrix.
        **kwargs: of `MLP`.

    Raises:
        ValueError: if `cross_layers` or `projection_dim` is below 1.

    Source: Wang et al., WWW 2021 (arXiv 2008.13535), Eq. 1 and 2.

    Example:
        >>> from idefn_tf.backbones import DCNv2
        >>> from idefn_tf.models import AllNegative
        >>> model = AllNegative(features, DCNv2((8,), cross_layers=2))
        >>> model(next(iter(data))[0])["cvr"].shape.as_list()
        [8]
        >>> model.towers["cvr"].cross_layers
        2
    """

    def __init__(
        self,
        *args: Any,
        cross_layers: Count = 1,
        projection_dim: Count | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.cross_layers, self.projection_dim = cross_layers, projection_dim
        self.crosses = [self._cross(f"cross_{i}") for i in range(cross_layers)]
        self.expand: Any = None if self.head else self.dense(self.units[-1], name="expand")

    def _cross(self, name: str) -> keras.layers.Layer:
        import tensorflow_recommenders as tfrs  # for those who cross: it takes its time

        options: dict[str, Any] = {}
        if self.parity == "published":
            options["kernel_initializer"] = keras.initializers.VarianceScaling(
                scale=1.0 / 3.0, mode="fan_in", distribution="uniform"
            )
        return tfrs.layers.dcn.Cross(projection_dim=self.projection_dim, name=name, **options)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Builds the crosses, the perceptron and an expert's output layer."""
        shape = tuple(input_shape)
        with tf.init_scope():  # Cross creates its variables at the first call, not in build
            for cross in self.crosses:
                cross.build(shape)
                cross(tf.zeros([1, shape[-1]], self.compute_dtype))
        if self.expand is not None:
            self.expand.build((None, self.units[-1]))
        super().build(shape)

    def hidden(self, z: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the perceptron's last hidden layer on the crossed z."""
        x = z
        for cross in self.crosses:
            x = cross(z, x)
        return super().hidden(x, training)

    def extract(self, z: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        """Returns an expert's output [B, units[-1]]."""
        return self.expand(hidden)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "cross_layers": self.cross_layers,
            "projection_dim": self.projection_dim,
        }
