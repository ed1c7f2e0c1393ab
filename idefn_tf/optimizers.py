"""Optimizers whose step costs what the batch touches, not what the table holds."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def merge_rows(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Sums the gradients of repeated rows.

    Args:
        gradient: values [n, d] at indices [n], which may repeat.

    Returns:
        Values [u, d] at u distinct indices, in order of first appearance.
    """
    rows, position = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, position, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


@keras.saving.register_keras_serializable(package="idefn_tf")
class RowSparseAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba, 2015) that updates only the rows of a table that a batch touched.

    A dense gradient is treated as ``keras.optimizers.Adam`` treats it. For an ``IndexedSlices``
    gradient g, repeated rows are summed first, and for each touched row r at step t::

        g_r <- g_r + l2_rows * w_r
        m_r <- beta_1 m_r + (1 - beta_1) g_r        v_r <- beta_2 v_r + (1 - beta_2) g_r^2
        w_r <- w_r - lr * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m_r / (sqrt(v_r) + epsilon)

    Where every row is touched at every step this equals dense Adam. Otherwise the maths differs:
    a row that a batch does not touch keeps its moments and its value, where dense Adam would let
    the moments decay and move the row by what remains of its momentum.

    Args:
        learning_rate: number or schedule.
        beta_1, beta_2, epsilon: as in Adam; epsilon 1e-8 is the paper's and PyTorch's.
        l2_rows: L2 coefficient added to the gradient of touched rows (coupled, before the moments).
        **kwargs: of ``keras.optimizers.Adam``.

    Raises:
        ValueError: if `l2_rows` is negative, or options that need dense gradients are asked for.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        l2_rows: float = 0.0,
        name: str = "row_sparse_adam",
        **kwargs: Any,
    ) -> None:
        if l2_rows < 0:
            raise ValueError(f"l2_rows: must be 0 or more, received {l2_rows}")
        if kwargs.get("amsgrad"):
            raise ValueError("amsgrad: must be False, row-wise updates keep no running maximum")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name=name, **kwargs)
        self.l2_rows = l2_rows

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable, by rows where the gradient names rows."""
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        table = variable.value if isinstance(variable, keras.Variable) else variable
        index = self._get_variable_index(variable)
        m_table, v_table = self._momentums[index].value, self._velocities[index].value
        merged = merge_rows(gradient)
        rows, g = merged.indices, tf.cast(merged.values, table.dtype)
        if self.l2_rows:
            g += self.l2_rows * tf.gather(table, rows)
        step = tf.cast(self.iterations.value + 1, table.dtype)
        rate = tf.cast(learning_rate, table.dtype)
        rate *= tf.sqrt(1.0 - tf.pow(self.beta_2, step)) / (1.0 - tf.pow(self.beta_1, step))
        m = tf.gather(m_table, rows)
        m += (g - m) * (1.0 - self.beta_1)
        v = tf.gather(v_table, rows)
        v += (tf.square(g) - v) * (1.0 - self.beta_2)
        m_table.scatter_update(tf.IndexedSlices(m, rows))
        v_table.scatter_update(tf.IndexedSlices(v, rows))
        table.scatter_sub(tf.IndexedSlices(rate * m / (tf.sqrt(v) + self.epsilon), rows))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        config.pop("amsgrad", None)
        return {**config, "l2_rows": self.l2_rows}
