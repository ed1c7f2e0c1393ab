"""EntireSpaceModel: towers, train step and metrics; a method adds one formula."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from idefn_tf import backbones
from idefn_tf._options import check_arguments
from idefn_tf._registry import register
from idefn_tf._types import ShareAboveZero
from idefn_tf.features import FeatureColumns
from idefn_tf.models import feedback as feedbacks
from idefn_tf.models import trunks
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.label_samples import LabelSamples, label_samples
from idefn_tf.models.training.trainer import EntireSpaceTrainer
from idefn_tf.models.training.variable_names import lasting_names
from idefn_tf.rates import correct_funnel_downsampling

#: The term of a label likelihood's own heads.
FEEDBACK_LOSS = "feedback_loss"


@check_arguments
@register("class")
class EntireSpaceModel(EntireSpaceTrainer):
    """Base of every method: click rate and conversion rate, asked about every exposure.

    One tower per task reads z; only the embeddings are shared, unless a trunk of experts lies
    between. Outputs are probabilities by name, float32 [B]: ``ctr`` (o^), ``cvr`` (r^) and
    ``ctcvr`` (o^ r^ unless a method knows better).

    A method subclasses this and writes `compute_losses`; masks, divisors and metrics are here and
    in `Batch`. Training data are batches of (features, labels, sample_weight) as `open_dataset`
    gives them; raw features are encoded in the input pipeline.

    Args:
        features: the layer that makes z.
        backbone: a backbone layer, cloned per task, or its name; default ``MLP()``. Any other
            layer of Keras gives the hidden layers, and a logit follows (`LayerTower`).
        trunk: a layer between z and the towers (`MMoETrunk`, `PLETrunk`) or its name ("mmoe",
            "ple"), cloned; default none. Under a trunk the backbone gives the kind and settings of
            the experts, the trunk the widths of experts and towers.
        negative_keep_rate: share of the unclicked rows that the log kept; scores are corrected to
            the full log. A config takes the schema's.
        feedback: a label likelihood (`idefn_tf.models.feedback`) or its name, which says how much
            a click counts whose conversion may still come; default "observed", the label as it is.

    Raises:
        ValueError: if `features` is no FeatureColumns, `backbone`, `trunk` or `feedback` is
            unknown, or the method cannot carry that feedback.

    Example:
        >>> from idefn_tf.models import AllNegative, EntireSpaceModel
        >>> from idefn_tf.optimizers import RowSparseAdam
        >>> model = AllNegative(features, MLP((8,)))
        >>> model.compile(RowSparseAdam(1e-2))
        >>> history = model.fit(data, epochs=1, verbose=0)
        >>> scores = model.predict(data, verbose=0)
        >>> isinstance(model, EntireSpaceModel), sorted(scores), scores["cvr"].shape
        (True, ['ctcvr', 'ctr', 'cvr'], (24,))
    """

    #: Tasks that get a tower each.
    tasks: tuple[str, ...] = ("ctr", "cvr")
    #: Those of them whose tower reads z beside the trunk and sends no gradient into it.
    detached_tasks: tuple[str, ...] = ()
    #: Whether the losses read conversions through `samples`; a class that writes `compute_losses`
    #: says it anew.
    carries_feedback: bool = False
    #: Whether clicked rows stand alone in the terms of conversions; said beside `carries_feedback`.
    clicks_alone: bool = False
    built: bool

    def __init__(
        self,
        features: FeatureColumns,
        backbone: keras.layers.Layer | str | None = None,
        trunk: keras.layers.Layer | str | None = None,
        negative_keep_rate: ShareAboveZero = 1.0,
        feedback: feedbacks.LabelLikelihood | str | None = None,
        **kwargs: Any,
    ) -> None:
        likelihood = feedbacks.get(feedback).for_model()
        _check_carried(type(self), likelihood)
        if likelihood.heads:  # the metrics are made by these names
            self.loss_names = (*self.loss_names, FEEDBACK_LOSS)
        super().__init__(**kwargs)
        self.feedback = likelihood
        self.negative_keep_rate = float(negative_keep_rate)
        if not isinstance(features, FeatureColumns):
            raise ValueError(
                f"features: must be a FeatureColumns layer, received {type(features).__name__}; "
                "build one with FeatureColumns.from_schema(schema, vocabularies)."
            )
        self.features = features
        prototype = backbones.get(backbone)
        self._backbone_config = keras.saving.serialize_keras_object(prototype)
        mixture = trunks.get(trunk)
        self._trunk_config = keras.saving.serialize_keras_object(mixture)
        mixed = [task for task in self.tasks if task not in self.detached_tasks]
        self.trunk = None if mixture is None else mixture.for_tasks(mixed, prototype, features)
        self.towers = {
            task: prototype.for_task(task)
            if mixture is None or task in self.detached_tasks
            else prototype.for_head(f"{task}_tower", mixture.tower_units)
            for task in self.tasks
        }
        for tower in self.towers.values():
            tower.bind(features)

    @property
    def warming_up(self) -> bool:
        """Whether every step so far trained as another method's does (`SelectBest` asks)."""
        return False

    # -- labels ---------------------------------------------------------------------------------

    def click_logit(self, outputs: Outputs) -> tf.Tensor:
        """Returns the logit of the conversion rate after a click [B]: by default the cvr's.

        The label likelihood reads it, without gradient.
        """
        return outputs.logits["cvr"]

    def samples(self, outputs: Outputs, batch: Batch) -> LabelSamples:
        """Returns what the label likelihood says of a batch's clicked rows.

        A method writes its terms on clicked rows as functions of the label:
        ``samples.expected(lambda r: cross_entropy(r, cvr))``.
        """
        cached = outputs.cache.get("samples")
        if cached is None or cached.batch is not batch:
            cached = label_samples(self.feedback, batch, self.click_logit(outputs), outputs.z)
            outputs.cache["samples"] = cached
        return cached

    def further_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the term of the label likelihood's own heads, if it has any."""
        if not self.feedback.heads:
            return {}
        loss = self.samples(outputs, batch).head_loss
        return {FEEDBACK_LOSS: tf.zeros([]) if loss is None else loss}

    # -- forward ------------------------------------------------------------------------------

    def build(self, input_shape: Any = None) -> None:
        """Creates every variable."""
        if self.built:
            return
        with lasting_names():
            self._build()
        self.built = True

    def _build(self) -> None:
        if not self.features.built:
            self.features.build()
        shape: tuple[int | None, ...] = (None, self.features.output_width)
        shapes = dict.fromkeys(self.tasks, shape)
        if self.trunk is not None:
            if not self.trunk.built:
                self.trunk.build(shape)
            shapes.update(dict.fromkeys(self.trunk.tasks, (None, self.trunk.output_width)))
        for task, tower in self.towers.items():
            tower.build(shapes[task])
        if not self.feedback.built:
            self.feedback.build(shape)
        self.build_method(shape)

    def build_method(self, z_shape: tuple[int | None, ...]) -> None:
        """Creates a method's own variables; the default has none."""

    def forward(self, z: tf.Tensor, training: bool) -> Outputs:
        """Runs trunk and towers on z [B, d]."""
        inputs = dict.fromkeys(self.tasks, z)
        if self.trunk is not None:
            inputs.update(self.trunk(z, training=training))
        inputs.update(dict.fromkeys(self.detached_tasks, tf.stop_gradient(z)))
        pairs = {
            task: tower(inputs[task], training=training) for task, tower in self.towers.items()
        }
        return Outputs(
            z=z,
            logits={task: logit for task, (logit, _) in pairs.items()},
            hidden={task: hidden for task, (_, hidden) in pairs.items()},
            training=training,
        )

    def predictions(self, outputs: Outputs) -> dict[str, tf.Tensor]:
        """Returns {"ctr", "cvr", "ctcvr"} in the log's rows, float32 [B]."""
        ctr, cvr = outputs.probability("ctr"), outputs.probability("cvr")
        if self.feedback.corrects:
            cvr = self.feedback.corrected(outputs.logits["cvr"])
        return {"ctr": ctr, "cvr": cvr, "ctcvr": ctr * cvr}

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> dict[str, tf.Tensor]:
        """Scores a batch of raw or encoded features, corrected for dropped unclicked rows."""
        scores = self.predictions(self.outputs_of(inputs, bool(training)))
        if self.negative_keep_rate < 1:
            full = correct_funnel_downsampling(
                scores["ctr"], scores["ctcvr"], self.negative_keep_rate
            )
            scores["ctr"], scores["ctcvr"] = full
        return scores

    def get_config(self) -> dict[str, Any]:
        """Returns features, backbone and trunk, serialized."""
        return {
            "name": self.name,
            "features": keras.saving.serialize_keras_object(self.features),
            "backbone": self._backbone_config,
            "trunk": self._trunk_config,
            "negative_keep_rate": self.negative_keep_rate,
            "feedback": keras.saving.serialize_keras_object(self.feedback),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EntireSpaceModel:
        """Builds the model from `get_config`'s dictionary."""
        config = dict(config)
        for key in ("features", "backbone", "trunk", "feedback"):
            if isinstance(config.get(key), dict):
                config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)


def _check_carried(cls: type, likelihood: feedbacks.LabelLikelihood) -> None:
    """Refuses a label likelihood that the losses of a class would not look at.

    Raises:
        ValueError: naming both.
    """
    if isinstance(likelihood, feedbacks.ObservedFeedback):
        return
    writer = next(base for base in cls.__mro__ if "compute_losses" in vars(base))
    if not vars(writer).get("carries_feedback", False):
        raise ValueError(
            f"feedback: must be 'observed' for {cls.__name__}, whose losses read conversions "
            f"themselves, received {type(likelihood).__name__};\nwrite compute_losses with "
            f"self.samples(outputs, batch) and set carries_feedback = True in {writer.__name__}"
        )
    if likelihood.corrects and not vars(writer).get("clicks_alone", False):
        raise ValueError(
            f"feedback: must be no {type(likelihood).__name__} for {cls.__name__}, whose clicked "
            "rows stand beside unclicked ones or in a product, received one;\nchoose fnw, or a "
            "method of clicked rows alone: click_only, mmoe, ple, multi_ipw"
        )
