"""Sequences in z: which events count, unknown ids, ties, too long ones, shards."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from idefn_tf.data import learn_vocabularies
from idefn_tf.encoders import ENCODERS
from idefn_tf.features import FeatureColumns
from idefn_tf.history import attach
from idefn_tf.schema import Schema
from idefn_tf.tables import look_ahead

ENCODER_NAMES = sorted(ENCODERS)
#: What the row of unknown items holds; id i holds [i, 10 i, 0, 0].
UNKNOWN = 100.0


@pytest.fixture(scope="module")
def layer(shop):
    """Means of events by hand: every id has a vector that tells it."""
    made = shop.features()
    made.build()
    ids = np.array([*shop.vocabularies["item"]["values"], UNKNOWN])
    made.set_embedding("item", np.stack([ids, 10 * ids, 0 * ids, 0 * ids], 1))
    brands = np.array(shop.vocabularies["brand"]["values"], float)
    made.set_embedding("brand", np.stack([brands, brands * 0 + 1], 1))
    made.set_embedding("clicks__gap", np.eye(4)[[3, 3, 3]] * [[1.0], [2.0], [3.0]])
    made.sequence_encoders["clicks"].empty.assign(np.arange(10.0))
    return made


def parts(layer, values):
    """Each part of the sequence's vector, in the order of items, brand, gap."""
    z, at = layer(values).numpy(), layer.field_slices()
    return [z[:, at[f"clicks__{name}"]] for name in ("item", "brand", "gap")]


def test_the_mean_of_the_events_that_are_there(layer, shop):
    items = [[5, 7, -1], [5, 5, 5], [-1, -1, -1]]
    brands = [[1, 3, -1], [0, 0, 3], [-1, -1, -1]]
    gaps = [[2, 0, -1], [1, 1, 1], [-1, -1, -1]]
    item, brand, gap = parts(layer, shop.values(items, brands, gaps))
    np.testing.assert_allclose(item, [[6, 60, 0, 0], [5, 50, 0, 0], [0, 1, 2, 3]])
    np.testing.assert_allclose(brand, [[2, 1], [1, 1], [4, 5]])
    np.testing.assert_allclose(gap, [[0, 0, 0, 2], [0, 0, 0, 2], [6, 7, 8, 9]])


def test_unknown_ids_are_events_with_the_unknown_row_or_zero(layer, shop):
    """77 is no item (the row of unknown ones) and no brand (`oov: zero`): the events count."""
    values = shop.values([[77, 5, -1], [77, -1, -1]], [[3, 77, -1], [77, -1, -1]])
    item, brand, gap = parts(layer, values)
    np.testing.assert_allclose(item[:, 0], [52.5, 100])
    np.testing.assert_allclose(brand, [[1.5, 0.5], [0, 0]])
    np.testing.assert_allclose(gap[:, 3], [1, 1])


def test_an_event_without_a_part_is_an_event(layer, shop):
    values = shop.values([[-1, 4, -1]], [[2, -1, -1]], [[0, 0, -1]])
    item, brand, _ = parts(layer, values)
    np.testing.assert_allclose(item, [[2, 20, 0, 0]])
    np.testing.assert_allclose(brand, [[1, 0.5]])


@pytest.mark.parametrize("form", ["ragged", "sparse"])
def test_of_more_events_the_newest_count(layer, shop, form):
    lists = tf.ragged.constant([[9, 1, 2, 3], [4]], tf.int64)
    given = lists if form == "ragged" else lists.to_sparse()
    zeros = {
        f"clicks__{name}": tf.ragged.constant([[0] * 4, [0]], tf.int64) for name in ("brand", "gap")
    }
    item, *_ = parts(layer, {**shop.values([[-1] * 3] * 2), **zeros, "clicks__item": given})
    np.testing.assert_allclose(item[:, 0], [2, 4])


def test_a_shorter_length_reads_the_newest_events_of_the_schema_s(layer, shop):
    """Of three kept events two, one, or none are there; the oldest of three is left out."""
    short = FeatureColumns.from_config({**layer.get_config(), "sequence_length": 2})
    short.build()
    short.set_weights(layer.get_weights())
    items = [[9, 5, 7], [5, -1, -1], [-1, -1, -1], [-1, 4, -1]]
    brands = [[2, 1, 3], [2, -1, -1], [-1, -1, -1], [2, -1, -1]]
    values = shop.values(items, brands, [[0, 2, 1], [1, -1, -1], [-1] * 3, [0, 0, -1]])
    item, brand, gap = parts(short, values)
    np.testing.assert_allclose(item[:, 0], [6, 5, 0, 2])
    np.testing.assert_allclose(brand[:, 0], [2, 2, 4, 1])
    np.testing.assert_allclose(gap[0], [0, 0, 0, 2.5])
    signature = short.encoded_signature()
    for found, said in zip(
        tf.nest.flatten(short.encode(values)), tf.nest.flatten(signature), strict=True
    ):
        assert said.is_compatible_with(found)
    whole = FeatureColumns.from_config({**layer.get_config(), "sequence_length": 50})
    whole.build()
    whole.set_weights(layer.get_weights())
    np.testing.assert_array_equal(whole(values), layer(values))
    packed = next(iter(look_ahead(tf.data.Dataset.from_tensors(short.encode(values)))))
    np.testing.assert_array_equal(short(packed), short(values))


def test_padded_sequences_of_another_length_are_refused(layer, shop):
    for wrong in (2, 4):
        more = {"clicks__item": tf.ones([1, wrong], tf.int64)}
        rule = rf"features: 'clicks__item' must hold 3 entries a row.*received {wrong}"
        with pytest.raises(ValueError, match=rule):
            layer({**shop.values([[1, 1, 1]]), **more})


def test_what_is_encoded_has_its_signature_and_gives_the_same_z(layer, shop):
    values = shop.values([[5, 7, -1], [-1, -1, -1]])
    encoded = layer.encode(values)
    for found, said in zip(
        tf.nest.flatten(encoded), tf.nest.flatten(layer.encoded_signature()), strict=True
    ):
        assert said.is_compatible_with(found)
    tf.nest.assert_same_structure(encoded, layer.encoded_signature())
    assert {k: v.shape[1:] for k, v in encoded["sequences"]["clicks"].items()} == {
        "4": (3, 2), "2": (3, 1),
    }  # fmt: skip
    np.testing.assert_array_equal(layer(encoded), layer(values))
    packed = next(iter(look_ahead(tf.data.Dataset.from_tensors(encoded))))
    assert "sequences" not in packed
    assert packed["events"]["clicks"]["places"].numpy().tolist() == [[0, 0], [0, 1]]
    np.testing.assert_array_equal(layer(packed), layer(values))


@pytest.mark.parametrize("encoder", ENCODER_NAMES)
def test_two_shares_give_what_whole_tables_give(shop, encoder):
    whole, sharded = shop.features(encoder), shop.features(encoder, shards=2)
    values = shop.values([[5, 7, 9], [5, 5, -1], [77, -1, -1], [-1, -1, -1]])
    expected = whole(values)
    sharded.build()
    for width in ("2", "4"):
        sharded.set_table(width, whole.table(width))
    for one, other in zip(
        whole.sequence_encoders["clicks"].variables,
        sharded.sequence_encoders["clicks"].variables,
        strict=True,
    ):
        other.assign(one)
    np.testing.assert_allclose(sharded(values), expected, rtol=1e-5, atol=1e-6)
    encoded = sharded.encode(values)
    tf.nest.assert_same_structure(encoded, sharded.encoded_signature())
    packed = next(iter(look_ahead(tf.data.Dataset.from_tensors(encoded))))
    np.testing.assert_allclose(sharded(packed), expected, rtol=1e-5, atol=1e-6)


def test_an_item_feature_that_is_tied_itself_and_a_gap_with_a_table_of_its_own():
    """`shown` reads `item`'s rows, and so do its events; nothing but gaps is 3 wide."""
    base = {"dtype": "int64", "side": "item", "kind": "identity"}
    schema = Schema.parse(
        {
            "name": "s",
            "embedding_width": 3,
            "labels": {"click": "c", "conversion": "v", "exposure_time": "at", "time_unit": "s"},
            "features": [
                {"name": "user", **base, "side": "user", "num_buckets": 4, "embedding": 2},
                {"name": "item", **base, "num_buckets": 9, "embedding": 2},
                {"name": "shown", **base, "tied_to": "item"},
            ],
            "sequences": [
                {"name": "seen", "key": "user", "condition": "exposed", "items": ["shown"],
                 "length": 2, "gap_hours": [1]},
            ],
        }
    )  # fmt: skip
    log = {"user": [1, 1, 2], "item": [3, 4, 5], "shown": [6, 7, 8], "c": 1, "v": 0}
    rows = attach(schema, pd.DataFrame({**log, "at": [10, 20, 30]}))
    assert rows["seen__shown"].tolist() == [[], [6], []]
    layer = FeatureColumns.from_schema(schema, learn_vocabularies(schema, rows))
    layer.build()
    layer.set_embedding("item", np.arange(18.0).reshape(9, 2))
    values = {name: tf.constant([i], tf.int64) for name, i in (("user", 1), ("item", 4))}
    values |= {"shown": tf.constant([7], tf.int64), "seen__shown": tf.constant([[6, -1]], tf.int64)}
    values["seen__gap"] = tf.constant([[0, -1]], tf.int64)
    z, at = layer(values).numpy()[0], layer.field_slices()
    assert z[at["seen__shown"]].tolist() == [12.0, 13.0]
    assert z[at["item"]].tolist() == [8.0, 9.0]
    assert z[at["shown"]].tolist() == [14.0, 15.0]
    np.testing.assert_array_equal(z[at["seen__gap"]], layer.table("3")[1])


def test_the_gradient_of_a_row_that_is_the_item_and_an_event_is_the_sum(layer, shop):
    """Of sum(z) in item 5: 1 as the item, 2/3 of two of three events, 0 in the row without."""
    values = shop.values([[5, 5, 7], [-1, -1, -1]], item=tf.constant([5, 7], tf.int64))
    with tf.GradientTape() as tape:
        tape.watch(layer.tables["4"].value)
        total = tf.reduce_sum(layer(values))
    gradient = tf.convert_to_tensor(tape.gradient(total, layer.tables["4"].value)).numpy()
    start = layer.row_range("item")[1]
    known = list(shop.vocabularies["item"]["values"])
    np.testing.assert_allclose(gradient[start + known.index(5)], 1 + 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(gradient[start + known.index(7)], 1 + 1 / 3, rtol=1e-6)
