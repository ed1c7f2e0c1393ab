"""AdamL2: Adam with the L2 term inside its gradient, as the published runs had it."""

from __future__ import annotations

from typing import Any

import keras

from idefn_tf._keras_private import SumsOverReplicas
from idefn_tf._registry import register
from idefn_tf._types import NonNegative, ShareBelowOne
from idefn_tf.optimizers.keras_options import LearningRate


@register("optimizer", "adam_l2")
class AdamL2(SumsOverReplicas, keras.optimizers.Adam):
    """Adam (Kingma and Ba, 2015) on g + l2 w, for every weight and every row of every table.

    Formula::

        g_t <- g_t + l2 * w_(t-1)        before the moments, on dense gradients

    This is PyTorch's ``Adam(weight_decay=l2)``, with which NISE's code and the published baselines
    were trained. As Adam divides by the size of the gradient, a row that no batch touches shrinks
    by up to the learning rate at each step: a strong regulariser of rare ids, unlike AdamW's
    decoupled decay. The step costs as much as the tables are large; `RowSparseAdam` is the
    optimizer for work at size, and this one is for parity with published numbers.

    Args:
        learning_rate: number or schedule.
        beta_1: as in Adam.
        beta_2: as in Adam.
        epsilon: as in Adam; 1e-8 is PyTorch's.
        l2: coefficient of w in every gradient; 1e-5 in the published runs.
        **kwargs: of ``keras.optimizers.Adam``.

    Raises:
        ValueError: if `l2` is negative.

    Source: PyTorch's documentation of ``torch.optim.Adam``; NISE's public code for the setting.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import AdamL2
        >>> weight = keras.Variable([1.0, -1.0])
        >>> optimizer = AdamL2(learning_rate=0.1, l2=0.01)
        >>> optimizer.apply([tf.zeros(2)], [weight])
        >>> [round(float(w), 4) for w in weight.numpy()]  # no gradient, yet l2 pulls both to 0
        [0.9, -0.9]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        beta_1: ShareBelowOne = 0.9,
        beta_2: ShareBelowOne = 0.999,
        epsilon: NonNegative = 1e-8,
        l2: NonNegative = 1e-5,
        name: str = "adam_l2",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name=name, **kwargs)
        self.l2 = float(l2)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable by its gradient [shape of the variable], dense or sparse."""
        dense = keras.ops.convert_to_tensor(gradient, sparse=False)
        whole = dense + keras.ops.cast(self.l2, dense.dtype) * keras.ops.cast(variable, dense.dtype)
        super().update_step(whole, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "l2": self.l2}
