"""Trunk: what every expert mixture shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
import tensorflow as tf

from idefn_tf._options import check_arguments
from idefn_tf._registry import register
from idefn_tf._types import Widths

if TYPE_CHECKING:
    from idefn_tf.backbones import MLP
    from idefn_tf.features import FeatureColumns


@check_arguments
@register("class")
class Trunk(keras.layers.Layer):
    """Turns z into one input per task by mixing experts; a small tower per task reads it.

    Under a trunk the model's backbone says what kind of network an expert is (perceptron, DeepFM
    or DCNv2) and how its layers normalize, drop out and start; the widths of experts and towers
    are the trunk's own.

    Args:
        expert_units: hidden widths of an expert, (80,) on Ali-CCP, (128,) on KuaiRand-Pure.
        tower_units: hidden widths of a tower, (40,) and (64, 32, 16) there.
        gate: "linear" (softmax of a linear map, the papers') or "batch_norm" (BatchNorm before
            the softmax, as in the code of the published runs).

    Raises:
        ValueError: if a width is not positive or `gate` is unknown.

    Example:
        >>> from idefn_tf.models import MMoETrunk, Trunk
        >>> trunk = MMoETrunk(experts=3, expert_units=(16, 6))
        >>> made = trunk.for_tasks(("ctr", "cvr"), MLP((8,)), features)
        >>> isinstance(made, Trunk), made.output_width
        (True, 6)
    """

    def __init__(
        self,
        expert_units: Widths = (128,),
        tower_units: Widths = (64, 32, 16),
        gate: Literal["linear", "batch_norm"] = "linear",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.expert_units = tuple(int(u) for u in expert_units)
        self.tower_units = tuple(int(u) for u in tower_units)
        self.gate = gate
        self.tasks: tuple[str, ...] = ()

    def for_tasks(self, tasks: Sequence[str], backbone: MLP, features: FeatureColumns) -> Trunk:
        """Returns a fresh clone with experts and gates for these tasks."""
        clone = type(self).from_config(self.get_config())
        clone.tasks = tuple(tasks)
        clone.create(backbone, features)
        return clone

    def create(self, backbone: MLP, features: FeatureColumns) -> None:
        """Creates experts and gates for `tasks`."""
        raise NotImplementedError

    @property
    def output_width(self) -> int:
        """The width of every task's input."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "expert_units": self.expert_units,
            "tower_units": self.tower_units,
            "gate": self.gate,
        }


@register("layer", public=False)
class Gate(keras.layers.Layer):
    """Weights over experts: softmax(W x), of [B, d] to [B, experts].

    Args:
        experts: how many.
        batch_norm: whether BatchNorm comes before the softmax.
    """

    def __init__(self, experts: int, batch_norm: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experts, self.batch_norm = experts, batch_norm
        self.scores = keras.layers.Dense(experts, use_bias=False)
        self.norm = (
            keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5) if batch_norm else None
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Builds the linear map and the normalization."""
        self.scores.build(tuple(input_shape))
        if self.norm is not None:
            self.norm.build((None, self.experts))
        self.built = True

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the weights [B, experts], which sum to 1."""
        scores = self.scores(x)
        if self.norm is not None:
            scores = self.norm(scores, training=training)
        return tf.nn.softmax(scores)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "experts": self.experts,
            "batch_norm": self.batch_norm,
        }


def mix(weights: tf.Tensor, outputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the weighted sum [B, w] of experts' outputs, each [B, w], by weights [B, experts]."""
    return tf.reduce_sum(weights[:, :, None] * tf.stack(list(outputs), 1), 1)
