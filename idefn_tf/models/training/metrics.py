"""The metrics that every model reports in fit, on the spaces that training may see."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from idefn_tf.metrics import _derive, _stream
from idefn_tf.metrics.streaming_log_loss import cross_entropy
from idefn_tf.models.batch import Batch
from idefn_tf.models.replica_sums import greatest
from idefn_tf.models.training.loss_terms import REGULARIZATION

#: What is ranked where: (key of the metrics, output); clicked/cvr has the second place.
_RANKED = (
    ("all_funnel/cvr", "cvr"),
    ("clicked/cvr", "cvr"),
    ("all_funnel/ctr", "ctr"),
    ("all_funnel/ctcvr", "ctcvr"),
)
_BINS, _LIMIT = 4096, 16.0


class TrainingMetrics(keras.metrics.Metric):
    """Streaming metrics on all_funnel and clicked, and the mean CVR on both sides of the click.

    AUC and LogLoss of cvr, ctr and ctcvr, KS and PCOC of cvr, with the numbers and tolerances of
    `idefn_tf.metrics.BinaryMetrics`; here the four pairs of space and output share one state and
    one update, since fit pays for it at every step. The unclicked mean tells at once when a model
    calls everything below the click negative.

    `jit_compile` says whether XLA compiles the reading of the results; a model's `compile` sets it.

    State: [4, bins, 4], per bin of the score's logit the sums of w y, w (1 - y), w p and w times
    the cross-entropy.
    """

    def __init__(self, name: str = "training_metrics", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.jit_compile = True
        self.counts = self.add_variable(
            (len(_RANKED), _BINS, 4), "zeros", dtype="float64", name="counts"
        )

    def terms(
        self, predictions: Mapping[str, tf.Tensor], batch: Batch
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what `tallied` needs; pure, so that it can run inside a compiled step.

        Args:
            predictions: {"ctr", "cvr", "ctcvr"}, [B].
            batch: labels and weights.

        Returns:
            Bin numbers int32 [4 B] and additions float64 [4 B, 4].
        """
        labels = (batch.conversion, batch.conversion, batch.click, batch.conversion)
        scores = tf.concat([predictions[output] for _, output in _RANKED], 0)
        weight = tf.concat(
            [batch.weight, batch.weight * batch.click, batch.weight, batch.weight], 0
        )
        y, p, w = _stream.flat_batch(tf.concat(labels, 0), scores, weight)
        logit = _stream.to_logit(p, from_logits=False)
        sums = tf.stack([y, 1.0 - y, p, cross_entropy(y, p, from_logits=False)], 1) * w[:, None]
        sums = _stream.spoil(sums, tf.math.is_nan(logit), w)
        index = _stream.logit_bin(logit, -_LIMIT, _LIMIT, _BINS)
        start = tf.repeat(tf.range(len(_RANKED)) * _BINS, tf.size(index) // len(_RANKED))
        return index + start, sums

    def tallied(self, index: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
        """Returns what `terms` gave, by bin: what the state grows by, float64 [4, bins, 4].

        XLA compiles this for every number of rows; TensorFlow alone takes them as they come.
        """
        shape = self.counts.shape
        added = tf.math.unsorted_segment_sum(sums, index, shape[0] * shape[1])
        return tf.reshape(added, shape)

    def add(self, tallied: tf.Tensor) -> None:
        """Adds what `tallied` returned."""
        self.counts.assign_add(tallied)

    def update_state(self, predictions: Mapping[str, tf.Tensor], batch: Batch) -> None:
        """Adds one batch of predictions {"ctr", "cvr", "ctcvr"}."""
        self.add(self.tallied(*self.terms(predictions, batch)))

    def result(self) -> dict[str, tf.Tensor]:
        """{"<space>/<output>_<metric>": scalar} of the rows seen so far."""
        values = _summary(self.jit_compile)(tf.convert_to_tensor(self.counts.value))
        return {name: tf.cast(value, self.dtype) for name, value in values.items()}


def result_names() -> list[str]:
    """Returns the names of `TrainingMetrics`' results, in their order."""
    names = []
    for key, output in _RANKED:
        kinds = ("auc", "ks", "logloss", "pcoc") if output == "cvr" else ("auc", "logloss")
        names += [f"{key}_{kind}" for kind in kinds]
    return [*names, "mean_cvr_clicked", "mean_cvr_unclicked"]


@functools.cache
def _summary(jit: bool) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    return tf.function(_summarize, jit_compile=jit, autograph=False)


def _summarize(state: tf.Tensor) -> dict[str, tf.Tensor]:
    """All results from the state [4, bins, 4]."""
    counts, loss = state[..., :3], tf.reduce_sum(state[..., 3], 1)
    auc, sums = _derive.auc_of(counts), tf.reduce_sum(counts, 1)
    mass, scores = sums[:, 0] + sums[:, 1], sums[:, 2]
    logloss = _stream.divide_or_nan(loss, mass)
    results = {}
    for i, (key, output) in enumerate(_RANKED):  # in the order of `result_names`
        results[f"{key}_auc"] = auc[i]
        if output == "cvr":
            results[f"{key}_ks"] = _derive.ks_of(counts[i])
        results[f"{key}_logloss"] = logloss[i]
        if output == "cvr":
            results[f"{key}_pcoc"] = _stream.divide_or_nan(scores[i], sums[i, 0])
    results["mean_cvr_clicked"] = tf.math.divide_no_nan(scores[1], mass[1])
    results["mean_cvr_unclicked"] = tf.math.divide_no_nan(scores[0] - scores[1], mass[0] - mass[1])
    return results


class StepMeans(keras.metrics.Metric):
    """Weighted means over the steps of several scalars: the loss and its terms.

    Args:
        names: of the scalars, in the order of the history's columns.
    """

    def __init__(self, names: Sequence[str], name: str = "losses", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.names = tuple(names)
        # the last entry counts the weight; float32 would stop counting at 16.8 million rows
        self.sums = self.add_variable((len(self.names) + 1,), "zeros", dtype="float64", name="sums")

    def update_state(self, values: Mapping[str, tf.Tensor], weight: tf.Tensor) -> None:
        """Adds one step's scalars."""
        row = tf.stack([*(values[name] for name in self.names), tf.ones_like(weight)])
        self.sums.assign_add(tf.cast(row, tf.float64) * tf.cast(weight, tf.float64))

    def result(self) -> dict[str, tf.Tensor]:
        """{name: mean}; 0 before the first step."""
        sums = tf.convert_to_tensor(self.sums.value)
        means = tf.cast(tf.math.divide_no_nan(sums[:-1], sums[-1]), self.dtype)
        return dict(zip(self.names, tf.unstack(means), strict=True))


class RegularizationMean(StepMeans):
    """The mean of what layers' penalties add to the loss; shown once there is any.

    It is no part of saved models, so that those from before it load.
    """

    def __init__(self) -> None:
        super().__init__((REGULARIZATION,), name=REGULARIZATION)
        self.shown = False

    def result(self) -> dict[str, tf.Tensor]:
        """{"regularization": mean}, or nothing."""
        return super().result() if self.shown else {}

    def save_own_variables(self, store: Any) -> None:
        """Sums of an epoch are no part of a saved model."""

    def load_own_variables(self, store: Any) -> None:
        """See `save_own_variables`."""


class Largest(keras.metrics.Metric):
    """The greatest value (at least 0) over the epoch."""

    def __init__(self, name: str = "largest", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.value = self.add_variable(
            shape=(), initializer="zeros", name="value", aggregation="only_first_replica"
        )

    def update_state(self, value: tf.Tensor, sample_weight: Any = None) -> None:
        """Takes the greater of the state and `value`, of all replicas; a NaN stays."""
        value = greatest(tf.cast(value, tf.float32))
        self.value.assign(tf.maximum(tf.convert_to_tensor(self.value.value), value))

    def result(self) -> tf.Tensor:
        """Returns the greatest value so far."""
        return self.value.value


#: How a monitored scalar is gathered over an epoch.
MONITORS: dict[str, Any] = {
    "mean": keras.metrics.Mean,
    "sum": keras.metrics.Sum,
    "max": Largest,
}
