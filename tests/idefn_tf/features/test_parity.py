"""FeatureColumns against tf_keras' DenseFeatures, on the same columns and the same weights."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from idefn_tf.features import FeatureColumns, Standardize
from idefn_tf.features.column_lowering import quiet_deprecations
from idefn_tf.schema import Schema

LABELS = {"click": "c", "conversion": "r"}
fc = tf.feature_column


def embedded(column, width=3, combiner="mean"):
    return fc.embedding_column(column, width, combiner=combiner)


def dense_features(column, matrix, inputs):
    """What DenseFeatures makes of one column whose embedding holds `matrix`."""
    with quiet_deprecations():
        layer = tf_keras.layers.DenseFeatures([column])
        layer(inputs)
        if matrix is not None:
            layer.set_weights([matrix])
        return layer(inputs).numpy()


def ours(column, matrix, inputs, schema=None):
    layer = FeatureColumns([column], schema)
    layer.build()
    if matrix is not None:
        layer.set_embedding(layer.fields[0].name, matrix)
    return layer(inputs).numpy()


def vocabulary_file(tmp_path, values):
    path = tmp_path / "values.txt"
    path.write_text("\n".join(values) + "\n", encoding="utf-8")
    return str(path)


INTS = np.int64([0, 5, 7, 2, 7, 999, 5])
TEXTS = np.array(["a", "ü", "zz", "b", "a", "never seen", "b"], object)
FLOATS = np.float32([-3.5, 0.0, 0.1, 1.0, 9.9, 10.0, 1e6])
CASES = {
    "identity": (lambda p: fc.categorical_column_with_identity("x", 1000), INTS, 1000),
    "hash of ints": (
        lambda p: fc.categorical_column_with_hash_bucket("x", 11, tf.int64),
        INTS,
        11,
    ),
    "hash of text": (lambda p: fc.categorical_column_with_hash_bucket("x", 11), TEXTS, 11),
    "list of ints": (
        lambda p: fc.categorical_column_with_vocabulary_list("x", [7, 5, 2], tf.int64),
        INTS,
        3,
    ),
    "list of far ints": (
        lambda p: fc.categorical_column_with_vocabulary_list(
            "x", [7, 5, 10**12], tf.int64, num_oov_buckets=1
        ),
        np.int64([7, 10**12, 8, 5]),
        4,
    ),
    "ints, one bucket for unknown": (
        lambda p: fc.categorical_column_with_vocabulary_list(
            "x", [7, 5, 2], tf.int64, num_oov_buckets=1
        ),
        INTS,
        4,
    ),
    "text, four buckets for unknown": (
        lambda p: fc.categorical_column_with_vocabulary_list("x", ["b", "a"], num_oov_buckets=4),
        TEXTS,
        6,
    ),
    "file of text": (
        lambda p: fc.categorical_column_with_vocabulary_file(
            "x", vocabulary_file(p, ["ü", "a", "b"]), num_oov_buckets=2
        ),
        TEXTS,
        5,
    ),
    "part of a file of ints": (
        lambda p: fc.categorical_column_with_vocabulary_file(
            "x", vocabulary_file(p, ["5", "7", "2"]), 2, dtype=tf.int64
        ),
        INTS,
        2,
    ),
    "buckets": (
        lambda p: fc.bucketized_column(fc.numeric_column("x"), [0.0, 1.0, 10.0]),
        FLOATS,
        4,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_embedding_and_indicator_of_one_value(case, tmp_path):
    make, values, rows = CASES[case]
    with quiet_deprecations():
        column = make(tmp_path)
        embedding, indicator = embedded(column), fc.indicator_column(column)
    inputs = {"x": tf.constant(values)}
    matrix = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    expected = dense_features(embedding, matrix, {"x": inputs["x"][:, None]})
    assert np.abs(expected).max() > 0
    np.testing.assert_array_equal(ours(embedding, matrix, inputs), expected)
    expected = dense_features(indicator, None, {"x": inputs["x"][:, None]})
    np.testing.assert_array_equal(ours(indicator, None, inputs), expected)


def test_numbers_with_and_without_a_normalizer():
    for normalizer in (None, Standardize(mean=2.0, std=4.0), Standardize(0.5, 2.0, log1p=True)):
        with quiet_deprecations():
            column = fc.numeric_column("x", normalizer_fn=normalizer)
        inputs = {"x": tf.constant(FLOATS)}
        expected = dense_features(column, None, {"x": inputs["x"][:, None]})
        np.testing.assert_allclose(ours(column, None, inputs), expected, rtol=1e-6)


# -- lists ----------------------------------------------------------------------------------------

LISTS = [["b", "a"], [], ["a", "never seen", "a"], ["zz"]]
WEIGHTS = [[0.5, 2.0], [], [1.0, 0.25, 3.0], [4.0]]


def schema_of(weighted, combiner, length=4):
    feature = {
        "name": "x",
        "dtype": "string",
        "side": "item",
        "kind": "vocabulary",
        "max_length": length,
        "combiner": combiner,
        **({"weights": "w"} if weighted else {}),
    }
    return Schema.parse({"name": "s", "labels": LABELS, "features": [feature]})


def as_sparse(rows, dtype):
    return tf.ragged.constant(rows, dtype).to_sparse()


def as_padded(rows, padding, length=4):
    return np.array([[*r, *[padding] * (length - len(r))] for r in rows])


@pytest.mark.parametrize("combiner", ["mean", "sum", "sqrtn"])
@pytest.mark.parametrize("weighted", [False, True])
def test_lists_padded_sparse_and_ragged(weighted, combiner):
    with quiet_deprecations():
        column = fc.categorical_column_with_vocabulary_list("x", ["b", "a"], num_oov_buckets=1)
        if weighted:
            column = fc.weighted_categorical_column(column, "x_weights")
        column = embedded(column, combiner=combiner)
    matrix = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    sparse = {"x": as_sparse(LISTS, tf.string), "x_weights": as_sparse(WEIGHTS, tf.float32)}
    padded = {
        "x": as_padded(LISTS, "").astype(object),
        "x_weights": as_padded(WEIGHTS, 0.0).astype(np.float32),
    }
    ragged = {
        "x": tf.ragged.constant(LISTS, tf.string),
        "x_weights": tf.ragged.constant(WEIGHTS, tf.float32),
    }
    if not weighted:
        for inputs in (sparse, padded, ragged):
            del inputs["x_weights"]
    expected = dense_features(column, matrix, sparse)
    schema = schema_of(weighted, combiner)
    for inputs in (padded, sparse, ragged):
        np.testing.assert_allclose(
            ours(column, matrix, inputs, schema), expected, rtol=1e-6, atol=1e-7
        )


@pytest.mark.parametrize("combiner", ["mean", "sum"])
def test_weights_of_zero_and_below(combiner):
    """DenseFeatures drops entries of weight 0 or less, but for sums; so do we."""
    with quiet_deprecations():
        column = fc.categorical_column_with_vocabulary_list("x", ["b", "a"])
        column = fc.weighted_categorical_column(column, "x_weights")
        column = embedded(column, combiner=combiner)
    matrix = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    rows, weights = [["b", "a"], ["a", "b"], ["a"]], [[0.0, 1.0], [-2.0, 3.0], [0.0]]
    sparse = {"x": as_sparse(rows, tf.string), "x_weights": as_sparse(weights, tf.float32)}
    padded = {"x": as_padded(rows, ""), "x_weights": as_padded(weights, 0.0).astype(np.float32)}
    result = ours(column, matrix, padded, schema_of(True, combiner))
    np.testing.assert_allclose(result, dense_features(column, matrix, sparse), rtol=1e-6)


def test_indicator_of_a_list_counts():
    with quiet_deprecations():
        column = fc.indicator_column(
            fc.categorical_column_with_vocabulary_list("x", ["b", "a"], num_oov_buckets=1)
        )
    expected = dense_features(column, None, {"x": as_sparse(LISTS, tf.string)})
    padded = {"x": as_padded(LISTS, "").astype(object)}
    result = ours(column, None, padded, schema_of(False, "mean"))
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(result[2], [0, 2, 1])


def test_sparse_and_ragged_lists_are_cut_to_the_length():
    column = fc.indicator_column(fc.categorical_column_with_vocabulary_list("x", ["b", "a"]))
    schema = schema_of(False, "mean", length=2)
    rows = [["a", "a", "b"], ["b"]]
    for inputs in ({"x": as_sparse(rows, tf.string)}, {"x": tf.ragged.constant(rows)}):
        np.testing.assert_array_equal(ours(column, None, inputs, schema), [[0, 2], [1, 0]])


def test_all_columns_in_one_layer(tmp_path):
    """Every kind side by side equals each alone: shared tables do not mix rows up."""
    with quiet_deprecations():
        columns, inputs, expected = [], {}, []
        for i, (make, values, rows) in enumerate(CASES.values()):
            if "file" in list(CASES)[i] or len(values) != 7:
                continue
            column = make(tmp_path)
            renamed = column._replace(key=f"x{i}") if hasattr(column, "key") else None
            if renamed is None:
                source = column.source_column._replace(key=f"x{i}")
                renamed = column._replace(source_column=source)
            dense = embedded(renamed, 3 if i % 2 else 5)
            matrix = np.random.default_rng(i).normal(size=(rows, 3 if i % 2 else 5))
            inputs[f"x{i}"] = tf.constant(values)
            columns.append((dense, matrix.astype(np.float32)))
            expected.append(
                dense_features(dense, columns[-1][1], {f"x{i}": inputs[f"x{i}"][:, None]})
            )
    layer = FeatureColumns([c for c, _ in columns])
    for column, matrix in columns:
        key = getattr(column.categorical_column, "key", None)
        layer.set_embedding(key or column.categorical_column.source_column.key, matrix)
    np.testing.assert_array_equal(layer(inputs), np.concatenate(expected, 1))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: fc.bucketized_column(
                fc.numeric_column("x", normalizer_fn=Standardize(1.0, 2.0)), [0.0, 1.0]
            ),
            "^columns: the source of bucketized 'x' must have no normalizer_fn; state the bound",
        ),
        (
            lambda: fc.categorical_column_with_vocabulary_list("x", ["a", "b"], default_value=1),
            "^columns: default_value of vocabulary column 'x' must be -1, received 1; use num_oov",
        ),
        (
            lambda: fc.categorical_column_with_identity("x", 3, default_value=2),
            "^columns: default_value of identity column 'x' must be None .*, received 2$",
        ),
    ],
)
def test_what_a_layer_would_do_otherwise_is_refused(make, told):
    with quiet_deprecations(), pytest.raises(ValueError, match=told):
        ours(embedded(make()), np.zeros((3, 3), np.float32), {"x": tf.constant([0])})
