"""Streaming metrics under tf.distribute: two replicas give what one process gives."""

import pytest

SCRIPT = """
from idefn_tf import metrics

class Scorer(keras.Model):
    def __init__(self):
        super().__init__()
        self.cvr, self.users = metrics.BinaryMetrics("cvr"), metrics.GAUC(30)

    def call(self, inputs):
        return inputs["p"]

    def test_step(self, data):
        inputs, y = data
        self.cvr.update_state(y, self(inputs))
        self.users.update_state(y, self(inputs), inputs["user"])
        return self.get_metrics_result()

rng = np.random.default_rng(0)
p = rng.random(801).astype("float32")
y = (rng.random(801) < p).astype("float32")
inputs = {"p": p, "user": rng.integers(0, 30, 801)}
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = Scorer()
    model.compile(jit_compile=False)
batches = tf.data.Dataset.from_tensor_slices((inputs, y)).batch(100)
two = model.evaluate(batches, verbose=0, return_dict=True)
alone, users = metrics.BinaryMetrics("cvr"), metrics.GAUC(30)
alone.update_state(y, p)
users.update_state(y, p, inputs["user"])
one = alone.result() | {"gauc": users.result()}
for key, value in one.items():
    np.testing.assert_allclose(two[key], value, rtol=1e-6, err_msg=key)
assert float(tf.reduce_sum(model.cvr.counts.value[:, :2])) == 801
print("ALIKE")
"""


@pytest.mark.slow
def test_two_replicas_count_every_row_once(on_two_devices):
    assert "ALIKE" in on_two_devices(SCRIPT)
