"""Jobs on a prepared folder in a bucket: a real server, real processes, the numbers of the disk."""

import json
import os
import pickle
import sys
import urllib.request
from pathlib import Path

import pytest

from benchmarks.common.free_ports import free_addresses
from idefn_tf.data import object_store
from pipelines import train
from pipelines.experiment.run_folder import Run
from pipelines.preparation.object_store import on_disk
from pipelines.preparation.prepared_folder import Prepared

pytestmark = pytest.mark.job

ROOT = Path(__file__).resolve().parents[3]
ADDRESS = "s3://prepared/somewhere/data"
WORDS = ["--config", "pipelines/configs/simulated/all_negative.yaml", "--no-report", "--quiet"]
for setting in ("epochs=1", "batch_size=256", "jit_compile=false"):
    WORDS += ["--set", f"training.{setting}"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bucket")


@pytest.fixture(scope="module")
def data(folder, simulated):
    return simulated(folder, 3000)


@pytest.fixture(scope="module")
def variables(s3_server, data):
    """A copy of the folder as it is in a bucket; the variables that lead to its server."""
    found, client = s3_server
    client.create_bucket(Bucket="prepared")
    for path in data.root.rglob("*"):
        if path.is_file():
            client.upload_file(
                str(path), "prepared", f"somewhere/data/{path.relative_to(data.root)}"
            )
    client.put_object(Bucket="prepared", Key="rows/train/part-00000.parquet", Body=b"")
    return found


@pytest.fixture
def reachable(variables, monkeypatch):
    """Leads this process to the server, and to pyarrow, which it can use without an abort."""
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(object_store, "_arrow", lambda: True)


def test_a_folder_in_a_bucket_is_the_folder_on_disk(reachable, data):
    there = Prepared.open(f"{ADDRESS}/")
    assert (there.place, there.parts, there.card) == (ADDRESS, data.parts, data.card)
    assert there.schema == data.schema
    for part in data.parts:
        names = [Path(file).name for file in data.files(part)]
        assert there.files(part) == [f"{ADDRESS}/{part}/{name}" for name in names]
        assert there.table(part).equals(data.table(part))
        assert there.report_table(part).equals(data.report_table(part))
    assert there.table("test", ["click"]).column_names == ["click"]
    learned = {path.name: path.read_bytes() for path in there.vocabularies.iterdir()}
    assert learned == {path.name: path.read_bytes() for path in data.vocabularies.iterdir()}
    with pytest.raises(ValueError, match=f"'all' must be one of .* in {ADDRESS}"):
        there.files("all")
    # small files are copied once, however often the folder is opened or sent to a process
    assert Prepared.open(there) is there
    assert pickle.loads(pickle.dumps(there)) == there
    assert Prepared.is_at(ADDRESS)
    assert not Prepared.is_at("s3://prepared/rows")


def test_what_is_no_prepared_folder_is_said(reachable):
    with pytest.raises(ValueError, match="data: s3://absent/x must be a prepared folder, received"):
        Prepared.open("s3://absent/x")
    with pytest.raises(ValueError, match=r"data: s3://prepared/rows must be .*\(with card.json"):
        Prepared.open("s3://prepared/rows")


def test_a_server_out_of_reach_is_said(reachable, monkeypatch):
    server = f"http://{free_addresses(1)[0]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    with pytest.raises(ValueError, match=f"data: {ADDRESS} must be within reach, and {server} do"):
        Prepared.open(ADDRESS)


def test_refused_credentials_are_said(reachable, variables, monkeypatch):
    def demand_keys(after):
        server, plain = variables["AWS_ENDPOINT_URL"], {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{server}/moto-api/reset-auth", after, plain)
        urllib.request.urlopen(request).close()

    demand_keys(b"0")
    try:
        with pytest.raises(ValueError, match=r"credentials given \(those of AWS_ACCESS_KEY_ID\)"):
            Prepared.open(ADDRESS)
    finally:
        demand_keys(b"inf")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with (
        pytest.raises(
            ValueError, match=r"neither AWS_ACCESS_KEY_ID nor AWS_PROFILE set.* set AWS_"
        ),
        object_store.explained(ADDRESS, "data"),
    ):
        raise OSError("AWS Error ACCESS_DENIED during ListObjectsV2 operation")


def test_what_jobs_write_stays_here(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"run: must be a path on this machine, .* 's3:/b/run'"):
        Run(Path("s3://b/run"))
    words = ["--config", str(ROOT / "pipelines/configs/simulated/esmm.yaml")]
    assert train.main([*words, "--data", str(data.root), "--out", "s3://b/run"]) == 2
    assert "--out: must be a path on this machine" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert on_disk("a/b:c", "--out") == Path("a/b:c")


@pytest.mark.slow
def test_training_and_its_judges_read_from_a_bucket(variables, data, folder, warm_processes):
    def job(name, *words):
        done = warm_processes.run(
            [sys.executable, "-m", f"pipelines.{name}", *map(str, words)],
            env={**os.environ, **variables},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        # tensorflow-io's teardown would end it with 134
        assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
        return done.stdout

    there, here = folder / "there", folder / "here"
    job("train", *WORDS, "--data", ADDRESS, "--out", there)
    assert train.main([*WORDS, "--data", str(data.root), "--out", str(here)]) == 0
    metrics, expected = (json.loads((run / "metrics.json").read_text()) for run in (there, here))
    assert set(metrics) == set(expected)
    for space in ("all_funnel", "clicked", "oracle"):
        # threads of two processes differ in their sums' last digits
        assert metrics["test"][space] == pytest.approx(expected["test"][space], rel=1e-6)
    assert json.loads((there / "checkpoints" / "state.json").read_text())["data"] == ADDRESS
    printed = job("evaluate", "--run", there, "--data", ADDRESS, "--json", "-", "--quiet")
    assert json.loads(printed)["test"]["clicked"] == pytest.approx(metrics["test"]["clicked"])
