"""Fields: columns that cannot be lowered are refused; what a missing number becomes."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.features import FeatureColumns, lower
from idefn_tf.schema import Schema


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


# -- missing numbers -----------------------------------------------------------------------------


def layer_of(vocabulary=None, **feature):
    made = {"name": "x", "side": "item", **feature}
    labels = {"click": "c", "conversion": "r"}
    schema = Schema.parse({"name": "s", "labels": labels, "features": [made], "embedding_width": 2})
    return FeatureColumns.from_schema(schema, {"x": {"kind": "numeric", **(vocabulary or {})}})


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ({}, [-1.0, 1.0, 0.0, 0.0]),  # NaN is the mean
        ({"missing": 7.0}, [-1.0, 1.0, 2.0, 2.0]),  # (7 - 3) / 2
        ({"standardize": False}, [1.0, 5.0, 3.0, 3.0]),  # the mean itself
        ({"standardize": False, "missing": 7.0}, [1.0, 5.0, 7.0, 7.0]),
        ({"log1p": True, "missing": 0.0},
         [(math.log(2) - 3) / 2, (math.log(6) - 3) / 2, -1.5, -1.5]),
        ({"log1p": True, "standardize": False}, [math.log(2), math.log(6), 3.0, 3.0]),
    ],
)  # fmt: skip
def test_a_missing_number_becomes_the_mean_or_missing(feature, expected):
    layer = layer_of({"mean": 3.0, "std": 2.0}, dtype="float32", kind="numeric", **feature)
    z = layer({"x": tf.constant([1.0, 5.0, math.nan, math.inf])})
    np.testing.assert_allclose(z[:, 0], expected, rtol=1e-6)


def test_layers_saved_before_missing_numbers_had_a_meaning():
    layer = layer_of({"mean": 3.0, "std": 2.0}, dtype="float32", kind="numeric")
    config = layer.get_config()
    for key in ("missing", "normalized_mean"):
        del config["columns"][0][key]
    config["columns"][0]["fill"] = 0.0  # what a null was
    again = FeatureColumns.from_config(config)
    np.testing.assert_array_equal(again({"x": tf.constant([5.0, math.nan])}), [[1.0], [0.0]])
    assert json.loads(json.dumps(layer.get_config(), allow_nan=False))


def test_the_bucket_of_a_missing_number():
    numbers = {"x": tf.constant([-2.0, 0.0, 3.0, math.nan])}
    bucketized = {"dtype": "float32", "kind": "bucketized", "boundaries": [-1.0, 2.0]}
    rows = layer_of(**bucketized).encode(numbers)["rows"]["2"]
    assert rows[:, 0].numpy().tolist() == [1, 2, 3, 2]  # of 0.0
    rows = layer_of(**bucketized, missing=9.0).encode(numbers)["rows"]["2"]
    assert rows[:, 0].numpy().tolist() == [1, 2, 3, 3]  # of `missing`


def test_integers_fall_into_buckets_exactly():
    hour = 1_714_557_600_000  # milliseconds, which float32 rounds to 131 seconds
    layer = layer_of(dtype="int64", kind="bucketized", boundaries=[float(hour), hour + 3_600_000.5])
    raw = np.int64([hour - 1, hour, hour + 3_600_000, hour + 3_600_001, -(2**63), 2**63 - 1])
    rows = layer.encode({"x": tf.constant(raw)})["rows"]["2"]
    assert rows[:, 0].numpy().tolist() == [1, 2, 2, 3, 1, 3]
