"""Streaming expected calibration error."""

from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._rules import COUNT, checked
from idefn_tf.metrics import _derive
from idefn_tf.metrics.exact_metrics import ECE_BINS
from idefn_tf.metrics.score_histogram import ScoreHistogram


@register("metric")
class ECE(ScoreHistogram):
    """Expected calibration error over bins of equal mass, formed when the result is read.

    ECE = sum_b (W_b / W) |mean prediction_b - mean label_b|; the definition is `metrics.ece`'s,
    with rows of one fine bin kept together. NaN without rows.

    Args:
        name: Name of the metric. Defaults to "ece".
        dtype: Type of the result.
        ece_bins: Number of equal-mass bins. Defaults to 15.
        **kwargs: Arguments of `ScoreHistogram`: bins, logit_limit, from_logits.

    Example:
        >>> from idefn_tf.metrics import ECE
        >>> metric = ECE(ece_bins=2)
        >>> metric.update_state([0, 0, 1, 1], [0.2, 0.2, 0.6, 0.6])
        >>> round(float(metric.result()), 3)
        0.3
    """

    def __init__(
        self, name: str = "ece", dtype: Any = None, ece_bins: int = ECE_BINS, **kwargs: Any
    ) -> None:
        super().__init__(name=name, dtype=dtype, **kwargs)
        checked("ece_bins", COUNT, ece_bins)
        self.ece_bins = ece_bins

    def result(self) -> tf.Tensor:
        """ECE in [0, 1], a scalar."""
        return tf.cast(_derive.ece_of(self.counts.value, self.ece_bins), self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the metric."""
        return {**super().get_config(), "ece_bins": self.ece_bins}
