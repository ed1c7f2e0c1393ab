"""Streaming log loss."""

from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.metrics._stream import to_logit
from idefn_tf.metrics.exact_metrics import LOG_LOSS_CLIP
from idefn_tf.metrics.weighted_ratio import WeightedRatio


def cross_entropy(y: tf.Tensor, s: tf.Tensor, from_logits: bool) -> tf.Tensor:
    """-(y ln p + (1 - y) ln(1 - p)), [batch], each p clipped to [1e-15, 1 - 1e-15]; float64."""
    if from_logits:
        logit = to_logit(s, from_logits=True)
        log_p, log_not_p = tf.math.log_sigmoid(logit), tf.math.log_sigmoid(-logit)
        floor = tf.math.log(tf.constant(LOG_LOSS_CLIP, s.dtype))
        log_p, log_not_p = tf.maximum(log_p, floor), tf.maximum(log_not_p, floor)
    else:
        log_p = tf.math.log(tf.maximum(s, LOG_LOSS_CLIP))
        log_not_p = tf.math.log(tf.maximum(1.0 - s, LOG_LOSS_CLIP))
    return -(y * log_p + (1.0 - y) * log_not_p)


@register("metric")
class LogLoss(WeightedRatio):
    """Mean cross-entropy in nats: -sum w (y ln p + (1 - y) ln(1 - p)) / sum w.

    p is clipped to [1e-15, 1 - 1e-15], in float64. Equals `metrics.log_loss` up to rounding.

    Args:
        name: Name of the metric. Defaults to "logloss".
        dtype: Type of the result.
        from_logits: Whether `y_pred` holds logits instead of probabilities. Defaults to False.

    Example:
        >>> from idefn_tf.metrics import LogLoss
        >>> metric = LogLoss()
        >>> metric.update_state([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.5])
        >>> round(float(metric.result()), 4)
        0.6931
    """

    def __init__(self, name: str = "logloss", dtype: Any = None, from_logits: bool = False) -> None:
        super().__init__(name=name, dtype=dtype, from_logits=from_logits)

    def terms(self, y: tf.Tensor, s: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Cross-entropy and one."""
        return cross_entropy(y, s, self.from_logits), tf.ones_like(y)
