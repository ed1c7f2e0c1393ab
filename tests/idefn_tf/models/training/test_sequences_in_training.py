"""Training with behaviour sequences: gradients, optimizers, saved files, methods, replicas, fit."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP, DCNv2, DeepFM
from idefn_tf.data import open_dataset
from idefn_tf.encoders import ENCODERS
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM, METHODS
from idefn_tf.models.trunks import TRUNKS
from idefn_tf.optimizers import RowSparseAdam
from idefn_tf.tables import look_ahead

ENCODER_NAMES = sorted(ENCODERS)
Adam = keras.optimizers.Adam


@pytest.fixture(scope="module")
def data(shop):
    """Batches of 24 of the rows with history, raw."""
    return open_dataset(shop.schema, shop.rows, batch_size=24)


def made(shop, encoder="din", method=ESMM, backbone=None, **options):
    keras.utils.set_random_seed(7)
    return method(shop.features(encoder), backbone or MLP((4,), batch_norm=False), **options)


def fitted(shop, data, optimizer, encoder, jit=False, **fit):
    model = made(shop, encoder)
    model.compile(optimizer, jit_compile=jit)
    history = model.fit(data, verbose=0, **fit).history
    return model, history


def trained(model):
    """All but the biases of attention's keys, which a softmax ignores: Adam moves them by noise."""
    return [np.array(v) for v in model.trainable_variables if not v.path.endswith("key/bias")]


@pytest.mark.parametrize("encoder", ENCODER_NAMES)
def test_a_step_of_sgd_is_the_gradient_of_dense_tables(shop, data, encoder):
    """The step packs, merges and scatters; a tape over whole tables does none of it.

    The greatest number is no brand: it has the zero vector, and its events no row in one table.
    """
    model = made(shop, encoder)
    model.compile(keras.optimizers.SGD(1.0), jit_compile=False, run_eagerly=True)
    model.build_all()
    features, labels, weight = next(iter(data))
    brands = features["clicks__brand"]
    features = {**features, "clicks__brand": tf.where(brands == 2, tf.int64.max, brands)}
    variables = [v.value for v in model.trainable_variables]
    before = [np.array(v) for v in variables]
    encoded, batch = model._unpack((features, labels, weight), training=True)
    with tf.GradientTape() as tape:
        outputs = model.forward(model.features(encoded), training=True)
        loss = tf.add_n(list(model.named_losses(outputs, batch).values()))
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    model.train_on_batch(features, labels, weight)
    moved = 0
    for value, old, gradient in zip(variables, before, gradients, strict=True):
        gradient = tf.convert_to_tensor(gradient).numpy()
        np.testing.assert_allclose(old - value.numpy(), gradient, atol=1e-6)
        moved += int(np.any(gradient))
    assert moved >= len(variables) - 1  # the attention may have a part without influence


@pytest.mark.job
@pytest.mark.parametrize("encoder", ENCODER_NAMES)
def test_row_sparse_adam_is_dense_adam_ahead_and_in_the_step(shop, data, encoder):
    outcomes = []
    for optimizer in (RowSparseAdam(0.02), Adam(0.02, epsilon=1e-8)):
        model, _ = fitted(shop, data, optimizer, encoder, epochs=2)
        outcomes.append(trained(model))
    model = made(shop, encoder)  # batch by batch: nothing is packed ahead
    model.compile(RowSparseAdam(0.02), jit_compile=False)
    for _ in range(2):
        for batch in data:
            model.train_on_batch(*batch)
    model._catch_up()
    outcomes.append(trained(model))
    for other in outcomes[1:]:
        for one, value in zip(outcomes[0], other, strict=True):
            np.testing.assert_allclose(one, value, atol=2e-4)


@pytest.mark.job
@pytest.mark.parametrize("encoder", ENCODER_NAMES)
def test_a_saved_model_predicts_and_trains_on_as_if_nothing_had_been(shop, data, encoder, tmp_path):
    model, _ = fitted(shop, data, RowSparseAdam(0.02), encoder)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for one, other in zip(
        model.predict(data, verbose=0).values(), again.predict(data, verbose=0).values(),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(one, other)
    losses = [m.fit(data, verbose=0).history["loss"] for m in (model, again)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_takes_sequences(shop, data, name):
    options = {}
    if name in TRUNKS:
        options["trunk"] = TRUNKS[name](expert_units=(4,), tower_units=(4,))
    model = made(shop, "mean", METHODS[name], **options)
    model.compile(RowSparseAdam(0.01), jit_compile=False)
    features, labels, weight = next(iter(data))
    more = dict.fromkeys(model.extra_labels, labels["conversion"])
    before = np.array(model.features.build() or model.features.table("4"))
    found = model.train_on_batch(features, {**labels, **more}, weight, return_dict=True)
    assert np.isfinite(found["loss"])
    assert np.any(before != model.features.table("4"))


@pytest.mark.job
@pytest.mark.parametrize("backbone", [DCNv2, DeepFM])
def test_every_backbone_takes_sequences(shop, data, backbone):
    """DeepFM asks for one width, so brands are as wide as items here."""
    fields = [replace(f, width=4) if f.width == 2 else f for f in shop.features().fields]
    model = ESMM(FeatureColumns(fields, encoder="din"), backbone((4,)))
    model.compile(RowSparseAdam(0.01), jit_compile=False)
    assert np.isfinite(model.fit(data, verbose=0).history["loss"][0])


@pytest.mark.job
@pytest.mark.parametrize("encoder", ENCODER_NAMES)
def test_mixed_precision(shop, data, encoder):
    outcomes = {}
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            _, outcomes[policy] = fitted(shop, data, RowSparseAdam(0.01), encoder, epochs=2)
        finally:
            keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(
        outcomes["mixed_bfloat16"]["loss"], outcomes["float32"]["loss"], rtol=0.03
    )


@pytest.mark.job
def test_what_is_attached_trains_from_encoded_rows_as_from_raw_ones(shop, data):
    model, history = fitted(shop, data, RowSparseAdam(0.02), "din", epochs=3)
    other = made(shop, "din")
    other.compile(RowSparseAdam(0.02), jit_compile=False)
    encoded = open_dataset(shop.schema, shop.rows, batch_size=24, encode=other.features)
    again = other.fit(encoded, validation_data=data, epochs=3, verbose=0).history
    np.testing.assert_allclose(history["loss"], again["loss"], rtol=1e-6)
    assert history["loss"][2] < history["loss"][0]
    assert again["val_loss"][0] != again["val_loss"][2]
    scores = [m.predict(data, verbose=0)["cvr"] for m in (model, other)]
    np.testing.assert_allclose(*scores, rtol=1e-5)


@pytest.mark.xla
def test_any_number_of_events_asks_for_few_programs(shop):
    """40 batches with 1 to 40 events: what XLA is given has two sizes at most, and no dimension
    of events; it is traced once."""
    model = made(shop, "din")
    model.compile(RowSparseAdam(0.02))
    model.build_all()
    rng = np.random.default_rng(0)

    def batches():
        for size in rng.permutation(np.arange(1, 41)):
            items = np.full((40, 3), -1)
            items.ravel()[:size] = rng.integers(0, 10, size)
            label = tf.constant(rng.integers(0, 2, 40), tf.float32)
            yield shop.values(items), {"click": label, "conversion": label}, tf.ones([40])

    signature = tf.nest.map_structure(
        lambda v: tf.TensorSpec([None, *v.shape[1:]], v.dtype), next(iter(batches()))
    )
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(40))
    sizes, events = set(), set()
    for encoded, *_ in look_ahead(model.prepare(dataset)):
        found = encoded["distinct"]
        sizes |= {(w, one["rows"].shape[0], *one["position"].shape) for w, one in found.items()}
        events |= {len(encoded["events"]["clicks"]["places"])}
    assert events == set(range(1, 41))
    assert len(sizes) <= 4  # two tables
    model.fit(dataset, verbose=0)
    for program in (model._step._losses_and_gradients, model._step._combine):
        assert program.experimental_get_tracing_count() == 1


def test_two_replicas_train_as_one(on_two_devices):
    """Each replica packs its own half of every batch; the first has no event at all."""
    said = on_two_devices("""
from idefn_tf.backbones import MLP
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM
from idefn_tf.optimizers import RowSparseAdam
from idefn_tf.tables import look_ahead
from idefn_tf.schema import Schema

base = {"dtype": "int64", "kind": "identity", "num_buckets": 20}
schema = Schema.parse({
    "name": "t", "embedding_width": 4,
    "labels": {"click": "c", "conversion": "v", "exposure_time": "at"},
    "features": [{"name": "u", "side": "user", **base}, {"name": "i", "side": "item", **base}],
    "sequences": [{"name": "s", "key": "u", "condition": "clicked", "items": ["i"], "length": 3}],
})
rng, n = np.random.default_rng(0), 64
events = np.where(np.arange(3) < rng.integers(0, 4, n)[:, None], rng.integers(0, 20, (n, 3)), -1)
events[:8] = -1
click = (rng.random(n) < 0.5).astype("float32")
rows = {"u": rng.integers(0, 20, n), "i": rng.integers(0, 20, n), "s__i": events}
labels = {"click": click, "conversion": click * (rng.random(n) < 0.5).astype("float32")}

def train(strategy):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        features = FeatureColumns.from_schema(schema, {}, encoder="din", embedding_stddev=0.5)
        model = ESMM(features, MLP((4,), batch_norm=False))
        model.compile(RowSparseAdam(0.02))
    data = tf.data.Dataset.from_tensor_slices((rows, labels, np.ones(n, "float32"))).batch(16)
    losses = model.fit(data, epochs=3, verbose=0).history["loss"]
    encoder = model.features.sequence_encoders["s"]
    return losses, np.array(model.features.table("4")), np.array(encoder.of_product)

one = train(tf.distribute.get_strategy())
two = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
for a, b in zip(one, two):
    np.testing.assert_allclose(a, b, atol=1e-5)
print("alike", len(one[0]))
""")
    assert said.split()[-2:] == ["alike", "3"]
