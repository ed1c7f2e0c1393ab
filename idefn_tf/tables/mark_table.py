"""The mark of an embedding table: features set it, row-sparse optimizers look for it."""

from __future__ import annotations

from typing import Any

import keras


def mark_table(variable: keras.Variable) -> keras.Variable:
    """Tells row-sparse optimizers to update a variable by rows; its readers use `read_rows`."""
    variable.updated_by_rows = True
    return variable


def is_table(variable: Any) -> bool:
    """Whether `mark_table` marked a variable."""
    return bool(getattr(variable, "updated_by_rows", False))
