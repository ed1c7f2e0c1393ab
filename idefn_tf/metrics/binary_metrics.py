"""Several streaming metrics of one output from one histogram."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._rules import COUNT, checked
from idefn_tf.metrics import _derive, _stream
from idefn_tf.metrics.exact_metrics import ECE_BINS
from idefn_tf.metrics.score_histogram import ScoreHistogram
from idefn_tf.metrics.streaming_log_loss import cross_entropy

#: The metrics that `BinaryMetrics` can derive.
BINARY_METRICS = ("auc", "ks", "logloss", "pcoc", "ece")


@register("metric")
class BinaryMetrics(ScoreHistogram):
    """AUC, KS, LogLoss, PCOC and ECE of one output in one space, for the price of one update.

    `result()` is a dict with keys `<name>_<metric>`, so `name="all_funnel/cvr"` gives
    "all_funnel/cvr_auc" and so on. Keras' `get_metrics_result` merges it into the history. AUC
    and KS have the tolerance of `auc_error_bound()` and `ks_error_bound()`; LogLoss and PCOC
    equal the exact ones up to rounding.

    Args:
        name: Prefix of the keys, for example "cvr" or "clicked/cvr".
        dtype: Type of the results.
        metrics: Which of auc, ks, logloss, pcoc, ece. Defaults to all.
        ece_bins: Number of equal-mass bins of the ECE. Defaults to 15.
        **kwargs: Arguments of `ScoreHistogram`: bins, logit_limit, from_logits.

    Example:
        >>> from idefn_tf.metrics import BinaryMetrics
        >>> metric = BinaryMetrics("cvr", metrics=("auc", "pcoc"))
        >>> metric.update_state([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.6])
        >>> {key: round(float(value), 4) for key, value in metric.result().items()}
        {'cvr_auc': 0.75, 'cvr_pcoc': 1.0}
    """

    def __init__(
        self,
        name: str = "binary",
        dtype: Any = None,
        metrics: Sequence[str] = BINARY_METRICS,
        ece_bins: int = ECE_BINS,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype, **kwargs)
        unknown = [metric for metric in metrics if metric not in BINARY_METRICS]
        if unknown or not metrics or isinstance(metrics, str):
            raise ValueError(
                f"metrics: must name some of {', '.join(BINARY_METRICS)}, received {metrics!r}"
            )
        checked("ece_bins", COUNT, ece_bins)
        self.metric_names = tuple(metrics)
        self.ece_bins = ece_bins
        self.loss = self.add_variable((), "zeros", dtype="float64", name="loss")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds one batch; see `ScoreHistogram.update_state`."""
        super().update_state(y_true, y_pred, sample_weight)
        if "logloss" in self.metric_names:
            y, s, w = _stream.flat_batch(y_true, y_pred, sample_weight)
            loss = w * cross_entropy(y, s, self.from_logits)
            self.loss.assign_add(tf.reduce_sum(_stream.spoil(loss, tf.math.is_nan(s), w)))

    def result(self) -> dict[str, tf.Tensor]:
        """{"<name>_<metric>": scalar} of the rows seen so far."""
        counts = tf.convert_to_tensor(self.counts.value)
        derived = {
            "auc": lambda: _derive.auc_of(counts),
            "ks": lambda: _derive.ks_of(counts),
            "logloss": lambda: _stream.divide_or_nan(
                tf.convert_to_tensor(self.loss.value), tf.reduce_sum(counts[:, :2])
            ),
            "pcoc": lambda: _derive.pcoc_of(counts),
            "ece": lambda: _derive.ece_of(counts, self.ece_bins),
        }
        return {
            f"{self.name}_{metric}": tf.cast(derived[metric](), self.dtype)
            for metric in self.metric_names
        }

    def auc_error_bound(self) -> tf.Tensor:
        """Largest possible distance of the AUC to the exact one, a scalar."""
        return tf.cast(_derive.auc_bound_of(self.counts.value), self.dtype)

    def ks_error_bound(self) -> tf.Tensor:
        """Largest possible distance of the KS to the exact one, a scalar."""
        return tf.cast(_derive.ks_bound_of(self.counts.value), self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the metric."""
        return {
            **super().get_config(),
            "metrics": list(self.metric_names),
            "ece_bins": self.ece_bins,
        }
