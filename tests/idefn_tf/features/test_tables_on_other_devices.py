"""Tables beyond an accelerator's memory: ``tf.device`` puts them elsewhere, training follows."""

import pytest

#: Two logical devices stand for an accelerator (CPU:0) and the host's memory (CPU:1).
SCRIPT = """
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
def test_tables_and_their_moments_stay_where_they_are_put(on_two_devices, toy_log):
    assert "ALIKE" in on_two_devices(toy_log + SCRIPT)
