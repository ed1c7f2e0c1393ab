"""Warnings while a run trains: said where something is wrong, and only there."""

import pytest

from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.train import train

NOTHING = "no unclicked row was relabelled"


@pytest.fixture(scope="module")
def data(tmp_path_factory, simulated):
    folder = tmp_path_factory.mktemp("watch")
    return simulated(folder, 4000)


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
    assert (NOTHING in " ".join((printed.out + printed.err).split())) is said
