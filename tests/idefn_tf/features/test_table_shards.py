"""Tables sharded to several shares give what whole tables give, and stay on their devices."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from idefn_tf.features import FeatureColumns
from idefn_tf.features.field import Field
from idefn_tf.features.table_shards import Shards

FIELDS = [
    Field("user", "identity", "int64", 4, known=20, table="user", side="user"),
    Field("tags", "identity", "int64", 4, known=7, table="tags", max_length=3, combiner="mean"),
    Field("item", "identity", "int64", 2, known=10, table="item", side="item"),
]
VALUES = {
    "user": tf.constant([0, 19, 7, -1], tf.int64),
    "tags": tf.constant([[0, 6, -1], [3, -1, -1], [-1, -1, -1], [1, 1, 2]], tf.int64),
    "item": tf.constant([9, 0, 77, 3], tf.int64),
}


@given(st.integers(1, 40), st.integers(1, 5))
def test_cutting_and_joining_are_inverse_and_rows_are_found_where_they_were_dealt(rows, count):
    shards, whole = Shards(count), np.arange(rows * 2.0).reshape(rows, 2)
    cut = shards.cut(whole)
    assert [len(part) for part in cut] == [shards.size(rows, k) for k in range(count)]
    np.testing.assert_array_equal(shards.join(cut), whole)
    asked = tf.range(rows)[:, None]
    found = np.zeros_like(whole)
    for part, local in zip(cut, shards.split(asked), strict=True):
        at = local.numpy()[:, 0]
        found += part[at] * (at > 0)[:, None]
    np.testing.assert_array_equal(found[1:], whole[1:])  # row 0 is the padding row
    assert (found[0] == 0).all() or count == 1


@pytest.mark.parametrize("count", [2, 3])
def test_a_dealt_layer_gives_what_the_whole_one_gives(count):
    whole = FeatureColumns(FIELDS, embedding_stddev=1.0)
    sharded = FeatureColumns(FIELDS, embedding_stddev=1.0, shards=count)
    expected = whole(VALUES)
    sharded.build()
    assert len(sharded.tables) == 2 * count
    for width in ("2", "4"):
        assert sharded.table(width).shape == whole.table(width).shape
        sharded.set_table(width, whole.table(width))
    np.testing.assert_allclose(sharded(VALUES), expected, rtol=1e-6)
    encoded = sharded.encode(VALUES)
    tf.nest.assert_same_structure(encoded, sharded.encoded_signature())
    assert set(encoded["rows"]) == set(sharded.tables)
    np.testing.assert_allclose(sharded(encoded), expected, rtol=1e-6)
    again = FeatureColumns.from_config(sharded.get_config())
    again.build()
    assert {n: t.shape for n, t in again.tables.items()} == {
        n: t.shape for n, t in sharded.tables.items()
    }
    matrix = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    whole.set_embedding("user", matrix)
    sharded.set_embedding("user", matrix)
    np.testing.assert_allclose(sharded(VALUES), whole(VALUES), rtol=1e-6)


@pytest.mark.parametrize("wrong", [0, True, [], "GPU:0", [1], 2.5])
def test_shards_are_a_number_or_devices(wrong):
    with pytest.raises(ValueError, match=r"shards: must be a whole number from 1 to \d+ or a list"):
        FeatureColumns(FIELDS, shards=wrong)


def test_a_device_that_is_not_there_is_refused_but_not_needed_to_load():
    with pytest.raises(ValueError, match=r"shards: \['CPU:7'\] must be among the devices \['CPU:"):
        FeatureColumns(FIELDS, shards=["CPU:0", "CPU:7"])
    config = {**FeatureColumns(FIELDS).get_config(), "shards": ["CPU:0", "GPU:7"]}
    assert FeatureColumns.from_config(config).shards == Shards(2)


def test_replicas_and_shards_exclude_each_other():
    with (
        tf.distribute.MirroredStrategy(["CPU:0"]).scope(),
        pytest.raises(ValueError, match=r"shards: must be 1 under a strategy"),
    ):
        FeatureColumns(FIELDS, shards=2)


#: A model on CPU:0 with its tables whole, and one whose tables are sharded to CPU:0 and CPU:1.
SCRIPT = """
from pipelines.experiment.checkpoint import capture

def curve(model, epochs):
    data = open_dataset(schema, frame, batch_size=64, shuffle=True)
    return model.fit(data, epochs=epochs, verbose=0).history["loss"]

def made(**options):
    keras.utils.set_random_seed(1)
    features = FeatureColumns.from_schema(schema, {}, **options)
    model = get_method("esmm")(features, MLP([8, 4]))
    # norms are clipped over all shares together; l2 acts on touched rows alone
    optimizer = RowSparseAdam(0.01, epsilon=1e-4, global_clipnorm=0.05, l2_rows=1e-3)
    model.compile(optimizer, jit_compile=bool(int(sys.argv[2])))
    model.build()
    return model

whole, sharded = made(), made(shards=["CPU:0", "CPU:1"])
sharded.features.set_table("8", whole.features.table("8"))
for name, tower in sharded.towers.items():
    tower.set_weights(whole.towers[name].get_weights())
np.testing.assert_allclose(curve(sharded, 2), curve(whole, 2), rtol=1e-5)
found, expected = (model.features.table("8")[1:] for model in (sharded, whole))  # 0 is nobody's
np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-6)
assert [t.value.device[-5:] for t in sharded.features.tables.values()] == ["CPU:0", "CPU:1"]
moments = [v.value for v in sharded.optimizer.variables if v.path.endswith("_rows")]
assert [m.device[-5:] for m in moments] == ["CPU:0", "CPU:1"]
assert [m.shape[0] for m in moments] == [267, 266]

# saved and loaded: the same scores, devices and moments; and taken up from a snapshot
features = open_dataset(schema, frame, batch_size=64, labels=False)
scores = sharded.predict(features, verbose=0)["cvr"]
sharded.save(sys.argv[1])
again = keras.saving.load_model(sys.argv[1])
np.testing.assert_array_equal(again.predict(features, verbose=0)["cvr"], scores)
assert again.features.shards.devices == ("CPU:0", "CPU:1")
assert [t.value.device[-5:] for t in again.features.tables.values()] == ["CPU:0", "CPU:1"]
other = made(shards=2)
other.optimizer.build(other.trainable_variables)
capture(sharded, 2, 0).restore(other)
curves = [curve(model, 1) for model in (sharded, again, other)]
np.testing.assert_allclose(curves[1:], [curves[0]] * 2, rtol=1e-6)
print("ALIKE")
"""


@pytest.mark.slow
@pytest.mark.parametrize("jit", [0, 1])
def test_training_on_two_devices_is_training_on_one(on_two_devices, toy_log, tmp_path, jit):
    assert "ALIKE" in on_two_devices(toy_log + SCRIPT, str(tmp_path / "sharded.keras"), str(jit))
