"""Streaming AUC."""

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.metrics import _derive
from idefn_tf.metrics.score_histogram import ScoreHistogram


@register("metric")
class HistogramAUC(ScoreHistogram):
    """Area under the ROC curve from one score histogram; rows of one bin count as ties.

    AUC = sum_b P_b (N_below_b + N_b / 2) / (P N). It differs from the exact value by at most
    `error_bound()`, usually a few 1e-5 with the default bins. NaN without both classes.

    Example:
        >>> from idefn_tf.metrics import HistogramAUC
        >>> metric = HistogramAUC()
        >>> metric.update_state([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.6])
        >>> round(float(metric.result()), 4)
        0.75
    """

    def result(self) -> tf.Tensor:
        """AUC in [0, 1], a scalar."""
        return tf.cast(_derive.auc_of(self.counts.value), self.dtype)

    def error_bound(self) -> tf.Tensor:
        """Largest possible distance to the exact AUC: sum_b P_b N_b / (2 P N), a scalar."""
        return tf.cast(_derive.auc_bound_of(self.counts.value), self.dtype)
