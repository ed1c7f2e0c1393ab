"""Row state: what an optimizer keeps of every row of a table, in one matrix beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from idefn_tf.optimizers.row_rules import CLOCK


def add_row_state(optimizer: Any, table: keras.Variable, first: Sequence[float]) -> keras.Variable:
    """Creates the state of a table [V, d], each row of it as `first` says."""

    def initializer(shape: Any, dtype: Any = None) -> tf.Tensor:
        return tf.tile(tf.constant([first], dtype), [shape[0], 1])

    return optimizer.add_variable(
        shape=(table.shape[0], len(first)),
        initializer=initializer,
        dtype=table.dtype,
        name=f"{table.path.replace('/', '_')}_rows",
    )


def named_blocks(state: tf.Tensor, width: int, names: Sequence[str]) -> dict[str, tf.Tensor]:
    """Returns the blocks [V, width] of a state by name, and "step" and "learning_rate" [V]."""
    blocks = {name: state[:, i * width : (i + 1) * width] for i, name in enumerate(names)}
    return {**blocks, "step": state[:, -CLOCK], "learning_rate": state[:, -1]}
