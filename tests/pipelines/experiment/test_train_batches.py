"""How a run deals its batches and says what it leaves uncompiled."""

import pytest

from idefn_tf.data import EpochClock
from pipelines import train
from pipelines.experiment.config import Config, Training


@pytest.fixture(scope="module")
def data(tmp_path_factory, simulated):
    folder = tmp_path_factory.mktemp("batches")
    return simulated(folder, 4000)


def config(**training):
    settings = {"batch_size": 256, "epochs": 1, **training}
    backbone = {"name": "mlp", "units": [8]}
    return Config.parse({"method": "esmm", "backbone": backbone, "training": settings})


def test_every_batch_of_a_run_holds_the_positives_that_its_config_asks_for(data):
    settings = config(positives_per_batch=100).training
    batches = list(train.open_train(data, settings, EpochClock()).as_numpy_iterator())
    assert batches
    for _, labels, weight in batches:
        assert labels["conversion"].sum() == 100
        assert weight.sum() == pytest.approx(len(weight), rel=1e-4)
    plain = list(train.open_train(data, config().training, EpochClock()).as_numpy_iterator())
    assert max(labels["conversion"].sum() for _, labels, _ in plain) < 100


def test_why_steps_are_not_compiled_is_said():
    assert train._why_not_compiled(Training(), 1) is None
    assert "off in the config" in train._why_not_compiled(Training(jit_compile=False), 1)
    assert "2 replicas share every step" in train._why_not_compiled(Training(), 2)


def test_a_config_refuses_a_count_below_one():
    with pytest.raises(ValueError, match="positives_per_batch"):
        config(positives_per_batch=0)
