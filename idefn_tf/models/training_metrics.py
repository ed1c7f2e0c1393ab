"""The metrics that every model reports in fit, on the spaces that training may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from idefn_tf.metrics import BinaryMetrics
from idefn_tf.models.batch import Batch


class TrainingMetrics:
    """Streaming metrics on all_funnel and clicked, and the mean CVR on both sides of the click.

    The unclicked mean tells at once when a model calls everything below the click negative.
    """

    def __init__(self) -> None:
        self.all_cvr = BinaryMetrics("all_funnel/cvr", metrics=("auc", "ks", "logloss", "pcoc"))
        self.clicked_cvr = BinaryMetrics("clicked/cvr", metrics=("auc", "ks", "logloss", "pcoc"))
        self.ctr = BinaryMetrics("all_funnel/ctr", metrics=("auc", "logloss"))
        self.ctcvr = BinaryMetrics("all_funnel/ctcvr", metrics=("auc", "logloss"))
        self.mean_clicked = keras.metrics.Mean(name="mean_cvr_clicked")
        self.mean_unclicked = keras.metrics.Mean(name="mean_cvr_unclicked")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The Keras metrics, in the order of the history's columns."""
        return [
            self.all_cvr,
            self.clicked_cvr,
            self.ctr,
            self.ctcvr,
            self.mean_clicked,
            self.mean_unclicked,
        ]

    def update(self, predictions: Mapping[str, tf.Tensor], batch: Batch) -> None:
        """Adds one batch of predictions {"ctr", "cvr", "ctcvr"}."""
        weight: Any = batch.weight
        clicked, unclicked = weight * batch.click, weight * batch.unclicked
        cvr = predictions["cvr"]
        self.all_cvr.update_state(batch.conversion, cvr, weight)
        self.clicked_cvr.update_state(batch.conversion, cvr, clicked)
        self.ctr.update_state(batch.click, predictions["ctr"], weight)
        self.ctcvr.update_state(batch.conversion, predictions["ctcvr"], weight)
        self.mean_clicked.update_state(cvr, sample_weight=clicked)
        self.mean_unclicked.update_state(cvr, sample_weight=unclicked)


class Largest(keras.metrics.Metric):
    """The greatest value (at least 0) over the epoch."""

    def __init__(self, name: str = "largest", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.value = self.add_variable(shape=(), initializer="zeros", name="value")

    def update_state(self, value: tf.Tensor, sample_weight: Any = None) -> None:
        """Takes the greater of the state and `value`; a NaN stays."""
        self.value.assign(tf.maximum(self.value.value, tf.cast(value, tf.float32)))

    def result(self) -> tf.Tensor:
        """Returns the greatest value so far."""
        return self.value.value


#: How a monitored scalar is gathered over an epoch.
MONITORS: dict[str, Any] = {
    "mean": keras.metrics.Mean,
    "sum": keras.metrics.Sum,
    "max": Largest,
}
