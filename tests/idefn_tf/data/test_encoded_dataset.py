"""Batches encoded by a layer: once in memory, piece by piece from a stream, or by a map."""

import copy

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from idefn_tf.data import encode_dataset, learn_vocabularies, open_dataset
from idefn_tf.data.encoding import EncodingPrograms
from idefn_tf.features import FeatureColumns
from idefn_tf.schema import Schema

SCHEMA = Schema.parse(
    {
        "name": "s",
        "labels": {"click": "click", "conversion": "conversion"},
        "embedding_width": 2,
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
            {"name": "city", "dtype": "string", "side": "user", "kind": "vocabulary"},
            {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric"},
            {"name": "tags", "dtype": "string", "side": "item", "kind": "vocabulary",
             "max_length": 3, "separator": ",", "min_count": 2},
        ],
    }
)  # fmt: skip


def frame(rows=70):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "user": rng.integers(-1, 9, rows),
            "city": rng.choice(["a", "b", ""], rows),
            "price": rng.normal(3.0, 2.0, rows),
            "tags": rng.choice(["x,y", "y", "", "x,z,y"], rows),
            "click": rng.integers(0, 2, rows),
            "conversion": rng.integers(0, 2, rows),
        }
    )


@pytest.fixture(scope="module")
def layer():
    return FeatureColumns.from_schema(SCHEMA, learn_vocabularies(SCHEMA, frame()))


def flat(dataset):
    return [tf.nest.flatten(element) for element in dataset.as_numpy_iterator()]


def same(one, other):
    one, other = flat(one), flat(other)
    assert len(one) == len(other) > 0
    for mine, yours in zip(one, other, strict=True):
        for a, b in zip(mine, yours, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def mapped(dataset, layer):
    return dataset.map(lambda features, *rest: (layer.encode(features), *rest))


@pytest.mark.parametrize("cache", [1_000, 10], ids=["held", "streamed"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_encoded_batches_are_the_raw_batches_encoded(layer, cache, shuffle, tmp_path, monkeypatch):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", cache)
    frame().to_parquet(tmp_path / "a.parquet")

    def opened(**more):
        return open_dataset(
            SCHEMA, tmp_path, batch_size=16, shuffle=shuffle, shuffle_rows=40, seed=5, **more
        )

    encoded = opened(encode=layer)
    assert layer.is_encoded(encoded.element_spec[0])
    assert int(encoded.cardinality()) == 5
    raw = mapped(opened(), layer)
    same(encoded, raw)
    same(encoded, raw)  # and the second epoch, in its own order


def test_rows_in_memory_are_encoded_once_whatever_is_made_of_the_data_set(layer):
    """`encode` runs when the data set is opened and never again: take, map and epochs pick rows."""
    asked = []

    class Counting:
        raw_names = layer.raw_names

        def encode(self, features):
            tf.py_function(lambda: asked.append(1), [], [])
            return layer.encode(features)

    opened = open_dataset(SCHEMA, frame(), batch_size=16, encode=Counting())
    assert asked == [1]
    changed = opened.map(lambda x, y, w: (x, y, w * 2.0)).take(3).prefetch(1)
    for _ in range(2):
        raw = mapped(open_dataset(SCHEMA, frame(), batch_size=16), layer)
        same(changed, raw.take(3).map(lambda x, y, w: (x, y, w * 2.0)))
    assert asked == [1]


@pytest.mark.parametrize("cache", [1_000, 10], ids=["held", "streamed"])
def test_the_users_id_stays_beside_what_is_encoded(layer, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", cache)
    frame().to_parquet(tmp_path / "a.parquet")
    schema = SCHEMA.model_copy(update={"user_key": "user"})
    encoded = [x for x, _, _ in open_dataset(schema, tmp_path, batch_size=16, encode=layer)]
    assert sorted(encoded[0]) == ["coefficients", "numbers", "rows", "user"]
    users = np.concatenate([batch["user"] for batch in encoded])
    np.testing.assert_array_equal(users, frame()["user"])
    np.testing.assert_array_equal(layer(encoded[0]).shape, [16, layer.output_width])


def test_a_mapped_data_set_keeps_its_map(layer):
    opened = open_dataset(SCHEMA, frame(), batch_size=16)
    changed = opened.map(lambda x, y, w: ({**x, "price": x["price"] + 1.0}, y, w * 2.0)).take(2)
    same(encode_dataset(changed, layer), mapped(changed, layer))


def test_features_alone(layer):
    bare_rows, options = frame().drop(columns="click"), {"labels": False, "batch_size": 16}
    opened = open_dataset(SCHEMA, bare_rows, **options)
    held = open_dataset(SCHEMA, bare_rows, encode=layer, **options)
    for (encoded,), (raw,) in zip(held, opened, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, encoded, layer.encode(raw))
    bare = opened.map(lambda x: x)
    encoded = next(iter(encode_dataset(bare, layer)))
    assert layer.is_encoded(encoded)


# -- vocabularies ---------------------------------------------------------------------------------


def test_learned_vocabularies_by_hand():
    rows = pd.DataFrame({
        "user": [5, 3, 3, -1, 9, None], "city": ["b", "a", None, "", "b", "a"],
        "price": [1.0, 3.0, np.nan, 5.0, 7.0, 9.0], "tags": ["x,y", "y", None, "z", "y,x", "x"],
    })  # fmt: skip
    learned = learn_vocabularies(SCHEMA, rows)
    # most frequent first, ties by value; absent values and those below min_count are left out
    assert learned["user"]["values"] == [3, 5, 9]
    assert learned["city"]["values"] == ["a", "b"]
    assert learned["tags"]["values"] == ["x", "y"]
    filled = np.array([1, 3, 5, 7, 9.0])  # a null price does not count
    assert learned["price"]["mean"] == pytest.approx(filled.mean())
    assert learned["price"]["std"] == pytest.approx(filled.std())


def test_vocabularies_of_tied_features_are_joined_and_cut():
    schema = Schema.parse(
        {
            "name": "s",
            "labels": {"click": "c", "conversion": "r"},
            "features": [
                {"name": "item", "dtype": "int64", "side": "item", "kind": "vocabulary",
                 "max_size": 2},
                {"name": "last", "dtype": "int64", "side": "user", "kind": "vocabulary",
                 "tied_to": "item"},
                {"name": "log", "dtype": "float32", "side": "user", "kind": "numeric",
                 "log1p": True},
                {"name": "raw", "dtype": "float32", "side": "user", "kind": "numeric",
                 "standardize": False},
            ],
        }
    )  # fmt: skip
    rows = pd.DataFrame({"item": [1, 2, 3], "last": [3, 3, 2], "log": [0.0, -4.0, np.e - 1],
                         "raw": [1.0, 2.0, 3.0]})  # fmt: skip
    learned = learn_vocabularies(schema, rows)
    assert set(learned) == {"item", "log", "raw"}
    assert learned["raw"]["mean"] == 2.0  # what a missing one becomes
    assert learned["item"]["values"] == [3, 2]
    assert learned["log"]["mean"] == pytest.approx(1 / 3)
    constant = learn_vocabularies(schema, rows.assign(log=0.0))
    assert constant["log"]["std"] == 1.0


class Scaled:
    """An encoder that may change between two data sets."""

    raw_names = ("price",)

    def __init__(self, scale):
        self.scale = scale

    def encode(self, features):
        numbers = features["price"][:, None] * self.scale
        return {"rows": {}, "coefficients": {}, "numbers": numbers}


class ScaledColumns(FeatureColumns):
    scale = 1.0

    def encode(self, features):
        encoded = super().encode(features)
        return encoded | {"numbers": encoded["numbers"] * self.scale}


def test_an_encoder_that_changed_encodes_anew():
    def first(encoder):
        batch = next(iter(open_dataset(SCHEMA, frame(), batch_size=8, encode=encoder)))
        return batch[0]["numbers"].numpy()

    encoder = Scaled(1.0)
    once = first(encoder)
    encoder.scale = 3.0
    np.testing.assert_array_equal(first(encoder), 3.0 * once)
    other = copy.copy(encoder)
    other.scale = 2.0
    np.testing.assert_array_equal(first(other), 2.0 * once)
    assert copy.deepcopy(encoder).scale == 3.0  # it can be copied after it was used
    vocabularies = learn_vocabularies(SCHEMA, frame())
    columns = ScaledColumns.from_schema(SCHEMA, vocabularies)
    once = first(columns)
    columns.scale = 5.0
    np.testing.assert_allclose(first(columns), 5.0 * once, rtol=1e-6)


def test_a_copy_of_a_layer_has_programs_of_its_own():
    columns = FeatureColumns.from_schema(SCHEMA, learn_vocabularies(SCHEMA, frame()))
    programs = EncodingPrograms.of(columns)
    assert EncodingPrograms.of(columns) is programs
    assert EncodingPrograms.of(copy.copy(columns)) is not programs
