"""A piecewise-linear map as a layer."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from idefn_tf._registry import register


@register("layer", public=False)
class PiecewiseLinear(keras.layers.Layer):
    """Interpolates linearly between knots, constant outside them; `numpy.interp` as a layer.

    Computed in float64: knots of rare labels lie closer than float32 can tell apart.

    Args:
        x: Knots, strictly increasing.
        y: Values at the knots, as many.
        **kwargs: Arguments of `keras.layers.Layer`.

    Example:
        >>> from idefn_tf.calibration import PiecewiseLinear
        >>> layer = PiecewiseLinear([0.0, 1.0], [0.0, 0.5])
        >>> layer(tf.constant([[0.0], [0.5], [2.0]])).numpy().ravel().tolist()
        [0.0, 0.25, 0.5]
    """

    def __init__(self, x: Sequence[float], y: Sequence[float], **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        knots, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        increasing = knots.ndim == 1 and knots.size > 0 and bool(np.all(np.diff(knots) > 0))
        if not increasing or knots.shape != values.shape:
            raise ValueError(
                "x: must be strictly increasing and `y` as long, received shapes "
                f"{knots.shape} and {values.shape}; merge knots that coincide"
            )
        # Plain tuples: Keras wraps lists that are attributes of a layer.
        self.x = tuple(float(value) for value in knots)
        self.y = tuple(float(value) for value in values)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps values of any shape to interpolated ones of the same shape and type."""
        p = tf.reshape(tf.cast(inputs, tf.float64), [-1])
        x, y = tf.constant(self.x, tf.float64), tf.constant(self.y, tf.float64)
        right = tf.searchsorted(x, p, side="right")
        right = tf.clip_by_value(right, min(1, len(self.x) - 1), len(self.x) - 1)
        left = tf.maximum(right - 1, 0)
        x0, y0 = tf.gather(x, left), tf.gather(y, left)
        width = tf.gather(x, right) - x0
        width = tf.where(width > 0, width, tf.ones_like(width))
        share = tf.clip_by_value((p - x0) / width, 0.0, 1.0)
        mapped = y0 + share * (tf.gather(y, right) - y0)
        mapped = tf.where(tf.math.is_nan(p), p, mapped)
        return tf.cast(tf.reshape(mapped, tf.shape(inputs)), inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {**super().get_config(), "x": list(self.x), "y": list(self.y)}
