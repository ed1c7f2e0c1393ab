"""A resumed run meets the rows and vocabularies it began with, or names the file that changed."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from pipelines.experiment.config import Config
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

CONFIG = Config(method="esmm")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, simulated):
    return simulated(tmp_path_factory.mktemp("digest"), 1500)


@pytest.fixture
def data(prepared, tmp_path):
    return Prepared.open(shutil.copytree(prepared.root, tmp_path / "data"))


@pytest.fixture
def run(data, tmp_path):
    begun = Run(tmp_path / "run")
    begun.begin(CONFIG, data)
    begun.state_path.write_text(json.dumps({"epoch": 0}))
    return begun


def test_the_same_data_go_on(run, data):
    run.begin(CONFIG, data)


def test_rows_in_another_order_are_other_rows(run, data):
    (file,) = data.files("train")
    table = pq.read_table(file)
    pq.write_table(table.take([*range(1, len(table)), 0]), file, compression="zstd")
    with pytest.raises(ValueError, match=r"where train/part-00000.parquet is another; give"):
        run.begin(CONFIG, data)


def test_a_vocabulary_that_changed_is_named(run, data):
    path = sorted(data.vocabularies.glob("*.json"))[0]
    value = json.loads(path.read_text())
    value["values"] = value["values"][::-1]
    path.write_text(json.dumps(value))
    with pytest.raises(ValueError, match=rf"where vocabularies/{path.name} is another"):
        run.begin(CONFIG, data)
    path.unlink()
    with pytest.raises(ValueError, match=rf"where vocabularies/{path.name} is gone"):
        run.begin(CONFIG, data)


def test_files_that_come_and_go_are_named(run, data):
    (file,) = data.files("validation")
    shutil.copy(file, file.replace("00000", "00001"))
    with pytest.raises(ValueError, match=r"where validation/part-00001.parquet is new"):
        run.begin(CONFIG, data)


def test_test_rows_may_change(run, data):
    (file,) = data.files("test")
    table = pq.read_table(file)
    pq.write_table(table.slice(1), file)
    run.begin(CONFIG, data)


def test_a_run_of_an_earlier_release_has_vocabularies_to_compare(run, data):
    (run.checkpoints / "data.json").unlink()
    run.begin(CONFIG, data)
    path = sorted(data.vocabularies.glob("*.json"))[0]
    path.write_text(path.read_text() + " ")
    with pytest.raises(ValueError, match=r"vocabularies/.* is another"):
        run.begin(CONFIG, data)


def test_a_state_cut_short_is_named_with_what_helps(run, data):
    run.state_path.write_text('{"epoch": 0, "sel')
    message = (
        r"state.json: must be a whole JSON file, received 17 bytes .*; delete it to train anew"
    )
    with pytest.raises(ValueError, match=message):
        run.load_state()
    run.state_path.write_text(json.dumps({"epoch": 0, "snapshot": "epoch-0000.npz"}))
    (run.checkpoints / "epoch-0000.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match=r"epoch-0000.npz cannot be read .*state.json to train"):
        run.load_snapshot()
