"""MMoETrunk: experts shared by every task, one gate per task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Count
from idefn_tf.models.trunks.trunk import Gate, Trunk, mix

if TYPE_CHECKING:
    from idefn_tf.backbones import MLP
    from idefn_tf.features import FeatureColumns


@register("trunk", "mmoe")
class MMoETrunk(Trunk):
    """Multi-gate mixture of experts.

    Formula, for task k and experts f_i::

        input_k = sum_i g_ki f_i(z),   g_k = softmax(W_k z)

    Args:
        experts: how many; the papers compared use 8 (the code of the published runs creates 2 on
            Ali-CCP and 4 on KuaiRand-Pure).
        **kwargs: of `Trunk`.

    Raises:
        ValueError: if there is no expert.

    Source: Ma et al., KDD 2018, Eq. 6 and 7.

    Example:
        >>> from idefn_tf.models import MMoETrunk
        >>> trunk = MMoETrunk(expert_units=(6,)).for_tasks(("ctr", "cvr"), MLP((8,)), features)
        >>> mixed = trunk(tf.zeros([2, features.output_width]))
        >>> {task: value.shape.as_list() for task, value in mixed.items()}
        {'ctr': [2, 6], 'cvr': [2, 6]}
    """

    def __init__(self, experts: Count = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.experts = experts
        self.expert_layers: list[MLP] = []
        self.gates: dict[str, Gate] = {}

    def create(self, backbone: MLP, features: FeatureColumns) -> None:
        """Creates experts and gates for `tasks`."""
        self.expert_layers = [
            backbone.for_expert(f"expert_{i}", self.expert_units) for i in range(self.experts)
        ]
        for expert in self.expert_layers:
            expert.bind(features)
        batch_norm = self.gate == "batch_norm"
        self.gates = {
            task: Gate(self.experts, batch_norm, name=f"{task}_gate") for task in self.tasks
        }

    @property
    def output_width(self) -> int:
        """The width of an expert's output."""
        return self.expert_layers[0].output_width

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Builds experts and gates for z of shape [B, width]."""
        shape = tuple(input_shape)
        for expert in self.expert_layers:
            expert.build(shape)
        for gate in self.gates.values():
            gate.build(shape)
        self.built = True

    def call(self, z: tf.Tensor, training: bool | None = None) -> dict[str, tf.Tensor]:
        """Returns each task's mixture [B, output_width] of z [B, d]."""
        outputs = [expert(z, training=training) for expert in self.expert_layers]
        return {task: mix(gate(z, training=training), outputs) for task, gate in self.gates.items()}

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "experts": self.experts}
