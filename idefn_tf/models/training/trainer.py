"""The training half of EntireSpaceModel: compile, train step, test step, fit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from idefn_tf.data import encode_dataset
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.training.metric_tracking import TrackedModel
from idefn_tf.models.training.step import TrainingStep
from idefn_tf.optimizers import RowSparse, RowSparseAdam, catch_up
from idefn_tf.schema import CLICK, CONVERSION
from idefn_tf.tables import look_ahead

if TYPE_CHECKING:
    from idefn_tf.features import FeatureColumns


class EntireSpaceTrainer(TrackedModel):
    """Keras training for models that gather rows first and compile the rest.

    `TrainingStep` is what a step consists of; the optimizer updates the dense variables and the
    rows that the batch touched.
    """

    features: FeatureColumns
    #: Labels beside click and conversion that training needs, as ``batch.extra``.
    extra_labels: tuple[str, ...] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # raw features are not to be rounded
        self._jit = False

    def forward(self, z: tf.Tensor, training: bool) -> Outputs:
        """Runs the towers on z; see `EntireSpaceModel`."""
        raise NotImplementedError

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

    def before_step(self, z: tf.Tensor, batch: Batch) -> None:
        """Runs before the forward pass of a training step; the default does nothing."""

    def compile(
        self,
        optimizer: Any = None,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
            optimizer: a Keras optimizer or its name; default `RowSparseAdam(1e-3)`.
            jit_compile: whether XLA compiles the losses, the transport, the metrics and the
                update; "auto" does, unless the environment says ``IDEFN_TF_JIT=0`` (for tests
                and debugging: nothing waits for a compiler). Trunk and towers are TensorFlow's
                own matrix products (`TrainingStep` says why).
            **kwargs: of ``keras.Model.compile``.
        """
        if kwargs.get("loss") is not None:
            raise ValueError(
                f"loss: {type(self).__name__} brings its own loss, received {kwargs['loss']!r}; "
                "leave it out, or write a method (docs: extend with a method)."
            )
        if optimizer is None:
            optimizer = RowSparseAdam()
        off = jit_compile == "auto" and os.environ.get("IDEFN_TF_JIT") == "0"
        self._jit = jit_compile in (True, "auto") and not off and not kwargs.get("run_eagerly")
        super().compile(optimizer=optimizer, jit_compile=False, **kwargs)
        if isinstance(self.optimizer, RowSparse):
            self.optimizer.jit_rows = self._jit
        self._step = TrainingStep(
            features=self.features,
            optimizer=self.optimizer,
            variables=lambda: self.trainable_variables,
            forward=self.forward,
            compute_losses=self.compute_losses,
            terms=self._metric_terms,
            before_step=self.before_step,
            jit=self._jit,
        )
        self.compile_metrics_step(self._jit)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step: rows, towers, losses, update (`TrainingStep`); returns the metrics so far."""
        encoded, batch = self._unpack(data, training=True)
        return self.track(*self._step(encoded, batch), batch, self.reads_train_metrics_apart())

    def test_step(self, data: Any) -> dict[str, Any]:
        """One evaluation step: the same losses and metrics, nothing updated."""
        encoded, batch = self._unpack(data)
        outputs = self.forward(self.features(encoded), training=False)
        losses = self.compute_losses(outputs, batch)
        loss = tf.add_n(list(losses.values()))
        terms = self._metric_terms(outputs, batch)
        apart = self.reads_test_metrics_apart()
        return self.track({"loss": loss, **losses}, outputs.monitor, terms, batch, apart)

    def _metric_terms(self, outputs: Outputs, batch: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        return self.training_metrics.terms(self.predictions(outputs), batch)

    def _unpack(self, data: Any, training: bool = False) -> tuple[dict[str, Any], Batch]:
        features, labels, weight = keras.utils.unpack_x_y_sample_weight(data)
        if not isinstance(labels, Mapping) or not {CLICK, CONVERSION} <= set(labels):
            raise ValueError(
                "labels: must be a dict with 'click' and 'conversion', received "
                f"{sorted(labels) if isinstance(labels, Mapping) else type(labels).__name__}; "
                "open_dataset gives batches of that form."
            )
        if training and not set(self.extra_labels) <= set(labels):
            raise ValueError(
                f"labels: {type(self).__name__} learns from {list(self.extra_labels)}, received "
                f"{sorted(labels)}; add the column, or choose a method that does without."
            )
        extra = {
            name: tf.reshape(tf.cast(labels[name], tf.float32), [-1])
            for name in self.extra_labels
            if name in labels
        }
        encoded = features if self.features.is_encoded(features) else self.features.encode(features)
        click = tf.reshape(tf.cast(labels[CLICK], tf.float32), [-1])
        conversion = tf.reshape(tf.cast(labels[CONVERSION], tf.float32), [-1]) * click
        weight = (
            tf.ones_like(click) if weight is None else tf.reshape(tf.cast(weight, tf.float32), [-1])
        )
        return dict(encoded), Batch(click, conversion, weight, extra)

    def prepare(self, dataset: Any) -> Any:
        """Encodes raw features in the input pipeline, at every epoch; other data pass through.

        `open_dataset` with ``encode=features`` gives encoded batches, which costs less.
        """
        features = _features_of(dataset)
        if features is None or self.features.is_encoded(features):
            return dataset
        return encode_dataset(dataset, self.features)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """``keras.Model.fit``; data sets of raw features are encoded in the input pipeline.

        While one replica takes a step, the pipeline finds the distinct rows of the next batches.
        """
        self.build_all()
        if isinstance(x, (tf.data.Dataset, tf.distribute.DistributedDataset)):
            kwargs["shuffle"] = False  # the data set shuffles itself; Keras warns of its default
        if kwargs.get("validation_data") is not None:
            kwargs["validation_data"] = self.prepare(kwargs["validation_data"])
        callbacks = kwargs.get("callbacks") or []
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            listed = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
            kwargs["callbacks"] = [_CatchUp(), *listed]  # before those that save or look
        prepared = self.prepare(x)
        alone = int(self.distribute_strategy.num_replicas_in_sync) == 1
        features = _features_of(prepared)
        if alone and features is not None and not self.run_eagerly:
            prepared = look_ahead(prepared)
        history = super().fit(prepared, *args, **kwargs)
        catch_up(getattr(self, "optimizer", None))
        return history

    def build_all(self) -> None:
        """Creates the variables of the model and of its optimizer."""
        with self.distribute_strategy.scope():
            self.build()
            if not self.optimizer.built:  # in the order that a loaded model uses, too
                self.optimizer.build(self.trainable_variables)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.evaluate`` on raw or encoded data sets."""
        self.build()
        catch_up(getattr(self, "optimizer", None))
        return super().evaluate(self.prepare(x), *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.predict``: {"ctr", "cvr", "ctcvr"}, float32 [rows]."""
        self.build()
        catch_up(getattr(self, "optimizer", None))
        return super().predict(self.prepare(x), *args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.train_on_batch``."""
        self.build_all()
        return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.test_on_batch``, with every row of the tables up to date."""
        self.build()
        catch_up(getattr(self, "optimizer", None))
        return super().test_on_batch(*args, **kwargs)

    def predict_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.predict_on_batch``, with every row of the tables up to date."""
        self.build()
        catch_up(getattr(self, "optimizer", None))
        return super().predict_on_batch(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.__call__``; outside of a graph with every row of the tables up to date."""
        if tf.executing_eagerly():
            catch_up(getattr(self, "optimizer", None))
        return super().__call__(*args, **kwargs)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """``keras.Model.save``, with every row of the tables up to date."""
        catch_up(getattr(self, "optimizer", None))
        super().save(*args, **kwargs)

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """``keras.Model.save_weights``, with every row of the tables up to date."""
        catch_up(getattr(self, "optimizer", None))
        super().save_weights(*args, **kwargs)

    def get_build_config(self) -> dict[str, Any]:
        """Nothing is needed to build a saved model beyond its config."""
        return {"built": True}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Creates every variable of a loaded model."""
        self.build()

    def get_compile_config(self) -> dict[str, Any]:
        """Returns the optimizer, serialized, and whether dense parts are compiled."""
        if not self.compiled:
            return {}
        optimizer = keras.saving.serialize_keras_object(self.optimizer)
        return {"optimizer": optimizer, "jit_compile": self._jit}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model and creates its optimizer's variables."""
        if config:
            optimizer = keras.saving.deserialize_keras_object(config["optimizer"])
            self.compile(optimizer, jit_compile=config["jit_compile"])
            self.optimizer.build(self.trainable_variables)


class _CatchUp(keras.callbacks.Callback):
    """Brings the tables up to date at the end of an epoch, for the callbacks that follow."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        catch_up(self.model.optimizer)


def _features_of(dataset: Any) -> Mapping[str, Any] | None:
    """Returns the specification of a data set's features by name, or None if it has none."""
    if not isinstance(dataset, tf.data.Dataset):
        return None
    spec = dataset.element_spec
    features = spec[0] if isinstance(spec, tuple) else spec
    return features if isinstance(features, Mapping) else None
