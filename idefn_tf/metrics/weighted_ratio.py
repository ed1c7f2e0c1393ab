"""The base of the streaming metrics that are one sum over another."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.metrics import _stream


@register("class")
class WeightedRatio(keras.metrics.Metric):
    """sum of numerators / sum of denominators over all rows; a subclass gives the two terms.

    State: `sums`, [2], float64. NaN where the denominator is zero; a row with a NaN or impossible
    score makes the result NaN until `reset_state`; a row of weight zero takes no part.

    Args:
        name: Name of the metric.
        dtype: Type of the result; the state is always float64.
        from_logits: Whether `y_pred` holds logits instead of probabilities. Defaults to False.

    Example:
        >>> from idefn_tf.metrics import PCOC, WeightedRatio
        >>> metric = PCOC()
        >>> metric.update_state([0, 1], [0.5, 0.5], sample_weight=[3.0, 1.0])
        >>> isinstance(metric, WeightedRatio), float(metric.result())  # (1.5 + 0.5) / 1
        (True, 2.0)
    """

    def __init__(
        self, name: str | None = None, dtype: Any = None, from_logits: bool = False
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.from_logits = from_logits
        self.sums = self.add_variable((2,), "zeros", dtype="float64", name="sums")

    def terms(self, y: tf.Tensor, s: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Numerator and denominator of each row before weighting, each [batch], float64."""
        raise NotImplementedError("WeightedRatio is a base class. Use LogLoss or PCOC.")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds one batch.

        Args:
            y_true: [batch] or [batch, 1], labels in [0, 1].
            y_pred: [batch] or [batch, 1], probabilities (or logits).
            sample_weight: [batch], [batch, 1] or a scalar; a mask selects a space.
        """
        y, s, w = _stream.flat_batch(y_true, y_pred, sample_weight)
        values = w[:, None] * tf.stack(self.terms(y, s), axis=1)
        invalid = tf.math.is_nan(_stream.to_probability(s, self.from_logits))
        self.sums.assign_add(tf.reduce_sum(_stream.spoil(values, invalid, w), axis=0))

    def merge_state(self, others: Iterable["WeightedRatio"]) -> None:
        """Adds the rows that other metrics of the same class have seen.

        Args:
            others: Metrics of this class.

        Raises:
            ValueError: Where a class differs.
        """
        for other in others:
            if type(other) is not type(self):
                raise ValueError(
                    f"others: must be {type(self).__name__} metrics, "
                    f"received {type(other).__name__}; merge like with like"
                )
            self.sums.assign_add(other.sums)

    def result(self) -> tf.Tensor:
        """The ratio of the rows seen so far, a scalar."""
        sums = tf.convert_to_tensor(self.sums.value)
        return tf.cast(_stream.divide_or_nan(sums[0], sums[1]), self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the metric."""
        return {**super().get_config(), "from_logits": self.from_logits}
