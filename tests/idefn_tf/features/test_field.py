"""Columns of ``tf.feature_column`` without a lowering are refused, with what is wrong in them."""

import pytest
import tensorflow as tf

from idefn_tf.features import lower


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (lambda: tf.feature_column.categorical_column_with_identity("x", 3), "cannot be lowered"),
        (
            lambda: tf.feature_column.embedding_column(
                tf.feature_column.categorical_column_with_identity("x", 3, default_value=0), 2
            ),
            "default_value of identity column 'x'",
        ),
        (
            lambda: tf.feature_column.embedding_column(
                tf.feature_column.crossed_column(["x", "y"], 10), 2
            ),
            "CrossedColumn cannot be lowered",
        ),
        (
            lambda: tf.feature_column.numeric_column("x", normalizer_fn=lambda x: x / 2),
            "normalizer",
        ),
        (lambda: tf.feature_column.numeric_column("x", shape=(2,)), "shape"),
    ],
)
def test_columns_that_cannot_be_lowered(column, message):
    with pytest.raises(ValueError, match=message):
        lower(column())
