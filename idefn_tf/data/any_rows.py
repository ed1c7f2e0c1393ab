"""AnyRows: a program that takes batches of any size and is traced once for them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class AnyRows:
    """Calls a ``tf.function`` that reads batches, traced for any number of rows.

    TensorFlow would trace it for the rows of the first batch, and again when the last one, or the
    next data set, has another number of them.

    Args:
        program: takes one structure of tensors, all of them with rows first.
    """

    def __init__(self, program: Any) -> None:
        self.program = program
        self._known: set[Any] = set()

    def __call__(self, data: Any) -> Any:
        """Runs the program on a batch; what is no plain tensor passes as it is."""
        parts = tf.nest.flatten(data)
        if all(isinstance(part, tf.Tensor) and part.shape.rank for part in parts):
            form = tuple((part.dtype, tuple(part.shape[1:])) for part in parts)
            if form not in self._known:
                self.program.get_concrete_function(tf.nest.map_structure(_any_rows, data))
                self._known.add(form)
        return self.program(data)


def _any_rows(part: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec([None, *part.shape[1:]], part.dtype)
