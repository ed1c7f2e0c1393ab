"""Row state: what an optimizer keeps of every row of a table, in one matrix beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


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


def excluded(
    variables: Sequence[keras.Variable], chosen: Sequence[Any], names: Sequence[str]
) -> set[int]:
    """Returns the places of the variables that a user excluded from weight decay."""
    return {
        i
        for i, v in enumerate(variables)
        if any(v is c for c in chosen) or any(re.search(n, v.name) for n in names)
    }


def named_blocks(state: tf.Tensor, width: int, names: Sequence[str]) -> dict[str, tf.Tensor]:
    """Returns the blocks [V, width] of a state by name, and "step" and "learning_rate" [V]."""
    blocks = {name: state[:, i * width : (i + 1) * width] for i, name in enumerate(names)}
    clock = len(names) * width
    return {**blocks, "step": state[:, clock], "learning_rate": state[:, clock + 1]}


def translated(
    optimizer: Any, variables: Sequence[keras.Variable], saved: Sequence[Any], dropped: int = -1
) -> list[np.ndarray]:
    """Puts saved values into the form of variables among which an optimizer keeps its log decay.

    An earlier release kept none, nor does an optimizer without `weight_decay`, from or to which a
    run may go. A row that waited keeps the decay of its wait, at the rate of its last step.

    Args:
        optimizer: a built `RowSparse`.
        variables: its variables, or others beside them.
        saved: values in the order of the variables, with or without the log decay.
        dropped: which of them is the log decay, if these have one and the variables none.

    Returns:
        Values of the variables' shapes, where it is this that differs.
    """
    values = [np.asarray(value) for value in saved]
    if len(values) == len(variables) + 1:
        del values[dropped]
    elif len(values) + 1 == len(variables):
        at = [v is optimizer.log_decay for v in variables].index(True)
        values.insert(at, np.zeros((), "float64"))
    if len(values) != len(variables):
        return values
    rate = float(tf.convert_to_tensor(optimizer.learning_rate))  # of several replicas, too
    decay = float(optimizer.weight_decay or 0.0)
    steps = float(values[[v is optimizer.iterations for v in variables].index(True)])
    for i, (variable, value) in enumerate(zip(variables, values, strict=True)):
        if value.ndim != 2 or tuple(variable.shape)[:1] != value.shape[:1]:
            continue
        if value.shape[1] == variable.shape[1] + 1:
            values[i] = value[:, :-1]
        elif value.shape[1] + 1 == variable.shape[1]:
            last, rates = value[:, -2], np.where(value[:, -1] > 0, value[:, -1], rate)
            missed = (steps - last) * np.log(np.maximum(1.0 - decay * rates, 1e-30))
            values[i] = np.concatenate([value, -missed[:, None].astype(value.dtype)], 1)
    return values
