"""OutputMetrics: the metrics that compile was given, on the named outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from idefn_tf.models.batch import Batch

#: What every output is compared with: a field of `Batch`, on all exposures.
LABELS = {"ctr": "click", "cvr": "conversion", "ctcvr": "conversion"}
#: Names that Keras reads by the form of the labels, which are 0 and 1 here.
_BINARY = {
    "accuracy": keras.metrics.BinaryAccuracy,
    "acc": keras.metrics.BinaryAccuracy,
    "crossentropy": keras.metrics.BinaryCrossentropy,
    "ce": keras.metrics.BinaryCrossentropy,
}


@dataclass
class _Entry:
    """One metric on one output; no list of metrics, which Keras would save with the model."""

    output: str
    metric: keras.metrics.Metric
    weighted: bool


class OutputMetrics(keras.metrics.Metric):
    """Keras metrics by output: ctr against clicks, cvr and ctcvr against clicked conversions.

    All three on every exposure (the space all_funnel). `metrics` count every row once, except
    those of weight 0, which stand in for rows that are not there; `weighted_metrics` are given the
    sample weights.

    Args:
        metrics: {"ctr" | "cvr" | "ctcvr": metrics, or one}; a metric is an object, a name or a
            function, as Keras takes it.
        weighted_metrics: the same.

    Raises:
        ValueError: if one is of another form, or names another output.
    """

    def __init__(self, metrics: Any = None, weighted_metrics: Any = None) -> None:
        super().__init__(name="output_metrics")
        found = [*_entries("metrics", metrics, False)]
        found += _entries("weighted_metrics", weighted_metrics, True)
        twice = [e for i, e in enumerate(found) if any(e.metric is o.metric for o in found[:i])]
        if twice:
            raise ValueError(
                f"metrics: must be an object for every output, received {twice[0].metric.name!r} "
                "twice;\nmake one for each"
            )
        self._held = _Held(found)

    def __bool__(self) -> bool:
        return bool(self._held.entries)

    @property
    def variables(self) -> list[Any]:
        """The state of every metric."""
        return [v for entry in self._held.entries for v in entry.metric.variables]

    def update_state(self, scores: Mapping[str, tf.Tensor], batch: Batch) -> None:
        """Adds one batch of predictions {"ctr", "cvr", "ctcvr"}, [B]."""
        there = batch.weight != 0.0
        for entry in self._held.entries:
            label = getattr(batch, LABELS[entry.output])[:, None]
            score = scores[entry.output][:, None]
            if entry.weighted:
                entry.metric.update_state(label, score, sample_weight=batch.weight)
            else:
                entry.metric.update_state(label[there], score[there])

    def result(self) -> dict[str, Any]:
        """{"<output>_<metric>": value} of the rows seen so far."""
        results: dict[str, Any] = {}
        for entry in self._held.entries:
            value = entry.metric.result()
            parts = value if isinstance(value, Mapping) else {entry.metric.name: value}
            for name, part in parts.items():
                key = f"{entry.output}_{name}"
                results[f"weighted_{key}" if key in results else key] = part
        return results

    def reset_state(self) -> None:
        """Forgets the rows."""
        for entry in self._held.entries:
            entry.metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        """The arguments that were given, serialized; nothing where there were none."""
        config: dict[str, Any] = {}
        for entry in self._held.entries:
            argument = config.setdefault("weighted_metrics" if entry.weighted else "metrics", {})
            saved = keras.saving.serialize_keras_object(entry.metric)
            argument.setdefault(entry.output, []).append(saved)
        return config

    def save_own_variables(self, store: Any) -> None:
        """Sums of an epoch are no part of a saved model."""

    def load_own_variables(self, store: Any) -> None:
        """See `save_own_variables`."""


@dataclass
class _Held:
    """Hides the metrics from Keras, which saves what it finds in lists."""

    entries: list[_Entry]


def _entries(argument: str, given: Any, weighted: bool) -> Iterable[_Entry]:
    if given is None:
        return
    if not isinstance(given, Mapping) or not set(given) <= set(LABELS):
        received = sorted(given) if isinstance(given, Mapping) else given
        raise ValueError(
            f"{argument}: must give metrics by output, {list(LABELS)}, received {received!r};\n"
            f"write {argument}={{'cvr': ['auc']}}"
        )
    for output, chosen in given.items():
        for one in chosen if isinstance(chosen, (list, tuple)) else [chosen]:
            yield _Entry(output, _metric(argument, one), weighted)


def _metric(argument: str, given: Any) -> keras.metrics.Metric:
    if isinstance(given, str) and given in _BINARY:
        return _BINARY[given](name=given)
    try:
        found = keras.metrics.get(given)
    except (ValueError, TypeError):
        found = None
    if isinstance(found, type) and issubclass(found, keras.metrics.Metric):
        found = found()
    if isinstance(found, keras.metrics.Metric):
        if isinstance(given, str):
            found.name = given  # Keras would count: auc, auc_1, ...
        return found
    if callable(found):
        name = getattr(found, "__name__", type(found).__name__)
        return keras.metrics.MeanMetricWrapper(found, name=name)
    raise ValueError(
        f"{argument}: must be metrics of Keras, by object, name or function, received {given!r}"
    )
