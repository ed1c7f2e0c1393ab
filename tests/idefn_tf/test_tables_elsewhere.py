"""Tables beyond an accelerator's memory: ``tf.device`` puts them elsewhere, training follows."""

import pytest

#: Two logical devices stand for an accelerator (CPU:0) and the host's memory (CPU:1).
SCRIPT = """
from idefn_tf.backbones import MLP
from idefn_tf.data import open_dataset
from idefn_tf.features import FeatureColumns
from idefn_tf.models import get_method
from idefn_tf.optimizers import RowSparseAdam
from idefn_tf.schema import Schema

schema = Schema.parse({
    "name": "t", "labels": {"click": "click", "conversion": "conversion"}, "embedding_width": 8,
    "features": [
        {"name": "u", "dtype": "int64", "side": "user", "kind": "identity", "num_buckets": 500},
        {"name": "i", "dtype": "int64", "side": "item", "kind": "identity", "num_buckets": 30},
    ]})
rng, n = np.random.default_rng(0), 640
click = (rng.random(n) < 0.4).astype(int)
frame = pd.DataFrame({"u": rng.integers(0, 500, n), "i": rng.integers(0, 30, n), "click": click,
                      "conversion": click * (rng.random(n) < 0.4)})

def fitted(place):
    keras.utils.set_random_seed(1)
    features = FeatureColumns.from_schema(schema, {})
    with tf.device(place):
        features.build()
    with tf.device("CPU:0"):
        model = get_method("esmm")(features, MLP([8, 4]))
        model.compile(RowSparseAdam(0.01, epsilon=1e-4), jit_compile=False)
        model.build()
    data = open_dataset(schema, frame, batch_size=64, shuffle=True)
    history = model.fit(data, epochs=2, verbose=0).history
    return model, history["loss"]

here, expected = fitted("CPU:0")
there, found = fitted("CPU:1")
np.testing.assert_allclose(found, expected, rtol=1e-5)
table, before = (m.features.tables["8"] for m in (there, here))
assert table.value.device.endswith("CPU:1"), table.value.device
assert all(v.value.device.endswith("CPU:0") for v in there.towers["cvr"].weights)
state = [v for v in there.optimizer.variables if v.path.endswith("_rows")]
assert {v.value.device[-5:] for v in state} == {"CPU:1"}
np.testing.assert_allclose(table.numpy(), before.numpy(), rtol=1e-4, atol=1e-6)
print("ALIKE")
"""


@pytest.mark.slow
def test_tables_and_their_moments_stay_where_they_are_put(on_two_devices):
    assert "ALIKE" in on_two_devices(SCRIPT)
