"""What a batch becomes: absent, unknown and new values, tied tables, configs, errors."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.features import FeatureColumns, Field
from idefn_tf.features.lookup import FieldEncoder, look_up_array
from idefn_tf.schema import Schema

FAR = 10**15


def schema(*features, width=2):
    defaults = {"dtype": "int64", "side": "user", "kind": "vocabulary"}
    return Schema.parse(
        {
            "name": "s",
            "embedding_width": width,
            "labels": {"click": "c", "conversion": "r"},
            "features": [{**defaults, **f} for f in features],
        }
    )


def values(*known):
    return {"kind": "vocabulary", "values": list(known)}


def rows_of(feature, vocabulary, raw):
    """The rows [B, slots] and coefficients of one feature; row 1 is the field's first."""
    layer = FeatureColumns.from_schema(schema({"name": "x", **feature}), {"x": vocabulary})
    encoded = layer.encode({"x": tf.constant(raw)})
    coefficients = encoded["coefficients"].get("2")
    return encoded["rows"]["2"].numpy().tolist(), coefficients


# -- absent, unknown, new -------------------------------------------------------------------------


@pytest.mark.parametrize("known", [(7, 5), (7, FAR)], ids=["array", "hash table"])
def test_rows_of_a_vocabulary(known):
    """Row 1: unknown; then the known in order; -1 is absent: row 0, which counts nothing."""
    raw = np.int64([known[0], known[1], 6, -1, -2, 2**62, 0])
    rows, _ = rows_of({}, values(*known), raw)
    assert rows == [[2], [3], [1], [0], [1], [1], [1]]


def test_unknown_values_may_be_the_zero_vector():
    rows, _ = rows_of({"oov": "zero"}, values(7, 5), np.int64([7, 6, -1, 10**9]))
    assert rows == [[1], [0], [0], [0]]


def test_unknown_values_are_spread_over_several_rows():
    raw = np.int64([7, *range(100, 160), -1])
    rows, _ = rows_of({"oov_buckets": 4}, values(7, 5), raw)
    assert rows[0] == [5]
    assert {r for (r,) in rows[1:-1]} == {1, 2, 3, 4}
    assert rows[-1] == [0]


def test_text_known_unknown_and_absent():
    raw = np.array(["ü c", "never", "", "a"], object)
    rows, _ = rows_of({"dtype": "string"}, values("a", "ü c"), raw)
    assert rows == [[3], [1], [0], [2]]


def test_a_missing_value_other_than_minus_one_is_a_category():
    rows, _ = rows_of({"missing": -7}, values(-7, 3), np.int64([-7, 3, -1]))
    assert rows == [[2], [3], [0]]


def test_identity_out_of_range_is_the_zero_vector():
    feature = {"kind": "identity", "num_buckets": 3}
    rows, _ = rows_of(feature, {}, np.int64([0, 2, 3, -1, -5, 2**40]))
    assert rows == [[1], [3], [0], [0], [0], [0]]


def test_buckets_are_closed_below():
    feature = {"kind": "bucketized", "dtype": "float32", "boundaries": [0, 10], "missing": -1.0}
    rows, _ = rows_of(feature, {}, np.float32([-1, 0, 9.999, 10, 1e9]))
    assert rows == [[1], [2], [2], [3], [3]]


def test_headroom_lets_new_ids_in_without_moving_the_old():
    features = [{"name": "x", "headroom": 2}, {"name": "y"}]
    small = FeatureColumns.from_schema(schema(*features), {"x": values(7), "y": values(1, 2)})
    features[0]["headroom"] = 0
    grown = FeatureColumns.from_schema(schema(*features), {"x": values(7, 8, 9), "y": values(1, 2)})
    raw = {"x": tf.constant([7, 7], tf.int64), "y": tf.constant([1, 3], tf.int64)}
    np.testing.assert_array_equal(small.encode(raw)["rows"]["2"], grown.encode(raw)["rows"]["2"])
    assert small.row_range("y") == grown.row_range("y") == (5, 6, 8)
    assert (
        grown.encode({"x": tf.constant([9], tf.int64), "y": raw["y"][:1]})["rows"]["2"][0, 0] == 4
    )


def test_an_empty_vocabulary_knows_nothing():
    rows, _ = rows_of({}, values(), np.int64([3, -1]))
    assert rows == [[1], [0]]


def test_an_absent_value_gives_zeros_and_trains_nothing():
    layer = FeatureColumns.from_schema(schema({"name": "x"}), {"x": values(7, 5)})
    raw = {"x": tf.constant([7, -1], tf.int64)}
    encoded = layer.encode(raw)
    layer.build()
    gathered = layer.gather(encoded)
    with tf.GradientTape() as tape:
        tape.watch(gathered)
        z = layer.combine(gathered, encoded)
    gradient = tape.gradient(z, gathered)["2"]
    assert np.all(z.numpy()[1] == 0)
    assert np.any(z.numpy()[0] != 0)
    np.testing.assert_array_equal(gradient[:, 0], [[1, 1], [0, 0]])


def test_a_number_that_is_none_counts_as_the_mean():
    layer = FeatureColumns([Field("p", "numeric", "float32", 1, mean=3.0, std=2.0, table="p")])
    z = layer({"p": tf.constant([5.0, float("nan"), float("inf"), 3.0])})
    np.testing.assert_array_equal(z, [[1.0], [0.0], [0.0], [0.0]])


# -- lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("combiner", "expected"),
    [("mean", [0.25, 0.75, 0.0]), ("sum", [1.0, 3.0, 0.0]),
     ("sqrtn", [1 / np.sqrt(10), 3 / np.sqrt(10), 0.0])],
)  # fmt: skip
def test_coefficients_of_a_weighted_list(combiner, expected):
    feature = {"name": "x", "max_length": 3, "weights": "w", "combiner": combiner}
    layer = FeatureColumns.from_schema(schema(feature), {"x": values(7, 5)})
    encoded = layer.encode({
        "x": tf.constant([[7, 6, -1], [-1, -1, -1]], tf.int64),
        "x_weights": tf.constant([[1.0, 3.0, 9.0], [0.0, 0.0, 0.0]]),
    })  # fmt: skip
    np.testing.assert_array_equal(encoded["rows"]["2"], [[2, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(encoded["coefficients"]["2"], [expected, [0, 0, 0]], rtol=1e-6)


# -- one layer, many fields -----------------------------------------------------------------------

MIXED = schema(
    {"name": "tags", "dtype": "string", "max_length": 2},
    {"name": "near"},
    {"name": "hour", "kind": "identity", "num_buckets": 24, "side": "context"},
    {"name": "far", "embedding": 3},
    {"name": "text", "dtype": "string", "side": "item"},
    {"name": "price", "dtype": "float32", "kind": "numeric", "side": "item"},
    {"name": "near2", "tied_to": "near", "side": "item"},
    {"name": "hashed", "kind": "hash", "num_buckets": 9, "side": "item", "embedding": 3},
)
LEARNED = {
    "tags": values("x", "y"),
    "near": values(4, 2, 9),
    "far": values(FAR, 3),
    "text": values("a"),
    "price": {"kind": "numeric", "mean": 1.0, "std": 2.0},
}
RAW = {
    "tags": np.array([["x", "y"], ["y", ""], ["", ""]], object),
    "near": np.int64([4, 9, -1]),
    "hour": np.int64([0, 23, 24]),
    "far": np.int64([FAR, 3, 5]),
    "text": np.array(["a", "b", ""], object),
    "price": np.float32([1, 3, 5]),
    "near2": np.int64([2, 9, 100]),
    "hashed": np.int64([1, 2, -1]),
}


def batch(names=RAW):
    return {name: tf.constant(RAW[name]) for name in names}


def test_z_is_user_then_item_then_context_block():
    layer = FeatureColumns.from_schema(MIXED, LEARNED)
    names = [f.name for f in layer.fields]
    assert names == ["tags", "near", "far", "text", "price", "near2", "hashed", "hour"]
    z = layer(batch()).numpy()
    assert z.shape == (3, layer.output_width) == (3, 2 + 2 + 3 + 2 + 1 + 2 + 3 + 2)
    slices = layer.field_slices()
    tables = {width: np.array(table) for width, table in layer.tables.items()}

    def row(name, offset):
        start, known, _ = layer.row_range(name)
        field = next(f for f in layer.fields if f.name == name)
        return tables[str(field.width)][(start if offset is None else known + offset)]

    expected = {
        "tags": [(row("tags", 0) + row("tags", 1)) / 2, row("tags", 1), np.zeros(2)],
        "near": [row("near", 0), row("near", 2), np.zeros(2)],
        "near2": [row("near", 1), row("near", 2), row("near", None)],
        "hour": [row("hour", 0), row("hour", 23), np.zeros(2)],
        "far": [row("far", 0), row("far", 1), row("far", None)],
        "text": [row("text", 0), row("text", None), np.zeros(2)],
        "price": [[0.0], [1.0], [2.0]],
    }
    for name, values_ in expected.items():
        np.testing.assert_allclose(z[:, slices[name]], values_, rtol=1e-6, err_msg=name)
    assert np.all(z[2, slices["hashed"]] == 0)
    assert np.all(z[:2, slices["hashed"]] != 0)


def test_encoding_apart_gives_the_same_z_and_its_signature():
    layer = FeatureColumns.from_schema(MIXED, LEARNED)
    encoded = layer.encode(batch())
    signature = layer.encoded_signature()
    tf.nest.assert_same_structure(signature, encoded)
    pairs = zip(tf.nest.flatten(signature), tf.nest.flatten(encoded), strict=True)
    assert all(spec.is_compatible_with(tensor) for spec, tensor in pairs)
    np.testing.assert_array_equal(layer(encoded), layer(batch()))
    compiled = tf.function(layer.combine, jit_compile=True)
    np.testing.assert_allclose(compiled(layer.gather(encoded), encoded), layer(batch()), rtol=1e-6)


def test_column_and_flat_shapes_are_alike():
    layer = FeatureColumns.from_schema(MIXED, LEARNED)
    column = {n: t if t.shape.rank == 2 else t[:, None] for n, t in batch().items()}
    np.testing.assert_array_equal(layer(column), layer(batch()))


def test_narrow_integers_are_widened():
    layer = FeatureColumns.from_schema(MIXED, LEARNED)
    narrow = {**batch(), "near": tf.constant([4, 9, -1], tf.int32)}
    np.testing.assert_array_equal(layer(narrow), layer(batch()))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 30), min_size=1, max_size=20))
def test_fields_encoded_together_equal_each_alone(raw):
    fields = [
        Field("a", "vocabulary", "int64", 2, 3, 1, values=(4, 2, 9), table="a"),
        Field("i", "identity", "int64", 2, 20, table="i"),
        Field("f", "vocabulary", "int64", 2, 2, 1, values=(FAR, 3), table="f"),
        Field("z", "vocabulary", "int64", 2, 2, 0, values=(0, 11), table="z"),
        Field("m", "vocabulary", "int64", 2, 2, 3, values=(0, 11), table="m"),
    ]
    layer = FeatureColumns(fields)
    tensor = tf.constant(np.array(raw, np.int64))
    together = layer.encode({f.name: tensor for f in fields})["rows"]["2"].numpy()
    for i, field in enumerate(fields):
        start, _, _ = layer.row_range(field.name)
        alone, coefficients = FieldEncoder(field, start)(tensor, None)
        np.testing.assert_array_equal(together[:, i], alone[:, 0], err_msg=field.name)
        np.testing.assert_array_equal(together[:, i] > 0, coefficients[:, 0] > 0)


def test_look_up_arrays_are_for_small_integers_only():
    def field(*known):
        return Field("x", "vocabulary", "int64", 2, len(known), 1, values=known)

    assert look_up_array(field(3, 0)).tolist() == [1, -1, -1, 0]
    assert look_up_array(field(-3, 1)) is None
    assert look_up_array(field(1, 5_000_000)) is None
    assert look_up_array(Field("x", "identity", "int64", 2, 5)) is None


# -- configs --------------------------------------------------------------------------------------


def test_config_round_trip_through_json():
    layer = FeatureColumns.from_schema(MIXED, LEARNED, embedding_stddev=0.3, name="mine")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(config)
    assert again.fields == layer.fields
    assert again.get_config() == layer.get_config()
    layer.build()
    again.build()
    for width, table in again.tables.items():
        table.assign(layer.tables[width])
    np.testing.assert_array_equal(again(batch()), layer(batch()))


def test_mixed_precision_leaves_raw_values_and_tables_alone():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = FeatureColumns([Field("p", "numeric", "float32", 1, table="p")])
        z = layer({"p": tf.constant([16777215.0])})
    finally:
        keras.config.set_dtype_policy("float32")
    assert z.dtype == tf.float32
    assert float(z[0, 0]) == 16777215.0


# -- errors ---------------------------------------------------------------------------------------


def refuses(message, call):
    with pytest.raises(ValueError, match=message):
        call()


def test_errors_of_a_batch():
    layer = FeatureColumns.from_schema(MIXED, LEARNED)
    layer.build()
    refuses("'near' is missing from the batch", lambda: layer.encode(batch(set(RAW) - {"near"})))
    wrong = {**batch(), "near": tf.constant(["4", "9", "x"])}
    refuses("'near' must be int64, received string", lambda: layer.encode(wrong))
    wrong = {**batch(), "text": tf.constant([1, 2, 3])}
    refuses("'text' must be string, received int32", lambda: layer.encode(wrong))


def test_errors_of_construction():
    near = Field("x", "identity", "int64", 2, 3, table="x")
    refuses("at least one column", lambda: FeatureColumns([]))
    refuses("names must be unique", lambda: FeatureColumns([near, near]))
    tied = Field("y", "identity", "int64", 2, 3, table="nobody")
    refuses("tied to 'nobody'", lambda: FeatureColumns([near, tied]))
    refuses("needs the values of .tags.", lambda: FeatureColumns.from_schema(MIXED, {}))
    layer = FeatureColumns([near])
    refuses(r"must have shape \(3, 2\)", lambda: layer.set_embedding("x", np.zeros((2, 2))))
