"""Folders of earlier releases: ties that were read wrongly say so, harmless ones go on."""

import json
from pathlib import Path

import pytest

from idefn_tf.schema import Schema
from pipelines.experiment.config import Config
from pipelines.experiment.run_folder import Run
from pipelines.preparation.prepared_folder import Prepared

SCHEMA = """\
name: s
labels: {{click: c, conversion: r}}
features:
- {{name: item, dtype: int64, side: item, kind: vocabulary{owner}}}
- {{name: last, dtype: int64, side: user, kind: vocabulary, tied_to: item{tied}}}
"""


def folder(root: Path, owner: str, tied: str) -> Path:
    root.mkdir()
    (root / "schema.yaml").write_text(SCHEMA.format(owner=owner, tied=tied))
    (root / "card.json").write_text("{}")
    (root / "vocabularies").mkdir()
    return root


@pytest.mark.parametrize("key", ["oov_buckets: 4", "oov: zero"])
def test_a_run_that_read_other_rows_says_so(key, tmp_path):
    """It left the key out; the prepared rows hold values, and are as good as ever."""
    data = Prepared.open(folder(tmp_path / "data", f", {key}", ""))
    name = key.partition(":")[0]
    assert getattr(data.schema.feature("last"), name) == getattr(data.schema.feature("item"), name)
    old = Run(folder(tmp_path / "old", f", {key}", ""))
    message = rf"old was trained by an earlier release.*last \({name}\); train it anew"
    with pytest.raises(ValueError, match=message):
        old.schema()
    old.checkpoints.mkdir()
    old.state_path.write_text(json.dumps({"epoch": 0}))
    with pytest.raises(ValueError, match=message):
        old.begin(Config(method="esmm"), data)

    new = Run(tmp_path / "new")  # what is begun today states the key
    new.begin(Config(method="esmm"), data)
    assert new.schema() == data.schema


@pytest.mark.parametrize("of", ["prepared", "run"])
def test_a_folder_with_a_pair_that_cannot_be_right_says_so(of, tmp_path):
    root = folder(tmp_path / "old", ", oov_buckets: 4", ", oov_buckets: 2")
    with pytest.raises(ValueError, match=r"schema.yaml:5: .*oov_buckets: must be 4.*train anew"):
        Run(root).schema() if of == "run" else Prepared.open(root).schema


def test_harmless_pairs_go_on(tmp_path):
    """`headroom` was never read from the tied feature."""
    root = folder(tmp_path / "old", ", headroom: 9", ", headroom: 5, oov_buckets: 1")
    schema = Run(root).schema()
    assert schema == Prepared.open(root).schema
    assert schema.feature("last").headroom == 5
    with pytest.raises(ValueError, match="headroom: must be 9"):
        Schema.load(root / "schema.yaml")


def test_a_folder_with_a_run_on_other_data_is_not_taken_up(tmp_path):
    root = folder(tmp_path / "data", "", "")
    run = Run(tmp_path / "run")
    run.begin(Config(method="esmm"), Prepared.open(root))
    run.state_path.parent.mkdir(exist_ok=True)
    run.state_path.write_text(json.dumps({"epoch": 0}))
    (root / "card.json").write_text('{"fingerprint": "another"}')
    with pytest.raises(ValueError, match=r"^out: .*/run holds a run on other data; give a new fol"):
        run.begin(Config(method="esmm"), Prepared.open(root))


def test_an_unfinished_run_without_a_snapshot_is_not_taken_up(tmp_path):
    """As a release wrote it whose snapshot was no file of its own."""
    run = Run(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    run.state_path.write_text(json.dumps({"epoch": 0}))
    told = r"^out: .*/run holds an unfinished run of an older version; delete it to train anew$"
    with pytest.raises(ValueError, match=told):
        run.load_snapshot()
    run.state_path.write_text(json.dumps({"epoch": 0, "finished": True}))
    assert run.load_snapshot() is None


def test_a_calibrator_that_is_none_is_told_with_those_there_are(tmp_path):
    (tmp_path / "calibration.json").write_text('{"calibrator": "plat", "config": {}}')
    told = r"calibration\.json: calibrator must be one of \[.*'platt'.*\], received 'plat'$"
    with pytest.raises(ValueError, match=told):
        Run(tmp_path).calibrator()
