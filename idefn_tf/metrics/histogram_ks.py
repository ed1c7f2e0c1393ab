"""Streaming Kolmogorov-Smirnov statistic."""

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.metrics import _derive
from idefn_tf.metrics.score_histogram import ScoreHistogram


@register("metric")
class HistogramKS(ScoreHistogram):
    """KS = max over bin edges of (TPR - FPR), at least 0.

    Never above the exact value and below it by at most `error_bound()`. NaN without both classes.

    Example:
        >>> from idefn_tf.metrics import HistogramKS
        >>> metric = HistogramKS()
        >>> metric.update_state([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.6])
        >>> round(float(metric.result()), 4)
        0.5
    """

    def result(self) -> tf.Tensor:
        """KS in [0, 1], a scalar."""
        return tf.cast(_derive.ks_of(self.counts.value), self.dtype)

    def error_bound(self) -> tf.Tensor:
        """Largest possible distance to the exact KS: max_b min(P_b / P, N_b / N), a scalar."""
        return tf.cast(_derive.ks_bound_of(self.counts.value), self.dtype)
