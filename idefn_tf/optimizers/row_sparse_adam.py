"""RowSparseAdam: dense Adam at the price of the rows that a batch touches."""

from __future__ import annotations

import math
from typing import Any

import keras

from idefn_tf._registry import register
from idefn_tf._types import NonNegative, ShareBelowOne
from idefn_tf.optimizers.keras_options import LearningRate, refuse
from idefn_tf.optimizers.row_rules import AdamRule
from idefn_tf.optimizers.row_sparse import RowSparse


@register("optimizer", "row_sparse_adam")
class RowSparseAdam(RowSparse, keras.optimizers.Adam):
    """Adam (Kingma and Ba, 2015) whose step costs what the batch touches, not what the table holds.

    Dense variables are updated as ``keras.optimizers.Adam`` does. For a table, repeated rows of
    the gradient g are summed, and each touched row r at step t becomes::

        g_r <- g_r + l2_rows * w_r
        m_r <- beta_1 m_r + (1 - beta_1) g_r        v_r <- beta_2 v_r + (1 - beta_2) g_r^2
        w_r <- w_r - lr * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m_r / (sqrt(v_r) + epsilon)

    Dense Adam also moves the rows that a batch does not touch, by what remains of their momentum,
    ten times the first step in all. Leaving that out (`lazy`) trains rare rows too little and was
    measured to cost .005-.015 AUC. Here a row gets the decay of skipped steps, in closed form
    (`idefn_tf.optimizers.row_rules.AdamRule`), before it is next read. The result is dense Adam's
    up to rounding, a slightly different epsilon, and learning rates that change within ~40 steps.

    Weight decay and L2: `weight_decay` is AdamW's, decoupled, on all rows at all steps (those sat
    out included). `l2_rows` is the classical L2, coupled, on touched rows only, so that frequent
    rows are held more; dense L2 on all rows would need a dense gradient.

    Args:
        learning_rate: number or schedule.
        beta_1, beta_2, epsilon: as in Adam; epsilon 1e-8 is the paper's and PyTorch's.
        l2_rows: L2 coefficient added to the gradient of touched rows, before the moments.
        lazy: rows rest between touches (the usual "lazy Adam").
        **kwargs: of ``keras.optimizers.Adam``; clipping, weight decay and loss scaling included.

    Raises:
        ValueError: if `l2_rows` is negative, beta_1 >= sqrt(beta_2) (the momentum would outlive
            its own scale), or an option needs whole tables at every step.

    Source: the recurrences are Kingma and Ba's; the closed form is this project's.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import RowSparseAdam, read_rows, row_gradient
        >>> from idefn_tf.tables import mark_table
        >>> table_, optimizer = mark_table(keras.Variable(tf.zeros([5, 2]))), RowSparseAdam(0.1)
        >>> optimizer.build([table_])
        >>> read = read_rows(optimizer, table_, tf.constant([1, 3, 1]))
        >>> optimizer.apply([row_gradient(optimizer, read, tf.ones([3, 2]))], [table_])
        >>> [round(float(row[0]), 4) for row in table_.numpy()]
        [0.0, -0.1, 0.0, -0.1, 0.0]
    """

    block_names = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        beta_1: ShareBelowOne = 0.9,
        beta_2: ShareBelowOne = 0.999,
        epsilon: NonNegative = 1e-8,
        l2_rows: NonNegative = 0.0,
        lazy: bool = False,
        name: str = "row_sparse_adam",
        **kwargs: Any,
    ) -> None:
        if not 0 <= beta_1 < math.sqrt(beta_2) < 1:
            raise ValueError(
                f"beta_1, beta_2: must satisfy 0 <= beta_1 < sqrt(beta_2) < 1, received {beta_1} "
                f"and {beta_2}; .9 and .999 are the usual ones."
            )
        refuse(kwargs)
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name=name, **kwargs)
        self.l2_rows, self.lazy = float(l2_rows), bool(lazy)

    def rule(self) -> AdamRule:
        """Returns Adam's arithmetic with this optimizer's settings."""
        return AdamRule(
            l2_rows=self.l2_rows,
            weight_decay=float(self.weight_decay or 0.0),
            lazy=self.lazy,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.pop("amsgrad", None)
        return {**config, "l2_rows": self.l2_rows, "lazy": self.lazy}
