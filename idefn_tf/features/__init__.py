"""Features: raw values become ids, ids become rows of one fused table, rows become z."""

from idefn_tf.features.columns import Standardize, columns_from_schema
from idefn_tf.features.field import Field, lower
from idefn_tf.features.layer import FeatureColumns

__all__ = ["FeatureColumns", "Field", "Standardize", "columns_from_schema", "lower"]
