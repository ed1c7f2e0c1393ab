"""What a model reports while it trains: its metrics, and when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from idefn_tf._keras_private import NoSymbolicBuild, NotSavedByTensorFlow, with_steps
from idefn_tf._shared_programs import SharedSteps
from idefn_tf.data.any_rows import AnyRows
from idefn_tf.models.batch import Batch
from idefn_tf.models.replica_sums import crosses_workers, replica_count
from idefn_tf.models.training.loss_terms import REGULARIZATION
from idefn_tf.models.training.metrics import (
    MONITORS,
    RegularizationMean,
    StepMeans,
    TrainingMetrics,
    result_names,
)
from idefn_tf.models.training.output_metrics import OutputMetrics


@dataclass
class Chosen:
    """What `compile` was given beside an optimizer; Keras would not take it into a built model."""

    metrics: OutputMetrics = field(default_factory=OutputMetrics)
    loss_weights: dict[str, float] = field(default_factory=dict)


class TrackedModel(NoSymbolicBuild, NotSavedByTensorFlow, keras.Model):
    """Keras model that adds every step to its metrics and reads them no more often than needed.

    One process that takes one step at a time reads every result at every step. Where several
    steps are taken before anything looks (`steps_per_execution`), or where workers take a step
    together, a step only adds, and `fit` and `evaluate` read afterwards: Keras would average every
    result over the workers at every step, which is two messages each.
    """

    #: What `fit` and `evaluate` call; Keras' own, made by `make_train_function` and its like.
    train_function: Any
    test_function: Any
    predict_function: Any
    #: Names of the terms that `compute_losses` returns.
    loss_names: tuple[str, ...] = ()
    #: Scalars that `compute_losses` puts into ``outputs.monitor``: {name: "mean" | "sum" | "max"}.
    monitors: Mapping[str, str] = {}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.training_metrics = TrainingMetrics()
        self._monitor_metrics = {n: MONITORS[kind](name=n) for n, kind in self.monitors.items()}
        self._loss_means = StepMeans(("loss", *self.loss_names))
        self._regularization_mean = RegularizationMean()
        self._chosen = Chosen()

    @property
    def output_metrics(self) -> OutputMetrics:
        """The metrics that `compile` was given."""
        return self._chosen.metrics

    def compile_metrics_step(self, jit: bool) -> None:
        """Makes the programs of `track`; XLA compiles them with `jit`."""
        self.training_metrics.jit_compile = jit
        options = {"jit_compile": jit, "autograph": False}
        self._tally_step = tf.function(self._tally, **options)
        self._count_step = tf.function(self._count, **options)
        self._read_built_in = tf.function(self._built_in_results, **options)
        self._read_own_metrics = tf.function(self._own_metrics, autograph=False)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Every metric that fit and evaluate report and reset."""
        return [
            self._loss_means,
            *self._monitor_metrics.values(),
            self.training_metrics,
            *([self.output_metrics] if self.output_metrics else []),
            self._regularization_mean,
        ]

    @property
    def metrics_names(self) -> list[str]:
        """Names of the results in the order of `evaluate`'s list; "loss" is the first."""
        return [
            *self._loss_means.names,
            *self._regularization_mean.result(),
            *self._monitor_metrics,
            *result_names(),
            *self.output_metrics.result(),
        ]

    def in_order(self, results: Mapping[str, Any]) -> list[Any]:
        """Returns results as a list that fits `metrics_names`."""
        return [results[name] for name in self.metrics_names]

    def track(
        self,
        losses: Mapping[str, tf.Tensor],
        monitor: Mapping[str, tf.Tensor],
        terms: tuple[Any, Mapping[str, tf.Tensor]],
        batch: Batch,
        apart: bool,
        any_rows: bool,
    ) -> dict[str, tf.Tensor]:
        """Adds a step to every metric.

        Args:
            losses: "loss" and its terms, by name.
            monitor: the method's scalars, by name.
            terms: what `TrainingMetrics.terms` gave, and the scores for `output_metrics`.
            batch: for its weights.
            apart: whether the metrics are read outside of the step.
            any_rows: whether batches of many sizes are to be expected. Then rows are counted before
                the program, which XLA compiles once and not for every size; else within it, which
                is quicker.

        Returns:
            Their results so far; if they are read apart the loss alone, [1]: Keras wants something,
            and averages it over workers along its first axis.
        """
        counted, scores = terms
        weight = batch.weight
        if any_rows:
            counted, weight = self.training_metrics.tallied(*counted), tf.reduce_sum(weight)
        step = (losses, monitor, counted, weight)
        self._regularization_mean.shown |= REGULARIZATION in losses
        if self.output_metrics:  # a user's metrics: not compiled
            self.output_metrics.update_state(scores, batch)
        plain = replica_count() > 1 or self.run_eagerly  # what crosses replicas is not compiled
        if not apart:
            results = self._tally(*step) if plain else self._tally_step(*step)
            return {**results, **self.output_metrics.result()}
        if plain:
            self._count(*step)
        else:
            self._count_step(*step)
        return {"loss": tf.reshape(losses["loss"], [1])}

    def _tally(self, losses: Any, monitor: Any, counted: Any, weight: tf.Tensor) -> Any:
        """Adds a step to the model's own metrics and returns their results, in one program."""
        self._count(losses, monitor, counted, weight)
        return self._built_in_results()

    def _built_in_results(self, penalized: bool = False) -> dict[str, Any]:
        """The results of the model's own metrics; `penalized` makes a program of each form."""
        own = [self._loss_means, self._regularization_mean, *self._monitor_metrics.values()]
        results: dict[str, Any] = {}
        for metric in [*own, self.training_metrics]:
            value = metric.result()
            results.update(value if isinstance(value, dict) else {metric.name: value})
        return results

    def _read_metrics(self) -> dict[str, Any]:
        """The results of every metric, read after some steps."""
        own = self._read_built_in(self._regularization_mean.shown)
        return {**own, **self.output_metrics.result()}

    def _count(self, losses: Any, monitor: Any, counted: Any, weight: tf.Tensor) -> None:
        """Adds a step to the model's own metrics; `counted` by row or by bin, as `track` says."""
        weight = tf.reduce_sum(weight)
        self._loss_means.update_state(losses, weight)
        if REGULARIZATION in losses:
            self._regularization_mean.update_state(losses, weight)
        for name, value in monitor.items():
            self._monitor_metrics[name].update_state(value)
        by_row = isinstance(counted, tuple)
        self.training_metrics.add(self.training_metrics.tallied(*counted) if by_row else counted)

    def reads_train_metrics_apart(self) -> bool:
        """Whether a training step leaves the metrics to be read outside of it."""
        alone = int(self.distribute_strategy.num_replicas_in_sync) == 1
        several = self.steps_per_execution > 1 and not self.run_eagerly
        return (alone and several) or self.reads_test_metrics_apart()

    def reads_test_metrics_apart(self) -> bool:
        """Whether a step of evaluation does."""
        return crosses_workers(self.distribute_strategy)

    def make_train_function(self, force: bool = False) -> Any:
        """Makes what `fit` calls; where metrics are read apart, once after all of its steps."""
        if self.train_function is None or force:
            super().make_train_function(force)
            self.train_function = with_steps(self.train_function, SharedSteps)
            if self.reads_train_metrics_apart():
                self.train_function = self._then_reading(self.train_function)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """Makes what `evaluate` calls; see `make_train_function`."""
        if self.test_function is None or force:
            super().make_test_function(force)
            self.test_function = with_steps(self.test_function, SharedSteps)
            if self.reads_test_metrics_apart():
                self.test_function = self._then_reading(self.test_function)
        return self.test_function

    def make_predict_function(self, force: bool = False) -> Any:
        """Makes what `predict` calls, for batches of any size."""
        if self.predict_function is None or force:
            super().make_predict_function(force)
            if not self.run_eagerly:
                self.predict_function = AnyRows(self.predict_function)
        return self.predict_function

    def _then_reading(self, take_steps: Any) -> Any:
        """Returns a function that takes steps, then reads the metrics.

        Of several workers each reads what its own rows gave, without a message; at the end of an
        epoch and of an evaluation Keras itself reads those of all rows.
        """
        own = crosses_workers(self.distribute_strategy)

        def function(iterator: Any) -> dict[str, tf.Tensor]:
            take_steps(iterator)
            return self._read_own_metrics() if own else self._read_metrics()

        return function

    def _own_metrics(self) -> dict[str, tf.Tensor]:
        """The metrics of the rows that this process saw."""
        strategy = self.distribute_strategy
        results = strategy.run(self.get_metrics_result)
        return {n: strategy.experimental_local_results(v)[0] for n, v in results.items()}
