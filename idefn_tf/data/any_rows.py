"""AnyRows: a program that takes batches of any size and is traced once for them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from idefn_tf._shared_programs import shared


class AnyRows:
    """Calls a ``tf.function`` that reads batches, traced for any number of rows.

    TensorFlow would trace it for the rows of the first batch, and again when the last one, or the
    next data set, has another number of them.

    Args:
        program: takes one structure of tensors, all of them with rows first.
    """

    def __init__(self, program: Any) -> None:
        self.program = program
        self._traced: dict[str, Any] = {}

    def __call__(self, data: Any) -> Any:
        """Runs the program on a batch; what is no plain tensor passes as it is."""
        parts = tf.nest.flatten(data)
        if not all(isinstance(part, tf.Tensor) and part.shape.rank for part in parts):
            return self.program(data)
        specs = tf.nest.map_structure(any_rows, data)
        form = repr(specs)
        if form not in self._traced:
            self._traced[form] = shared(self.program.get_concrete_function(specs))
        # called itself: a tf.function remembers the size of every batch that it was given
        return self._traced[form](data)


def any_rows(part: tf.Tensor) -> tf.TensorSpec:
    """Returns what a tensor is, whatever its number of rows."""
    return tf.TensorSpec([None, *part.shape[1:]], part.dtype)
