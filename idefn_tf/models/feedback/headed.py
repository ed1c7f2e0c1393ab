"""HeadedLikelihood: label likelihoods that learn something of their own beside the rate."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from idefn_tf._options import check_arguments
from idefn_tf._types import Positive, PositiveOrNone, Widths
from idefn_tf.models.feedback.windowed import WindowedLikelihood


@check_arguments
class HeadedLikelihood(WindowedLikelihood):
    """A label likelihood with auxiliary heads: one small network on z, an output a head.

    Heads are trained by losses of their own (`feedback_loss`) and give z no gradient, so the
    embeddings learn from the method alone. They are no output of the model.

    Args:
        window: length of the attribution window, days.
        units: widths of the network's hidden layers.
        head_weight: factor of `feedback_loss`.

    Example:
        >>> from idefn_tf.models import feedback
        >>> sorted(feedback.ESDFMFeedback(window=7).heads)
        ['delayed_positive', 'real_negative']
    """

    head_options: tuple[str, ...] = ("units",)

    def __init__(
        self,
        window: PositiveOrNone = None,
        units: Widths = (32,),
        head_weight: Positive = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(window=window, **kwargs)
        self.units = tuple(int(u) for u in units)
        self.head_weight = float(head_weight)

    def build(self, input_shape: Any) -> None:
        """Creates the network for z of shape [B, d]."""
        self.network = [
            keras.layers.Dense(width, "relu", dtype="float32", name=f"hidden_{i}")
            for i, width in enumerate(self.units)
        ]
        start = keras.initializers.Constant(list(self.heads.values()))
        self.network.append(
            keras.layers.Dense(
                len(self.heads), bias_initializer=start, dtype="float32", name="heads"
            )
        )
        width = input_shape[-1]
        for layer in self.network:
            layer.build((None, width))
            width = layer.units
        self.built = True

    def head_logits(self, z: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the heads' logits [B] on z [B, d], which gets no gradient."""
        values = tf.cast(tf.stop_gradient(z), tf.float32)
        for layer in self.network:
            values = layer(values)
        return dict(zip(self.heads, tf.unstack(values, axis=1), strict=True))

    def get_config(self) -> dict[str, Any]:
        """Returns the settings."""
        return {**super().get_config(), "units": self.units, "head_weight": self.head_weight}
