"""PLETrunk: experts shared by every task beside experts of one task, level upon level."""

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

#: Key of the shared experts and their gate, beside the tasks'.
_SHARED = "shared"


@register("trunk", "ple")
class PLETrunk(Trunk):
    """Progressive layered extraction.

    Formula, for task k at one level (x_k its input, x_s the shared one, both z at first)::

        x_k <- sum_i g_ki f_i   over the task's own experts of x_k and the shared ones of x_s
        x_s <- sum_i g_si f_i   over all experts; not at the last level
        g_k = softmax(W_k x_k)

    Experts of the first level are the model's backbone without a head; at further levels, where
    there are no fields, they are perceptrons.

    Args:
        shared: shared experts per level.
        specific: experts of its own per task and level.
        levels: how many levels; the published runs use one.
        **kwargs: of `Trunk`.

    Raises:
        ValueError: if a count is not positive.

    Source: Tang et al., RecSys 2020; counts of Huang et al., RecSys 2024.

    Example:
        >>> from idefn_tf.models import PLETrunk
        >>> trunk = PLETrunk(expert_units=(6,)).for_tasks(("ctr", "cvr"), MLP((8,)), features)
        >>> mixed = trunk(tf.zeros([2, features.output_width]))
        >>> {task: value.shape.as_list() for task, value in mixed.items()}
        {'ctr': [2, 6], 'cvr': [2, 6]}
    """

    def __init__(
        self, shared: Count = 4, specific: Count = 4, levels: Count = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.shared, self.specific, self.levels = shared, specific, levels
        #: flat, by the names that `_experts_of` and `_gate_name` give
        self.expert_layers: dict[str, MLP] = {}
        self.gates: dict[str, Gate] = {}

    def create(self, backbone: MLP, features: FeatureColumns) -> None:
        """Creates experts and gates for `tasks`."""
        experts: dict[str, MLP] = {}
        gates: dict[str, Gate] = {}
        for level in range(self.levels):
            for name in self._everyone(level):
                if level == 0:
                    experts[name] = backbone.for_expert(name, self.expert_units)
                    experts[name].bind(features)
                else:
                    experts[name] = backbone.for_head(name, self.expert_units, head=False)
            for owner in self._outputs_of(level):
                count = len(self._read_by(owner, level))
                name = _gate_name(owner, level)
                gates[name] = Gate(count, self.gate == "batch_norm", name=name)
        self.expert_layers, self.gates = experts, gates

    def _experts_of(self, owner: str, level: int) -> list[str]:
        count = self.shared if owner == _SHARED else self.specific
        return [f"{owner}_expert_{level}_{i}" for i in range(count)]

    def _everyone(self, level: int) -> list[str]:
        owners = (*self.tasks, _SHARED)
        return [name for owner in owners for name in self._experts_of(owner, level)]

    def _read_by(self, owner: str, level: int) -> list[str]:
        if owner == _SHARED:
            return self._everyone(level)
        return self._experts_of(owner, level) + self._experts_of(_SHARED, level)

    def _outputs_of(self, level: int) -> tuple[str, ...]:
        return self.tasks if level == self.levels - 1 else (*self.tasks, _SHARED)

    @property
    def output_width(self) -> int:
        """The width of the last level's experts."""
        return self._width_of(self.levels - 1)

    def _width_of(self, level: int) -> int:
        return self.expert_layers[self._experts_of(_SHARED, level)[0]].output_width

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Builds experts and gates for z of shape [B, width]."""
        shape: tuple[int | None, ...] = tuple(input_shape)
        for level in range(self.levels):
            for name in self._everyone(level):
                self.expert_layers[name].build(shape)
            for owner in self._outputs_of(level):
                self.gates[_gate_name(owner, level)].build(shape)
            shape = (None, self._width_of(level))
        self.built = True

    def call(self, z: tf.Tensor, training: bool | None = None) -> dict[str, tf.Tensor]:
        """Returns each task's mixture [B, output_width] of z [B, d]."""
        x = dict.fromkeys((*self.tasks, _SHARED), z)
        for level in range(self.levels):
            outputs = {
                name: self.expert_layers[name](x[owner], training=training)
                for owner in (*self.tasks, _SHARED)
                for name in self._experts_of(owner, level)
            }
            mixed = {}
            for owner in self._outputs_of(level):
                gate = self.gates[_gate_name(owner, level)]
                read = [outputs[name] for name in self._read_by(owner, level)]
                mixed[owner] = mix(gate(x[owner], training=training), read)
            x = mixed
        return x

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "shared": self.shared,
            "specific": self.specific,
            "levels": self.levels,
        }


def _gate_name(owner: str, level: int) -> str:
    return f"{owner}_gate_{level}"
