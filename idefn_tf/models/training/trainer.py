"""The training half of EntireSpaceModel: compile, train step, test step, fit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from idefn_tf._keras_private import take_added_losses
from idefn_tf.data import encode_dataset
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.training import fit_inputs, loss_terms, ownership
from idefn_tf.models.training.catch_up import CatchUp
from idefn_tf.models.training.metric_tracking import Chosen
from idefn_tf.models.training.output_metrics import OutputMetrics
from idefn_tf.models.training.scoring import ScoredModel
from idefn_tf.models.training.step import TrainingStep
from idefn_tf.models.training.unpacking import unpack
from idefn_tf.optimizers import RowSparse, catch_up
from idefn_tf.tables import look_ahead

if TYPE_CHECKING:
    from idefn_tf.models.feedback import LabelLikelihood


class EntireSpaceTrainer(ScoredModel):
    """Keras training for models that gather rows first and compile the rest.

    `TrainingStep` is what a step consists of; the optimizer updates the dense variables and the
    rows that the batch touched.
    """

    #: Labels beside click and conversion that training needs, as ``batch.extra``.
    extra_labels: tuple[str, ...] = ()
    feedback: LabelLikelihood

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # raw features are not to be rounded
        self._jit = False

    def predictions(self, outputs: Outputs) -> dict[str, tf.Tensor]:
        """Returns the probabilities by name; see `EntireSpaceModel`."""
        raise NotImplementedError

    def compute_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the method's weighted loss terms by name; their sum is the loss.

        Args:
            outputs: logits and z of the batch.
            batch: labels, weights and the means over spaces.
        """
        raise NotImplementedError(f"{type(self).__name__} must define compute_losses")

    def further_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns terms beside the method's; see `EntireSpaceModel`."""
        raise NotImplementedError

    def before_step(self, z: tf.Tensor, batch: Batch) -> None:
        """Runs before the forward pass of a training step; the default does nothing."""

    def compile(
        self,
        optimizer: Any = None,
        jit_compile: bool | str = "auto",
        *,
        loss_weights: Mapping[str, float] | None = None,
        metrics: Mapping[str, Any] | None = None,
        weighted_metrics: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
            optimizer: an optimizer or its name, ours or Keras'; default `RowSparseAdam(1e-3)`.
            jit_compile: whether XLA compiles the losses, the transport, the metrics and the
                update; "auto" does, unless the environment says ``IDEFN_TF_JIT=0`` (for tests
                and debugging: nothing waits for a compiler). Trunk and towers are TensorFlow's
                own matrix products (`TrainingStep` says why).
            loss_weights: {name of a loss term: factor in the sum}. Logs show the terms without it,
                as Keras' do.
            metrics: {"ctr", "cvr" or "ctcvr": metrics of Keras}, on every exposure: ctr against
                the click, cvr and ctcvr against click and conversion (`OutputMetrics`).
            weighted_metrics: the same, weighted by the sample weights.
            **kwargs: of ``keras.Model.compile``.

        Raises:
            ValueError: if a loss, or a term, an output or an optimizer of another name is given.
        """
        if kwargs.get("loss") is not None:
            raise ValueError(
                f"loss: {type(self).__name__} brings its own loss, received {kwargs['loss']!r}; "
                "leave it out, or write a method (docs: extend with a method)."
            )
        if jit_compile not in (True, False, "auto"):
            raise ValueError(
                f"jit_compile: must be True, False or 'auto', received {jit_compile!r}; a loss is "
                "not given to compile, and all else by name"
            )
        weights = loss_terms.check_weights(type(self).__name__, loss_weights, self.loss_names)
        output_metrics = OutputMetrics(metrics, weighted_metrics)
        optimizer = ownership.get_optimizer(optimizer)
        off = jit_compile == "auto" and os.environ.get("IDEFN_TF_JIT") == "0"
        self._jit = jit_compile in (True, "auto") and not off and not kwargs.get("run_eagerly")
        super().compile(optimizer=optimizer, jit_compile=False, **kwargs)
        if isinstance(self.optimizer, RowSparse):
            self.optimizer.jit_rows = self._jit
        self._chosen = Chosen(output_metrics, weights)
        self._step = TrainingStep(
            features=self.features,
            optimizer=self.optimizer,
            variables=lambda: self.trainable_variables,
            penalties=lambda: loss_terms.penalties(self),
            added_losses=lambda: take_added_losses(self),
            forward=self.forward,
            compute_losses=self.named_losses,
            terms=self._metric_terms,
            before_step=self.before_step,
            loss_weights=weights,
            jit=self._jit,
        )
        self.compile_metrics_step(self._jit)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step: rows, towers, losses, update (`TrainingStep`); returns the metrics so far."""
        encoded, batch = self._unpack(data, training=True)
        apart = self.reads_train_metrics_apart()
        return self.track(*self._step(encoded, batch), batch, apart, any_rows=False)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One evaluation step: the same losses and metrics, nothing updated."""
        encoded, batch = self._unpack(data)
        outputs = self.scored(encoded)
        penalty = loss_terms.penalties(self)  # before another replica runs these layers
        losses = self.named_losses(outputs, batch)
        losses = {"loss": loss_terms.weighted_sum(losses, self._chosen.loss_weights), **losses}
        losses = loss_terms.joined(losses, loss_terms.summed(take_added_losses(self)))
        losses = loss_terms.joined(losses, penalty)
        terms = self._metric_terms(outputs, batch)
        apart = self.reads_test_metrics_apart()
        return self.track(losses, outputs.monitor, terms, batch, apart, any_rows=True)

    def named_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the terms of `compute_losses` and `further_losses`: those of `loss_names`."""
        losses = {**self.compute_losses(outputs, batch), **self.further_losses(outputs, batch)}
        loss_terms.check_terms(type(self).__name__, losses, self.loss_names)
        return losses

    def _metric_terms(self, outputs: Outputs, batch: Batch) -> tuple[Any, dict[str, tf.Tensor]]:
        scores = self.predictions(outputs)
        counted = self.training_metrics.terms(scores, batch)
        return counted, scores if self.output_metrics else {}

    def _unpack(self, data: Any, training: bool = False) -> tuple[dict[str, Any], Batch]:
        names = (type(self).__name__, self.extra_labels, self.feedback.labels)
        return unpack(data, self.features, *names, training)

    def prepare(self, dataset: Any) -> Any:
        """Encodes raw features in the input pipeline, at every epoch; other data pass through.

        `open_dataset` with ``encode=features`` gives encoded batches, which costs less.
        """
        features = fit_inputs.features_of(dataset)
        if features is None or self.features.is_encoded(features):
            return dataset
        return encode_dataset(dataset, self.features)

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """``keras.Model.fit``; data sets of raw features are encoded in the input pipeline.

        While one replica takes a step, the pipeline finds the distinct rows of the next batches.

        Raises:
            ValueError: if data have a form that is not understood or give no batch, or class
                weights are given.
        """
        given = fit_inputs.fit_arguments(args, kwargs, self.compiled)
        self.build_all()
        x = given.get("x")
        if isinstance(x, (tf.data.Dataset, tf.distribute.DistributedDataset)):
            given["shuffle"] = False  # the data set shuffles itself; Keras warns of its default
        if given.get("validation_data") is not None:
            given["validation_data"] = self.prepare(given["validation_data"])
        callbacks = given.get("callbacks") or []
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            listed = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
            given["callbacks"] = [CatchUp(), *listed]  # before those that save or look
        prepared = self.prepare(x)
        alone = int(self.distribute_strategy.num_replicas_in_sync) == 1
        features = fit_inputs.features_of(prepared)
        if alone and features is not None and not self.run_eagerly:
            prepared = look_ahead(prepared)
        history = super().fit(**{**given, "x": prepared})
        fit_inputs.check_any_batch(bool(history.history) or not history.epoch)
        self._catch_up()
        return history

    def _catch_up(self) -> None:
        """Brings every row of the tables up to date, where there is an optimizer."""
        catch_up(getattr(self, "optimizer", None))

    def build_all(self) -> None:
        """Creates the variables of the model and of its optimizer."""
        with self.distribute_strategy.scope():
            self.build()
            ownership.claim_features(self, self.features)
            ownership.check_optimizer(self, self.optimizer)
            ownership.build_optimizer(self)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        *args: Any,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """``keras.Model.evaluate`` on raw or encoded data sets, or on dicts of arrays.

        Returns:
            The results by name, or a list of them that fits `metrics_names`.
        """
        fit_inputs.check_inputs(x, y, sample_weight)
        self._begin_scoring()
        given = (self.prepare(x), y, batch_size, verbose, sample_weight, *args)
        results = super().evaluate(*given, return_dict=True, **kwargs)
        fit_inputs.check_any_batch("loss" in results)
        return results if return_dict else self.in_order(results)

    def _begin_scoring(self) -> None:
        """What precedes the scoring of a data set: every row up to date, and no batch before."""
        self.build()
        self._catch_up()
        self._row_padding.start()

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.predict``: {"ctr", "cvr", "ctcvr"}, float32 [rows]."""
        fit_inputs.check_inputs(x)
        self._begin_scoring()
        return fit_inputs.predicted(super().predict, self.prepare(x), *args, **kwargs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """``keras.Model.train_on_batch``; a list fits `metrics_names`."""
        fit_inputs.check_class_weight(class_weight)
        fit_inputs.check_inputs(x, y, sample_weight)
        self.build_all()
        results = super().train_on_batch(x, y, sample_weight=sample_weight, return_dict=True)
        return results if return_dict else self.in_order(results)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """``keras.Model.test_on_batch``; a list fits `metrics_names`."""
        fit_inputs.check_inputs(x, y, sample_weight)
        self._begin_scoring()
        results = super().test_on_batch(x, y, sample_weight=sample_weight, return_dict=True)
        return results if return_dict else self.in_order(results)

    def predict_on_batch(self, x: Any) -> Any:
        """``keras.Model.predict_on_batch``, with every row of the tables up to date."""
        fit_inputs.check_inputs(x)
        self._begin_scoring()
        return super().predict_on_batch(x)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.__call__``; outside of a graph with every row of the tables up to date."""
        if tf.executing_eagerly():
            self._catch_up()
        return super().__call__(*args, **kwargs)

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """``keras.Model.save`` into a ``.keras`` file, with every row of the tables up to date."""
        self._catch_up()
        super().save(fit_inputs.keras_file(filepath), *args, **kwargs)

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """``keras.Model.save_weights``, with every row of the tables up to date."""
        self._catch_up()
        super().save_weights(*args, **kwargs)

    def get_build_config(self) -> dict[str, Any] | None:
        """Says whether there are variables to create; their shapes follow from the config."""
        return {"built": True} if self.built else None

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Creates every variable of a loaded model that had them."""
        self.build()

    def get_compile_config(self) -> dict[str, Any]:
        """Returns what `compile` was given, serialized."""
        if not self.compiled:
            return {}
        optimizer = keras.saving.serialize_keras_object(self.optimizer)
        config = {"optimizer": optimizer, "jit_compile": self._jit}
        if self._chosen.loss_weights:
            config["loss_weights"] = self._chosen.loss_weights
        return config | self.output_metrics.get_config()

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model and creates its optimizer's variables."""
        if config:
            optimizer = keras.saving.deserialize_keras_object(config["optimizer"])
            given = {k: v for k, v in config.items() if k != "optimizer"}
            self.compile(optimizer, **keras.saving.deserialize_keras_object(given))
            ownership.build_optimizer(self)
