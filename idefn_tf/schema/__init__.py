"""Schema: one YAML file says what every column of an exposure table is.

The same object drives parsing, validation, feature columns and the serving signature.
"""

from idefn_tf.schema.attribution import Attribution
from idefn_tf.schema.feature import DType, Feature, Kind, Side
from idefn_tf.schema.history import BehaviourSequence, History, HistoryAggregate
from idefn_tf.schema.labels import (
    CLICK,
    CONVERSION,
    CONVERSION_DELAY,
    CONVERSION_FINAL,
    DELAY_COLUMNS,
    ELAPSED,
    FEEDBACK_LABELS,
    REPORT_COLUMNS,
    RESERVED,
    WINDOW_OPEN,
    Labels,
)
from idefn_tf.schema.schema import Schema

__all__ = [
    "CLICK",
    "CONVERSION",
    "CONVERSION_DELAY",
    "CONVERSION_FINAL",
    "DELAY_COLUMNS",
    "ELAPSED",
    "FEEDBACK_LABELS",
    "REPORT_COLUMNS",
    "RESERVED",
    "WINDOW_OPEN",
    "Attribution",
    "BehaviourSequence",
    "DType",
    "Feature",
    "History",
    "HistoryAggregate",
    "Kind",
    "Labels",
    "Schema",
    "Side",
]
