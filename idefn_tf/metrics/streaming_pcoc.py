"""Streaming ratio of predicted to observed conversions."""

from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.metrics._stream import to_probability
from idefn_tf.metrics.weighted_ratio import WeightedRatio


@register("metric")
class PCOC(WeightedRatio):
    """Predicted conversions over observed conversions: sum w p / sum w y. 1 is calibrated.

    Equals `metrics.pcoc` up to rounding; NaN without positives.

    Args:
        name: Name of the metric. Defaults to "pcoc".
        dtype: Type of the result.
        from_logits: Whether `y_pred` holds logits instead of probabilities. Defaults to False.

    Example:
        >>> from idefn_tf.metrics import PCOC
        >>> metric = PCOC()
        >>> metric.update_state([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.5])
        >>> round(float(metric.result()), 4)
        1.0
    """

    def __init__(self, name: str = "pcoc", dtype: Any = None, from_logits: bool = False) -> None:
        super().__init__(name=name, dtype=dtype, from_logits=from_logits)

    def terms(self, y: tf.Tensor, s: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Prediction and label."""
        return to_probability(s, self.from_logits), y
