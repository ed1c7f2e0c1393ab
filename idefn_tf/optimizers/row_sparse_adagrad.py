"""RowSparseAdagrad: Adagrad at the price of the rows that a batch touches."""

from __future__ import annotations

from typing import Any

import keras

from idefn_tf._registry import register
from idefn_tf._types import NonNegative
from idefn_tf.optimizers.keras_options import LearningRate, refuse
from idefn_tf.optimizers.row_rules import AdagradRule
from idefn_tf.optimizers.row_sparse import RowSparse


@register("optimizer", "row_sparse_adagrad")
class RowSparseAdagrad(RowSparse, keras.optimizers.Adagrad):
    """Adagrad (Duchi et al., 2011) whose step costs what the batch touches.

    For each touched row r of a table, with repeated rows of the gradient g summed first::

        g_r <- g_r + l2_rows * w_r
        a_r <- a_r + g_r^2            w_r <- w_r - lr * g_r / sqrt(a_r + epsilon)

    A row without a gradient neither moves nor forgets in Adagrad, so this equals
    ``keras.optimizers.Adagrad`` exactly. `weight_decay` and `l2_rows` mean what they mean in
    `RowSparseAdam`.

    Args:
        learning_rate: number or schedule.
        initial_accumulator_value, epsilon: as in Keras.
        l2_rows: L2 coefficient added to the gradient of touched rows.
        **kwargs: of ``keras.optimizers.Adagrad``.

    Raises:
        ValueError: if `l2_rows` is negative, or an option needs whole tables at every step.

    Example:
        >>> import keras
        >>> from idefn_tf.optimizers import RowSparseAdagrad, read_rows, row_gradient
        >>> from idefn_tf.tables import mark_table
        >>> table_, optimizer = mark_table(keras.Variable(tf.zeros([5, 2]))), RowSparseAdagrad(0.1)
        >>> optimizer.build([table_])
        >>> read = read_rows(optimizer, table_, tf.constant([1, 3, 1]))
        >>> optimizer.apply([row_gradient(optimizer, read, tf.ones([3, 2]))], [table_])
        >>> [round(float(row[0]), 4) for row in table_.numpy()]
        [0.0, -0.0988, 0.0, -0.0953, 0.0]
    """

    block_names = ("accumulator",)

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        initial_accumulator_value: NonNegative = 0.1,
        epsilon: NonNegative = 1e-7,
        l2_rows: NonNegative = 0.0,
        name: str = "row_sparse_adagrad",
        **kwargs: Any,
    ) -> None:
        refuse(kwargs)
        super().__init__(
            learning_rate, initial_accumulator_value, epsilon=epsilon, name=name, **kwargs
        )
        self.l2_rows = float(l2_rows)

    def rule(self) -> AdagradRule:
        """Returns Adagrad's arithmetic with this optimizer's settings."""
        return AdagradRule(
            l2_rows=self.l2_rows,
            weight_decay=float(self.weight_decay or 0.0),
            lazy=not self.weight_decay,
            initial_accumulator_value=float(self.initial_accumulator_value),
            epsilon=float(self.epsilon),
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "l2_rows": self.l2_rows}
