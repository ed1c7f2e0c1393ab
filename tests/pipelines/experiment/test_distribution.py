"""Several replicas, in one process and in two, give the loss curve of one with the same batch."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import tensorflow as tf
import yaml

from benchmarks.common.free_ports import free_addresses
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.distribution import Cluster, open_cluster
from pipelines.train import train

ROOT = Path(__file__).parents[3]
TRAINING = {"batch_size": 256, "epochs": 2, "jit_compile": False, "audit": False,
            "checkpoint": {"steps": 4}}  # fmt: skip
CONFIG = {
    "method": "escm2_ips",
    "backbone": {"name": "mlp", "units": [16, 8]},
    # epsilon well above rounding: Adam divides a gradient that is all rounding by its own size
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.003, "epsilon": 1e-4,
                  "l2_rows": 0.01},
    "training": TRAINING,
}  # fmt: skip
#: The transport matches each replica's unclicked rows against the positives of all.
IDEFN = {
    **CONFIG,
    "method": "idefn",
    "training": {**TRAINING, "epochs": 1},
    "model": {"kappa": 0.05, "transport": {"memory": 16, "capacity": 32, "steps": 30,
                                           "jit_compile": False}},
}  # fmt: skip
MIRRORED = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pipelines.train import main
sys.exit(main())
"""
#: What is a mean or a sum over all rows, whichever replica saw them.
COMPARED = ("loss", "ctr_loss", "val_loss", "val_all_funnel/cvr_auc", "val_clicked/cvr_auc",
            "all_funnel/ctr_auc", "clicked/cvr_logloss", "mean_cvr_unclicked")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory, simulated):
    folder = tmp_path_factory.mktemp("distribution")
    simulated(folder, 8000)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "idefn.yaml").write_text(yaml.safe_dump(IDEFN))
    return folder


@pytest.fixture(scope="module")
def alone(folder):
    train(Config.parse(CONFIG), folder / "data", folder / "alone", Console(quiet=True))
    return history(folder / "alone")


def history(out):
    with (out / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def same_curve(found, expected, names=COMPARED, within=1e-3):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for name in names:
            assert float(one[name]) == pytest.approx(float(other[name]), rel=within), name


@pytest.fixture
def start(folder, warm_processes):
    """Starts one process of a training."""

    def start(out, strategy, program=("-m", "pipelines.train"), config="config.yaml", **variables):
        arguments = ["--config", folder / config, "--data", folder / "data", "--out", out]
        return warm_processes.Popen(
            [sys.executable, *program, *map(str, arguments), "--no-report",
             "--set", f"training.strategy={strategy}"],
            cwd=ROOT,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    return start


@pytest.fixture
def start_workers(start):
    """Starts two processes that train together."""

    def start_workers(out, count=2):
        workers = free_addresses(count)
        tasks = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}}
                 for i in range(count)]  # fmt: skip
        return [start(out, "multi_worker", TF_CONFIG=json.dumps(task)) for task in tasks]

    return start_workers


def wait(processes, limit=300):
    said = []
    try:
        for process in processes:
            said.append(process.communicate(timeout=limit)[0])
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return [process.returncode for process in processes], said


def most_threads(processes, limit=300):
    """The most threads that one of them had, looked at until one ends."""
    most, end = 0, time.monotonic() + limit
    while all(process.poll() is None for process in processes) and time.monotonic() < end:
        for process in processes:
            with suppress(FileNotFoundError):
                most = max(most, len(os.listdir(f"/proc/{process.pid}/task")))
        time.sleep(0.05)
    return most


def wait_for(path, workers):
    end = time.monotonic() + 240
    while not path.exists():
        working = all(worker.poll() is None for worker in workers)
        if not working or time.monotonic() > end:
            pytest.fail(str(wait(workers, 1)))
        time.sleep(0.005)


@pytest.mark.slow
def test_two_replicas_in_one_process_give_the_curve_of_one(folder, alone, start):
    codes, said = wait([start(folder / "mirrored", "mirrored", ("-c", MIRRORED))])
    assert codes == [0], said[0]
    same_curve(history(folder / "mirrored"), alone)


@pytest.mark.slow
def test_the_transport_trains_on_two_replicas_almost_as_on_one(folder, start):
    quiet = Console(quiet=True)
    train(Config.parse(IDEFN), folder / "data", folder / "idefn_alone", quiet, evaluate=False)
    out = folder / "idefn"
    codes, said = wait([start(out, "mirrored", ("-c", MIRRORED), "idefn.yaml")])
    assert codes == [0], said[0]
    names = ("loss", "cvr_unclicked_loss", "pseudo_positives", "val_loss", "transport_positives")
    same_curve(history(out), history(folder / "idefn_alone"), names, within=0.1)


@pytest.mark.slow
def test_two_workers_give_the_curve_of_one_process(folder, alone, start_workers):
    out = folder / "workers"
    workers = start_workers(out)
    most = most_threads(workers)
    codes, said = wait(workers)
    assert codes == [0, 0], "\n".join(said)
    assert most < 500  # not one for every message between the workers, of which there are 1,000
    same_curve(history(out), alone)
    metrics = json.loads((out / "metrics.json").read_text())
    expected = json.loads((folder / "alone" / "metrics.json").read_text())
    for space in ("all_funnel", "clicked"):
        assert metrics["test"][space]["cvr_auc"] == pytest.approx(
            expected["test"][space]["cvr_auc"], abs=2e-3
        )


@pytest.mark.slow
def test_a_worker_that_dies_is_a_clear_error_and_the_run_goes_on(folder, alone, start_workers):
    out = folder / "lost"
    workers = start_workers(out)
    wait_for(out / "checkpoints" / "step.npz", workers)
    workers[1].send_signal(signal.SIGKILL)
    codes, said = wait(workers)
    assert codes == [75, -signal.SIGKILL], said[0]
    assert "another worker stopped or cannot be reached" in said[0]
    assert "Traceback" not in said[0]
    codes, said = wait(start_workers(out))
    assert codes == [0, 0], "\n".join(said)
    assert "resumes" in said[0]
    same_curve(history(out), alone)


@pytest.mark.slow
def test_sigterm_to_one_worker_saves_and_stops_all(folder, alone, start_workers):
    out = folder / "terminated"
    workers = start_workers(out)
    wait_for(out / "checkpoints" / "step.npz", workers)
    workers[1].send_signal(signal.SIGTERM)
    codes, said = wait(workers)
    assert codes == [143, 143], "\n".join(said)
    codes, said = wait(start_workers(out))
    assert codes == [0, 0], "\n".join(said)
    same_curve(history(out), alone)


@pytest.mark.parametrize(
    "text", ["", "{}", "nonsense", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}',
             '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 3}}']
)  # fmt: skip
def test_a_tf_config_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG"):
        open_cluster("multi_worker")


def test_a_batch_that_does_not_divide_is_refused():
    class Two:
        num_replicas_in_sync = 2

    Cluster(Two()).check_batch(64)
    with pytest.raises(ValueError, match="multiple of"):
        Cluster(Two()).check_batch(65)


def test_every_worker_opens_a_share_and_none_cuts_it_again():
    class Strategy:
        def distribute_datasets_from_function(self, share):
            context = type("Context", (), {"input_pipeline_id": 1, "num_input_pipelines": 2})()
            return share(context)

    second = Cluster(Strategy(), workers=2, index=1)
    assert (Cluster().shard, second.shard) == ((0, 1), (1, 2))
    batches = tf.data.Dataset.range(10).batch(5)
    whole = [b.tolist() for b in second.distribute(batches, sharded=True).as_numpy_iterator()]
    assert whole == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    cut = [b.tolist() for (b,) in second.distribute(batches).as_numpy_iterator()]
    assert cut == [[2, 3, 4], [7, 8, 9]]
