"""Warnings while a run trains: said where something is wrong, and only there."""

import numpy as np
import pytest

from idefn_tf.evaluation import audit_labels
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.training_monitor import in_words
from pipelines.train import train

NOTHING = "no unclicked row was relabelled"


@pytest.fixture(scope="module")
def data(tmp_path_factory, simulated):
    folder = tmp_path_factory.mktemp("watch")
    return simulated(folder, 4000)


@pytest.mark.job
@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"kappa": 0.0, "transport": {"steps": 20}}, True),
        ({"kappa": 0.05, "transport": {"warmup_steps": 10_000, "steps": 20}}, False),
    ],
    ids=["kappa 0", "still warming up"],
)
def test_an_epoch_without_labels_is_told_unless_the_transport_warms_up(
    data, tmp_path, capsys, model, said
):
    config = Config.parse(
        {
            "method": "idefn",
            "model": model,
            "backbone": {"name": "mlp", "units": [8]},
            "training": {"batch_size": 512, "epochs": 1, "audit": False, "jit_compile": False},
        }
    )
    train(config, data.root, tmp_path / "run", Console(), evaluate=False)
    printed = capsys.readouterr()
    text = " ".join((printed.out + printed.err).split())
    assert (NOTHING in text) is said
    assert ("idefn never acted: training ended within its warm-up" in text) is not said


@pytest.mark.parametrize(
    ("relabelled", "truth", "said"),
    [
        ([1, 1, 0], [0, 0, 0], "precision not measurable: no unclicked row has a recorded"),
        ([0, 0, 0], [1, 0, 0], "so there is no label to measure"),
        ([1, 1, 0], [1, 0, 0], "1 of them recorded conversions: precision 0.5000, lift 1.5 ("),
    ],
)
def test_an_audit_in_words(relabelled, truth, said):
    found = audit_labels(np.array(relabelled, bool), np.zeros(3), np.array(truth))
    assert in_words(found).startswith(said)
    assert "nan" not in in_words(found)
