"""Training on two replicas equals training on one: losses, metrics, weights, rows of tables."""

import pytest

from idefn_tf.models.replica_sums import greatest, replica_count, total

SCRIPT = """
from idefn_tf.backbones import MLP
from idefn_tf.data import open_dataset
from idefn_tf.features import FeatureColumns
from idefn_tf.models import get_method
from idefn_tf.optimizers import RowSparseAdagrad, RowSparseAdam
from idefn_tf.schema import Schema
from pipelines.experiment.distribution import Cluster, open_cluster

schema = Schema.parse({
    "name": "t", "labels": {"click": "click", "conversion": "conversion"}, "embedding_width": 8,
    "features": [
        {"name": "u", "dtype": "int64", "side": "user", "kind": "identity", "num_buckets": 50},
        {"name": "i", "dtype": "int64", "side": "item", "kind": "identity", "num_buckets": 30},
        {"name": "x", "dtype": "float32", "side": "context", "kind": "numeric",
         "standardize": False},
    ]})
rng, n = np.random.default_rng(0), 640
click = (rng.random(n) < 0.4).astype(int)
frame = pd.DataFrame({
    "u": rng.integers(0, 50, n), "i": rng.integers(0, 30, n),
    "x": rng.normal(size=n).astype("float32"), "click": click,
    "conversion": click * (rng.random(n) < 0.4),
    "sample_weight": rng.choice([0.5, 1.0, 2.0], n),
})
OPTIMIZERS = {
    "adagrad": lambda: RowSparseAdagrad(0.05, l2_rows=0.01),
    "adam": lambda: RowSparseAdam(0.01, epsilon=1e-3, weight_decay=0.01),
    "keras": lambda: keras.optimizers.Adagrad(0.05),
}

def fitted(cluster, method, optimizer):
    keras.utils.set_random_seed(1)
    with cluster.scope():
        model = get_method(method)(FeatureColumns.from_schema(schema, {}), MLP([8, 4]))
        model.compile(OPTIMIZERS[optimizer](), jit_compile=False)
        model.build()
    train = open_dataset(schema, frame, batch_size=64, shuffle=True, drop_remainder=True)
    held = open_dataset(schema, frame[:101], batch_size=64)  # a last batch that does not halve
    history = model.fit(
        cluster.distribute(model.prepare(train)),
        validation_data=cluster.distribute(model.prepare(held)), epochs=2, verbose=0,
    ).history
    return history, [v.numpy() for v in model.trainable_variables]

two = open_cluster("mirrored")
assert two.replicas == 2
for case in sys.argv[1:]:
    method, optimizer = case.split(":")
    (a, weights), (b, others) = fitted(Cluster(), method, optimizer), fitted(two, method, optimizer)
    assert set(a) == set(b)
    for name in a:
        tolerance = 2e-2 if name.endswith("_ks") else 1e-3
        np.testing.assert_allclose(b[name], a[name], rtol=tolerance, atol=1e-5, err_msg=name)
    for one, other in zip(weights, others, strict=True):
        if one.shape[0] == 81:  # the table; its row 0 is the padding row and is never read
            one, other = one[1:], other[1:]
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=2e-5, err_msg=case)
    print("ALIKE", case, flush=True)
"""


def test_outside_of_a_step_there_is_one_replica_and_nothing_to_add():
    assert replica_count() == 1
    assert total(3.0) == greatest(3.0) == 3.0


@pytest.mark.slow
def test_two_replicas_train_as_one(on_two_devices):
    cases = ["esmm:adagrad"]
    assert on_two_devices(SCRIPT, *cases).count("ALIKE") == len(cases)


PENALIZED = """
@keras.saving.register_keras_serializable("tests")
class Adds(keras.layers.Layer):
    def call(self, x):
        self.add_loss(2.0 * tf.reduce_mean(tf.square(x)))
        return x

def dense():
    return keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1))

told = []
for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
    keras.utils.set_random_seed(1)
    strategy = tf.distribute.MirroredStrategy(devices)
    with strategy.scope():
        features = FeatureColumns.from_schema(schema, {})
        model = get_method("esmm")(features, keras.Sequential([dense(), Adds()]))
        model.compile(
            keras.optimizers.SGD(0.5), jit_compile=False, loss_weights={"ctr_loss": 0.5},
            metrics={"ctr": "accuracy"}, weighted_metrics={"cvr": "auc"},
        )
    data = open_dataset(schema, frame, batch_size=64)
    history = model.fit(data, validation_data=data, epochs=2, verbose=0).history
    told.append({n: v for n, v in history.items() if not n.endswith("_ks")})
assert told[0]["regularization"][0] > 0.1
for name, values in told[0].items():
    np.testing.assert_allclose(told[1][name], values, rtol=1e-3, atol=1e-5, err_msg=name)
"""


def test_penalties_weights_and_metrics_of_compile_on_two_replicas(on_two_devices, toy_log):
    on_two_devices(toy_log + PENALIZED)
