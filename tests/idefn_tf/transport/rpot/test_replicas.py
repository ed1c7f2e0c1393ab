"""Two replicas match against the positives of both; in a process with two virtual devices."""

SCRIPT = """
from idefn_tf.transport import RPOT

rng = np.random.default_rng(0)
z = rng.normal(size=(2, 40, 5)).astype("float32")
click = np.zeros((2, 40), "float32")
click[0, :2] = 1  # replica 0 has two positives, replica 1 has three
click[1, :3] = 1
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = RPOT(kappa=0.2, capacity=4, jit_compile=False)
    layer.build((None, 5))

def dealt(value):
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(value[context.replica_id_in_sync_group])
    )

def one(z, click):
    found = layer(z, click, click, training=False)
    return found.positives, found.labels, found.matched_fraction

run = tf.function(lambda z, c: strategy.run(one, args=(z, c)))
positives, labels, fraction = (
    [part.numpy() for part in strategy.experimental_local_results(value)]
    for value in run(dealt(z), dealt(click))
)
assert [float(p) for p in positives] == [5.0, 5.0], positives
assert layer.warming_up  # no step of training yet, on any replica

# what one process finds for each half when it is shown all five positives
tf.config.run_functions_eagerly(True)
alone = RPOT(kappa=0.2, capacity=8)
alone.build((None, 5))
every = np.concatenate([z[0, :2], z[1, :3]])
for half in range(2):
    rows = np.concatenate([every, z[half][click[half] == 0]])
    mark = np.r_[np.ones(5), np.zeros(len(rows) - 5)].astype("float32")
    expected = alone(tf.constant(rows), tf.constant(mark), tf.constant(mark))
    unclicked = click[half] == 0
    np.testing.assert_allclose(
        fraction[half][unclicked], expected.matched_fraction.numpy()[5:], atol=5e-3
    )
    assert labels[half].sum() == expected.labels.numpy().sum() == 7
    chosen = labels[half][unclicked] > 0  # equal fractions may be told apart by their last digit
    lowest = np.sort(expected.matched_fraction.numpy()[5:])[-7]
    assert (expected.matched_fraction.numpy()[5:][chosen] >= lowest - 5e-3).all()
print("ALIKE")
"""


def test_every_replica_sees_the_positives_of_all(on_two_devices):
    assert on_two_devices(SCRIPT).strip().endswith("ALIKE")
