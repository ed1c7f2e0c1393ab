"""The base of the streaming ranking metrics: one weighted histogram of scores."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from idefn_tf.metrics import _stream


class ScoreHistogram(keras.metrics.Metric):
    """Sums positives, negatives and predictions of each score bin; subclasses read it.

    Bins have equal width in the logit of the score, ln(p / (1 - p)), on [-limit, limit]; the end
    bins also take what lies outside. The default, 4096 bins on [-16, 16], is 0.78 % of the odds
    per bin, at .001 as at .5, which equal widths in p are not. Rows of one bin count as tied.

    State: `counts`, [bins, 3], float64 (float32 stops counting at 16.8 million rows a bin), sums
    only, so replicas and shards merge by addition. An update is one segment sum over the batch.
    A row with a NaN or impossible score makes the results NaN until `reset_state`; a row of
    weight zero takes no part.

    Args:
        name: Name of the metric.
        dtype: Type of the result; the state is always float64. Defaults to Keras' floatx.
        bins: Number of bins. Defaults to 4096.
        logit_limit: Bins cover logits from -limit to limit. Defaults to 16.
        from_logits: Whether `y_pred` holds logits instead of probabilities. Defaults to False.

    Example:
        >>> from idefn_tf.metrics import HistogramAUC, ScoreHistogram
        >>> first, second = HistogramAUC(), HistogramAUC()
        >>> first.update_state([0, 1], [0.1, 0.9])
        >>> second.update_state([1, 0], [0.4, 0.6])
        >>> first.merge_state([second])  # as if one had seen all four rows
        >>> isinstance(first, ScoreHistogram), round(float(first.result()), 4)
        (True, 0.75)
    """

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        bins: int = 4096,
        logit_limit: float = 16.0,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        _stream.check_bins(bins, -logit_limit, logit_limit)
        self.bins = bins
        self.logit_limit = float(logit_limit)
        self.from_logits = from_logits
        self.counts = self.add_variable((bins, 3), "zeros", dtype="float64", name="counts")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds one batch.

        Args:
            y_true: [batch] or [batch, 1], labels in [0, 1].
            y_pred: [batch] or [batch, 1], probabilities (or logits).
            sample_weight: [batch], [batch, 1] or a scalar; a mask selects a space.
        """
        y, s, w = _stream.flat_batch(y_true, y_pred, sample_weight)
        logits = _stream.to_logit(s, self.from_logits)
        p = _stream.to_probability(s, self.from_logits)
        values = tf.stack([w * y, w * (1.0 - y), w * p], axis=1)
        values = _stream.spoil(values, tf.math.is_nan(logits), w)
        index = _stream.logit_bin(logits, -self.logit_limit, self.logit_limit, self.bins)
        self.counts.assign_add(tf.math.unsorted_segment_sum(values, index, self.bins))

    def merge_state(self, others: Iterable["ScoreHistogram"]) -> None:
        """Adds the rows that other metrics of the same settings have seen.

        Args:
            others: Metrics of this class with the same configuration.

        Raises:
            ValueError: Where a configuration differs.
        """
        mine = self._comparable_config()
        for other in others:
            if type(other) is not type(self) or other._comparable_config() != mine:
                raise ValueError(
                    "others: must have this metric's class and settings, received "
                    f"{type(other).__name__} where {type(self).__name__} {mine} was expected; "
                    "create them with the same arguments"
                )
            for variable, addition in zip(self.variables, other.variables, strict=True):
                variable.assign_add(addition)

    def result(self) -> Any:
        """The value of the rows seen so far; each subclass derives its own."""
        raise NotImplementedError("ScoreHistogram is a base class. Use HistogramAUC or another.")

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the metric."""
        return {
            **super().get_config(),
            "bins": self.bins,
            "logit_limit": self.logit_limit,
            "from_logits": self.from_logits,
        }

    def _comparable_config(self) -> dict[str, Any]:
        config = self.get_config()
        del config["name"], config["dtype"]
        return config
