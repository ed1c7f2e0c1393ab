"""Running estimates over training steps: a mean with its interval, and a share."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._rules import Number, checked


@register("layer", public=False)
class RunningMean(keras.layers.Layer):
    """Exponential moving mean of a scalar, unbiased from the first step, with a 95 % interval.

    Formulas: with decay d and step values x_t, sums S_k = sum_t d^(T-t) x_t^k and W likewise of 1
    and V of d^(2(T-t)) give mean S_1 / W and standard error sqrt(variance * V / W^2).

    Args:
        decay: d in (0, 1); 1 / (1 - d) steps is the memory.

    Raises:
        ValueError: if `decay` is not within (0, 1).
    """

    def __init__(self, decay: float = 0.99, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "trainable": False, "dtype": "float32"})
        self.decay = checked("decay", Number(above=0, below=1), decay)
        self.sums = self.add_weight(
            shape=(4,), initializer="zeros", trainable=False, name="sums", dtype="float32"
        )
        self.built = True

    def call(self, value: tf.Tensor, weight: tf.Tensor | float = 1.0) -> None:
        """Adds one step's value with a weight (0 leaves the estimate as it is)."""
        weight = tf.cast(weight, tf.float32)
        seen = tf.cast(weight > 0, tf.float32)
        value = tf.where(weight > 0, tf.cast(value, tf.float32), 0.0)
        keep = 1.0 - seen * (1.0 - self.decay)
        old = tf.convert_to_tensor(self.sums.value)
        fresh = tf.stack([weight, weight * value, weight * tf.square(value), tf.square(weight)])
        self.sums.assign(old * tf.stack([keep, keep, keep, keep * keep]) + fresh)

    @property
    def known(self) -> tf.Tensor:
        """Whether any step counted, boolean scalar."""
        return tf.convert_to_tensor(self.sums.value)[0] > 0

    @property
    def mean(self) -> tf.Tensor:
        """The mean, 0 before the first step."""
        sums = tf.convert_to_tensor(self.sums.value)
        return tf.math.divide_no_nan(sums[1], sums[0])

    @property
    def interval(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The mean's 95 % interval (normal approximation over steps)."""
        sums = tf.convert_to_tensor(self.sums.value)
        mean = self.mean
        variance = tf.maximum(tf.math.divide_no_nan(sums[2], sums[0]) - tf.square(mean), 0.0)
        error = tf.sqrt(variance * tf.math.divide_no_nan(sums[3], tf.square(sums[0])))
        return mean - 1.96 * error, mean + 1.96 * error

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {**super().get_config(), "decay": self.decay}
