"""Embedding tables as features and optimizers both see them: which variables, which rows."""

from idefn_tf.tables.distinct_rows import DISTINCT, Distinct, distinct, found_rows, look_ahead
from idefn_tf.tables.mark_table import is_table, mark_table

__all__ = [
    "DISTINCT",
    "Distinct",
    "distinct",
    "found_rows",
    "is_table",
    "look_ahead",
    "mark_table",
]
