"""The export job writes ONNX as it writes a SavedModel: gate, card, labels, Triton's file."""

import json
import re
import shutil

import pytest

from pipelines import export
from pipelines.experiment.version_format import VersionFormat


def test_tritons_file_needs_onnx():
    with pytest.raises(ValueError, match="--triton: must stand beside --format onnx, received s"):
        VersionFormat(triton=True)


@pytest.mark.job
def test_hashed_text_is_refused_before_history_is_read(past, past_run_folder, tmp_path, capsys):
    code = export.main(
        ["--run", str(past_run_folder), "--model-base", str(tmp_path / "cvr"), "--format", "onnx",
         "--with-history", "--data", str(tmp_path / "nowhere")]
    )  # fmt: skip
    assert code == 2
    assert "received city (hash);" in capsys.readouterr().err
    assert not (tmp_path / "cvr").exists()


@pytest.fixture(scope="module")
def past_run_folder(past, tmp_path_factory):
    from idefn_tf.features import FeatureColumns
    from idefn_tf.models import ESMM

    hashed = {"kind": "hash", "num_buckets": 8}
    features = tuple(
        f.model_copy(update=hashed) if f.name == "city" else f for f in past.SCHEMA.features
    )
    schema = past.SCHEMA.model_copy(update={"features": features})
    model = ESMM(FeatureColumns.from_schema(schema, past.vocabularies()))
    model.build()
    return past.write_run(tmp_path_factory.mktemp("runs") / "past", model)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (requirements/onnx-export.in)")
    from tests.idefn_tf.export.onnx import onnx_run

    return onnx_run.write_run(tmp_path_factory.mktemp("runs") / "wide", onnx_run.make_model())


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    from tests.idefn_tf.export.onnx import onnx_run

    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    onnx_run.make_frame(300, seed=8).to_parquet(path)
    return path


def card_of(version):
    return json.loads((version / "assets.extra" / "model_card.json").read_text())


@pytest.mark.onnx
@pytest.mark.job
def test_the_gate_compares_versions_of_either_format(run, rows, tmp_path, capsys):
    base = tmp_path / "cvr"
    asked = ["--run", str(run), "--model-base", str(base), "--rows", str(rows)]
    for number, name in enumerate(("saved-model", "onnx", "saved-model"), start=1):
        assert export.main([*asked, "--format", name]) == 0, capsys.readouterr().err
        version = base / str(number)
        assert (version / "model.onnx").is_file() == (name == "onnx")
        assert (version / "saved_model.pb").is_file() == (name != "onnx")
        card = card_of(version)
        assert card["format"] == name
        assert set(card["inputs"]) == set(card_of(base / "1")["inputs"])
    for number in (2, 3):
        gate = card_of(base / str(number))["gate"]
        assert gate["served"] == str(number - 1)
        assert gate["refusals"] == []
        metric = gate["metric"]
        assert metric["candidate"] == pytest.approx(metric["served"], abs=1e-6)


@pytest.mark.onnx
@pytest.mark.job
def test_a_worse_onnx_version_is_refused(run, rows, tmp_path, capsys):
    import keras

    base, worse = tmp_path / "cvr", tmp_path / "worse"
    asked = ["--model-base", str(base), "--rows", str(rows), "--format", "onnx"]
    assert export.main(["--run", str(run), *asked]) == 0
    shutil.copytree(run, worse)
    model = keras.saving.load_model(worse / "checkpoints" / "best.keras")
    bias = model.towers["cvr"].logit.bias
    bias.assign(bias - 3.0)
    model.save(worse / "checkpoints" / "best.keras")
    assert export.main(["--run", str(worse), *asked]) == 2
    assert "the distribution of cvr moved" in capsys.readouterr().err
    assert [path.name for path in base.iterdir()] == ["1"]


@pytest.mark.onnx
@pytest.mark.job
def test_tritons_file_names_every_tensor_and_stays_when_edited(run, tmp_path, capsys):
    base = tmp_path / "cvr"
    asked = ["--run", str(run), "--model-base", str(base), "--format", "onnx", "--triton"]
    assert export.main(asked) == 0
    text = (base / "config.pbtxt").read_text()
    named = set(re.findall(r'name: "(\w+)" data_type', text))
    card = card_of(base / "1")
    assert named == {*card["inputs"], *card["outputs"]}
    (base / "config.pbtxt").write_text("max_batch_size: 8\n")
    assert export.main([*asked, "--no-gate"]) == 0
    assert "was edited and stays" in capsys.readouterr().err
    assert (base / "config.pbtxt").read_text() == "max_batch_size: 8\n"
