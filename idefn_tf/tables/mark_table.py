"""The mark of an embedding table: features set it, row-sparse optimizers look for it."""

from __future__ import annotations

from typing import Any

import keras


def mark_table(variable: keras.Variable) -> keras.Variable:
    """Tells row-sparse optimizers to update a variable by rows; its readers use `read_rows`.

    Example:
        >>> import keras
        >>> from idefn_tf.tables import is_table, mark_table
        >>> table_ = mark_table(keras.Variable(tf.zeros([5, 2])))
        >>> is_table(table_), table_.shape
        (True, TensorShape([5, 2]))
    """
    variable.updated_by_rows = True
    return variable


def is_table(variable: Any) -> bool:
    """Whether `mark_table` marked a variable.

    Example:
        >>> import keras
        >>> from idefn_tf.tables import is_table, mark_table
        >>> plain, marked = keras.Variable([[1.0]]), mark_table(keras.Variable([[1.0]]))
        >>> int(is_table(plain)), int(is_table(marked))
        (0, 1)
    """
    return bool(getattr(variable, "updated_by_rows", False))
