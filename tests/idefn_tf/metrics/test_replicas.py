"""Streaming metrics under tf.distribute: two replicas give what one process gives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Logical devices must be set before TensorFlow starts, hence a process of its own.
PROGRAM = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
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
"""


@pytest.mark.slow
def test_two_replicas_count_every_row_once():
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
