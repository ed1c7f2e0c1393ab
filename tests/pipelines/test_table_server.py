"""Tables on other processes: the loss curve of one process, and a clear end where one is lost."""

import csv
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from benchmarks.common.free_ports import free_addresses
from idefn_tf.export.run_files import read_vocabularies
from pipelines import table_server
from pipelines.cli.console import Console
from pipelines.experiment.build import build_model
from pipelines.experiment.config import Config
from pipelines.experiment.distribution import WORKER_LOST, WorkerLost, open_cluster
from pipelines.export import export
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import train

ROOT = Path(__file__).parents[2]
CONFIG = {
    "method": "esmm",
    "backbone": {"name": "mlp", "units": [16, 8]},
    "features": {"shards": 3},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.003, "epsilon": 1e-4},
    "training": {"batch_size": 256, "epochs": 4, "patience": 9, "audit": False},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, simulated):
    folder = tmp_path_factory.mktemp("servers")
    simulated(folder, 4000)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


@contextmanager
def training(folder, out, warm_processes):
    """Starts two servers and the chief; whatever is left of them is killed."""
    chief, *servers = free_addresses(3)
    cluster = {"chief": [chief], "ps": servers}
    words = ["--config", folder / "config.yaml", "--data", folder / "data", "--out", out]
    words += ["--no-report", "--set", "training.strategy=table_servers"]

    def start(kind, index, cluster, *words):
        task = {"cluster": cluster, "task": {"type": kind, "index": index}}
        return warm_processes.Popen(
            [sys.executable, "-m", *map(str, words)],
            cwd=ROOT,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CONFIG": json.dumps(task)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    started = [start("ps", i, cluster, "pipelines.table_server") for i in range(2)]
    started.append(start("chief", 0, cluster, "pipelines.train", *words))
    try:
        yield started[-1], started[:-1]
    finally:
        for process in started:
            process.kill()
            process.communicate()


def losses(run):
    with (run / "history.csv").open(newline="") as file:
        return [[float(row[n]) for n in ("loss", "val_loss")] for row in csv.DictReader(file)]


@pytest.mark.slow
def test_a_run_ends_as_with_tables_of_its_own_even_if_a_server_is_lost(folder, warm_processes):
    local = train(Config.parse(CONFIG), folder / "data", folder / "local", Console(quiet=True))
    out = folder / "served"
    with training(folder, out, warm_processes) as (chief, servers):
        while not (out / "checkpoints" / "state.json").is_file():
            assert chief.poll() is None, chief.stdout.read()[-3000:]
            time.sleep(0.05)
        servers[1].kill()
        said = chief.communicate(timeout=240)[0]
        assert chief.returncode == WORKER_LOST, said[-3000:]
        assert "one of 2 table servers stopped or cannot be reached" in said
    with training(folder, out, warm_processes) as (chief, _):
        said = chief.communicate(timeout=240)[0]
        assert chief.returncode == 0, said[-3000:]
    found = losses(out)
    assert len(found) == 4
    for one, other in zip(found, losses(local.root), strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    metrics = json.loads((out / "metrics.json").read_text())["test"]["clicked"]
    expected = json.loads(local.metrics_path.read_text())["test"]["clicked"]
    assert metrics["cvr_logloss"] == pytest.approx(expected["cvr_logloss"], rel=1e-3)
    # it is exported where no server is, and replayed there
    version = export(out, folder / "models" / "cvr", Console(quiet=True), rows=folder / "data")
    assert (version / "saved_model.pb").is_file()


def test_tables_are_dealt_to_the_servers_by_turns(folder):
    data = Prepared.open(folder / "data")
    learned = read_vocabularies(data.vocabularies)
    model = build_model(Config.parse(CONFIG), data.schema, learned, ["CPU:0"])
    assert model.features.shards.devices == ("CPU:0",) * 3
    # 120 million rows, their moments 34 numbers each: 16.3 GB in three shares of 5.4
    large = {n: {**v, "capacity": 40_000_000} for n, v in learned.items() if "values" in v}
    large = {**learned, **dict(list(large.items())[:3])}
    with pytest.raises(ValueError, match=r"features.shards: the moments of a .* at least 9, rec"):
        build_model(Config.parse(CONFIG), data.schema, large, ["CPU:0"])
    given = Config.parse({**CONFIG, "features": {"shards": ["CPU:0"]}})
    with pytest.raises(ValueError, match=r"features.shards: must be a number where table serv"):
        build_model(given, data.schema, learned, ["CPU:0"])


def test_a_server_that_does_not_answer_is_said(monkeypatch):
    cluster = {"chief": ["127.0.0.1:1"], "ps": ["127.0.0.1:2"]}
    task = {"cluster": cluster, "task": {"type": "chief", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    monkeypatch.setattr("pipelines.experiment.distribution._PATIENCE", 0.3)
    with pytest.raises(WorkerLost, match=r"table server 127.0.0.1:2 does not answer \(.*refused"):
        open_cluster("table_servers")


@pytest.mark.parametrize(
    ("task", "what"),
    [
        ({"type": "ps", "index": 0}, "must be {'type': 'chief', 'index': 0}, received 'ps' and 0"),
        ({"type": "ps", "index": 1}, r'it must look like .*"ps": \["host1:port", "host2:port"\]'),
        ({"type": "worker", "index": 0}, "it must look like"),
    ],
)
def test_a_task_that_does_not_fit_is_said(monkeypatch, task, what):
    cluster = {"chief": ["127.0.0.1:1"], "ps": ["127.0.0.1:2"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    with pytest.raises(ValueError, match=f"TF_CONFIG: .*{what}"):
        open_cluster("table_servers")
    chief = {"cluster": cluster, "task": {"type": "chief", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(chief))
    with pytest.raises(ValueError, match="a table server must be of type 'ps', received 'chief'"):
        table_server.serve()
