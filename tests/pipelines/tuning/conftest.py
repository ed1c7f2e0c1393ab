"""What the tests of a search share: data, configs, a finished search, and other processes' ends."""

import csv
import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.tune import tune

BASE = {
    "method": "all_negative",
    "backbone": {"name": "mlp", "units": [8]},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.003},
    "training": {"batch_size": 512, "epochs": 2, "patience": 4, "jit_compile": False},
}
SPACE = {
    "optimizer.learning_rate": {"low": 0.001, "high": 0.03, "log": True, "steps": 4},
    "backbone.units": {"values": [[8], [16, 8]]},
    "features.embedding_width": {"values": [4, 8]},
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tune")


@pytest.fixture(scope="session")
def data(folder, simulated):
    return simulated(folder, 6000)


@pytest.fixture(scope="session")
def plain():
    """The experiment, without a space."""
    return BASE


@pytest.fixture(scope="session")
def config():
    """Makes a search's config; without arguments the one of `searched`."""

    def make(space=SPACE, **changes):
        tuning = {"space": space, **changes.pop("tuning", {})}
        return Config.parse({**BASE, **changes, "tuning": tuning})

    return make


@pytest.fixture(scope="session")
def config_file(folder):
    """The same config as a file."""
    path = folder / "search.yaml"
    value = {**BASE, "tuning": {"space": SPACE}}
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def searched(config, data, folder):
    """A finished search of two trials, left alone, within one process."""
    tune(config(), data.root, folder / "random", Console(quiet=True), trials=2, apart=False)
    return folder / "random"


@pytest.fixture(scope="session")
def rows():
    """Reads a search's trials.csv."""

    def read(out):
        with (out / "trials.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture(scope="session")
def trained_by():
    """Says which process trained each of a search's finished trials."""

    def read(out):
        return [json.loads(p.read_text())["process"] for p in out.glob("trials/*/run/trial.json")]

    return read


@pytest.fixture(scope="session")
def processes():
    """Who another process began, and whether one has ended, as Linux says it."""
    if not Path("/proc/self").exists():
        pytest.skip("reads /proc")

    def children(process):
        text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def gone(pid, seconds=90):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                return True
            if state == "Z":  # ended, and nobody has asked for its status
                return True
            time.sleep(0.02)
        return False

    return SimpleNamespace(children=children, gone=gone)
