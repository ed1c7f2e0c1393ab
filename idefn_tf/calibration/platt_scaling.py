"""Platt scaling as a layer."""

from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._rules import Number, checked

#: Probabilities are clipped to [LOGIT_CLIP, 1 - LOGIT_CLIP] before their logit is taken.
LOGIT_CLIP = 1e-15


@register("layer", public=False)
class PlattScaling(keras.layers.Layer):
    """p' = sigmoid(slope * logit(p) + intercept), computed in float64.

    Args:
        slope: Factor of the logit, positive so that the ranking stays.
        intercept: Shift of the logit.
        **kwargs: Arguments of `keras.layers.Layer`.

    Example:
        >>> from idefn_tf.calibration import PlattScaling
        >>> layer = PlattScaling(slope=1.0, intercept=float(np.log(3)))  # odds times 3
        >>> round(float(layer(tf.constant([[0.5]]))[0, 0]), 4)
        0.75
    """

    def __init__(self, slope: float, intercept: float, **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        cure = "a slope below 0 reverses the ranking: check that scores and labels belong together"
        self.slope = float(checked("slope", Number(above=0), slope, cure))
        self.intercept = float(intercept)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps probabilities of any shape to calibrated ones of the same shape and type."""
        p = tf.clip_by_value(tf.cast(inputs, tf.float64), LOGIT_CLIP, 1.0 - LOGIT_CLIP)
        logit = tf.math.log(p) - tf.math.log1p(-p)
        return tf.cast(tf.math.sigmoid(self.slope * logit + self.intercept), inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {**super().get_config(), "slope": self.slope, "intercept": self.intercept}
