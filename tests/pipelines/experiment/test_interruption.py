"""Runs that are killed or told to stop, in processes of their own, end as if left alone."""

import csv
import errno
import gc
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from idefn_tf.export.run_files import read_vocabularies
from pipelines.experiment import checkpoint
from pipelines.experiment.build import build_model
from pipelines.experiment.checkpoint import Snapshot
from pipelines.experiment.config import Config

ROOT = Path(__file__).parents[3]
CONFIG = {
    # everything that has a state: a memory, spies drawn at random, moments, dropout
    "method": "idefn",
    "model": {
        "kappa": 0.05,
        "transport": {"memory": 32, "label_value": "calibrated", "capacity": 32, "steps": 30,
                      "jit_compile": False},
    },
    "backbone": {"name": "mlp", "units": [16, 8], "dropout": 0.1},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.003, "l2_rows": 0.01},
    "training": {
        "batch_size": 256, "epochs": 3, "patience": 3, "jit_compile": False,
        "checkpoint": {"steps": 3},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory, simulated):
    folder = tmp_path_factory.mktemp("resume")
    simulated(folder, 8000)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


def start(starter, folder, out):
    """A run; `starter` is subprocess, or what starts one with TensorFlow imported already."""
    arguments = ["--config", folder / "config.yaml", "--data", folder / "data", "--out", out]
    return starter.Popen(
        [sys.executable, "-m", "pipelines.train", *map(str, arguments), "--no-report"],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(starter, folder, out):
    process = start(starter, folder, out)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def when(process, ready, limit=240.0):
    """Waits for something on disk while the process lives."""
    end = time.monotonic() + limit
    while not ready():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.002)


def outcome(out):
    """All numbers of a run by name, as written."""
    with (out / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    with (out / "audit.csv").open(newline="") as file:
        audit = list(csv.DictReader(file))
    rows = {f"history {i} {k}": v for i, row in enumerate(history) for k, v in row.items()}
    rows |= {f"audit {i} {k}": v for i, row in enumerate(audit) for k, v in row.items()}
    metrics = json.loads((out / "metrics.json").read_text())
    for part, spaces in metrics.items():
        for space, values in spaces.items():
            rows |= {f"{part} {space} {k}": v for k, v in values.items()}
    return rows


@pytest.fixture(scope="module")
def alone(folder):
    """The numbers of a run from its command line on; those that end early start warm."""
    finish(subprocess, folder, folder / "alone")
    return outcome(folder / "alone")


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_the_same_numbers(folder, alone, warm_processes):
    out, rng = folder / "killed", random.Random(7)
    step, state = out / "checkpoints" / "step.npz", out / "checkpoints" / "state.json"
    process = start(warm_processes, folder, out)
    when(process, step.is_file)  # inside the first epoch
    time.sleep(rng.uniform(0, 0.1))
    process.kill()
    process.communicate()
    process = start(warm_processes, folder, out)
    when(process, state.is_file)  # at the end of the first, or later
    time.sleep(rng.uniform(0, 1.0))
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "metrics.json").exists()
    said = finish(warm_processes, folder, out)
    assert "resumes" in said
    assert outcome(out) == alone
    assert not list(out.rglob(".tmp-*"))
    assert not step.exists()


@pytest.mark.slow
def test_sigterm_saves_first_says_so_and_goes_on_at_the_next_batch(folder, alone, warm_processes):
    out = folder / "terminated"
    process = start(warm_processes, folder, out)
    when(process, (out / "checkpoints" / "step.npz").is_file)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 143, said
    assert "SIGTERM: saved after batch" in said
    assert "Traceback" not in said
    stood = Snapshot.load(out / "checkpoints" / "step.npz", "")
    assert stood.batch > 3 or stood.epoch > 0
    said = finish(warm_processes, folder, out)
    assert f"resumes in epoch {stood.epoch + 1} after batch {stood.batch}" in said
    assert outcome(out) == alone


def test_a_snapshot_gives_every_variable_back(folder, tmp_path):
    config = Config.parse(CONFIG)
    prepared = folder / "data"
    from pipelines.preparation.prepared_folder import Prepared

    schema = Prepared.open(prepared).schema
    vocabularies = read_vocabularies(prepared / "vocabularies")
    model, other = (build_model(config, schema, vocabularies) for _ in range(2))
    for model_ in (model, other):
        model_.optimizer.build(model_.trainable_variables)
    rng = np.random.default_rng(0)
    for variable in checkpoint.state_variables(model):
        noise = rng.uniform(0, 9, variable.shape)
        variable.assign(noise.astype(variable.dtype))
    paths = [v.path for v in checkpoint.state_variables(model)]
    for part in ("memory", "embeddings", "momentum", "losses", "iteration", "seed"):
        assert any(part in path for path in paths), (part, paths)
    checkpoint.capture(model, 2, 17).save(tmp_path / "step.npz")
    found = Snapshot.load(tmp_path / "step.npz", "")
    assert (found.epoch, found.batch) == (2, 17)
    found.restore(other)
    for a, b in zip(
        checkpoint.state_variables(model), checkpoint.state_variables(other), strict=True
    ):
        np.testing.assert_array_equal(np.asarray(a.numpy()), np.asarray(b.numpy()))
    assert [p.name for p in tmp_path.iterdir()] == ["step.npz"]


def test_a_snapshot_without_the_mean_of_penalties_is_taken_up(folder):
    from pipelines.preparation.prepared_folder import Prepared

    data = Prepared.open(folder / "data")
    vocabularies = read_vocabularies(data.vocabularies)
    model = build_model(Config.parse(CONFIG), data.schema, vocabularies)
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(7)
    now = checkpoint.capture(model, 0, 7)
    assert now.names[-1] == "regularization/sums"
    model.optimizer.iterations.assign(0)
    Snapshot(0, 7, now.values[:-1], now.names[:-1]).restore(model)
    assert int(model.optimizer.iterations.numpy()) == 7


@pytest.mark.job
def test_a_snapshot_of_an_earlier_release_is_taken_up(folder):
    """It kept no log decay of rows: neither a variable nor a row's last column."""
    from pipelines.preparation.prepared_folder import Prepared

    options = {**CONFIG["optimizer"], "weight_decay": 0.1}
    data = Prepared.open(folder / "data")
    vocabularies = read_vocabularies(data.vocabularies)
    former, decaying = (
        build_model(Config.parse({**CONFIG, "optimizer": o}), data.schema, vocabularies)
        for o in (CONFIG["optimizer"], options)
    )
    for model in (former, decaying):
        model.optimizer.build(model.trainable_variables)
    former.optimizer.iterations.assign(7)
    saved = checkpoint.capture(former, 0, 7)
    saved.restore(decaying)
    (table,) = decaying.features.tables.values()
    np.testing.assert_array_equal(table, next(iter(former.features.tables.values())))
    decaying.optimizer.catch_up()  # no row was in a batch: seven decays of .1 at a rate of .003
    expected = np.array(next(iter(former.features.tables.values()))) * (1 - 0.0003) ** 7
    np.testing.assert_allclose(table, expected, rtol=1e-5)
    again = checkpoint.capture(decaying, 0, 7)
    assert len(again.values) == len(saved.values) + 1
    again.restore(former)  # and back, without the decay
    np.testing.assert_allclose(next(iter(former.features.tables.values())), expected, rtol=1e-5)


def test_a_broken_or_foreign_snapshot_is_refused(folder, tmp_path):
    path = tmp_path / "step.npz"
    Snapshot(0, 1, [np.zeros(3)], ["x"]).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"step.npz cannot be read \(.*\); delete it"):
        Snapshot.load(path, "delete it")
    path.write_bytes(whole)
    config = Config.parse({"method": "esmm"})
    from pipelines.preparation.prepared_folder import Prepared

    data = Prepared.open(folder / "data")
    model = build_model(config, data.schema, read_vocabularies(data.vocabularies))
    with pytest.raises(ValueError, match="variables are others"):
        Snapshot.load(path, "").restore(model)


def test_a_snapshot_with_a_variable_too_few_is_refused(folder):
    from pipelines.preparation.prepared_folder import Prepared

    data = Prepared.open(folder / "data")
    model = build_model(Config.parse(CONFIG), data.schema, read_vocabularies(data.vocabularies))
    model.optimizer.build(model.trainable_variables)
    whole = checkpoint.capture(model, 0, 7)
    assert whole.names[-1] == "regularization/sums"
    short = Snapshot(0, 7, [*whole.values[:-2], whole.values[-1]],
                     [*whole.names[:-2], whole.names[-1]])  # fmt: skip
    model.optimizer.iterations.assign(3)
    with pytest.raises(ValueError, match="snapshot: the model's variables are others"):
        short.restore(model)
    assert int(model.optimizer.iterations.numpy()) == 3  # nothing of it was taken


@pytest.mark.parametrize("limit", [0, 100, 250_000, 400_700])  # of 400,000 bytes and the names
def test_a_full_disk_leaves_the_former_snapshot_and_names_the_file(tmp_path, limit):
    path = tmp_path / "step.npz"
    Snapshot(0, 1, [np.arange(3.0)], ["w"]).save(path)
    large = Snapshot(0, 2, [np.zeros(50_000, np.float32)] * 2, ["w", "v"])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError, match=r"could not be written.*what was there stays") as e:
            large.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (e.value.errno, e.value.filename) == (errno.EFBIG, str(path))
    assert [left.name for left in tmp_path.iterdir()] == ["step.npz"]
    del e
    gc.collect(1)  # an archive left open would complain here, which is an error in tests
    assert Snapshot.load(path, "").values[0].tolist() == [0.0, 1.0, 2.0]
