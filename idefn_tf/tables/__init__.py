"""Embedding tables as features and optimizers both see them: which variables, which rows."""

from idefn_tf.tables.distinct_rows import DISTINCT, Distinct, distinct, found_rows, look_ahead
from idefn_tf.tables.mark_table import is_table, mark_table
from idefn_tf.tables.packed_events import EVENTS, SEQUENCES, events_of, pack, packed_events

__all__ = [
    "DISTINCT",
    "EVENTS",
    "SEQUENCES",
    "Distinct",
    "distinct",
    "events_of",
    "found_rows",
    "is_table",
    "look_ahead",
    "mark_table",
    "pack",
    "packed_events",
]
