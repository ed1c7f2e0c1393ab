"""Features: raw values become ids, ids become rows of one fused table, rows become z."""

from idefn_tf.features.column_lowering import Standardize, columns_from_schema
from idefn_tf.features.feature_columns import FeatureColumns
from idefn_tf.features.field import Field, lower

__all__ = ["FeatureColumns", "Field", "Standardize", "columns_from_schema", "lower"]
