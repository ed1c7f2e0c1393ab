"""The Dense layer of the published runs, which start kernel and bias alike."""

from __future__ import annotations

import math
from typing import Any

import keras

from idefn_tf._registry import register


@register("layer", public=False)
class PublishedDense(keras.layers.Dense):
    """Dense whose kernel and bias start uniform in +-1/sqrt(fan_in).

    This is what PyTorch's Linear does, with which the published numbers were obtained; Keras
    starts a kernel by Glorot's rule and a bias at zero.
    """

    def build(self, input_shape: Any) -> None:
        """Sets both initializers once the number of inputs is known."""
        limit = 1.0 / math.sqrt(input_shape[-1])
        self.kernel_initializer = keras.initializers.RandomUniform(-limit, limit)
        self.bias_initializer = keras.initializers.RandomUniform(-limit, limit)
        super().build(input_shape)
