"""The export job: the run's whole story in the card, the gate, the clean-up."""

import contextlib
import io
import json
import re
import shutil
from types import SimpleNamespace

import pytest

from idefn_tf.export import Scorer, list_versions
from pipelines import export

pytestmark = pytest.mark.job


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    return tiny.write_run(tmp_path_factory.mktemp("runs") / "esmm", tiny.train(epochs=1))


@pytest.fixture(scope="module")
def spoiled(tiny, run, tmp_path_factory):
    """The same run with a shifted model."""
    import keras

    folder = tmp_path_factory.mktemp("spoiled") / "run"
    shutil.copytree(run, folder)
    model = keras.saving.load_model(folder / "checkpoints" / "best.keras")
    bias = model.towers["cvr"].logit.bias
    bias.assign(bias - 3.0)
    model.save(folder / "checkpoints" / "best.keras")
    return folder


@pytest.fixture(scope="module")
def rows(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    tiny.make_frame(300, seed=8).assign(window_open=[1, 0, 0] * 100).to_parquet(path)
    return path


def main(run, base, *more):
    return export.main(["--run", str(run), "--model-base", str(base), *map(str, more)])


def test_first_version_carries_the_runs_story(run, tmp_path, rows, tiny, capsys):
    value = {
        "calibrator": "platt",
        "config": {"space": "clicked", "smooth_targets": False, "slope": 1.2, "intercept": 0.1},
    }
    calibrated = tmp_path / "calibrated"
    shutil.copytree(run, calibrated)
    (calibrated / "calibration.json").write_text(json.dumps(value))
    base = tmp_path / "models" / "cvr"
    assert main(calibrated, base, "--rows", rows) == 0
    assert re.search(r"wrote .*/cvr/1 \(version 1\)", capsys.readouterr().err)
    card = json.loads((base / "1" / "assets.extra" / "model_card.json").read_text())
    assert card["metrics"] == json.loads((run / "metrics.json").read_text())
    assert card["data"]["splits"]["train"]["rows"] == 600
    assert card["config"] == {"method": "esmm"}
    assert card["run"] == "calibrated"
    assert card["calibrator"]["PlattCalibrator"]["slope"] == 1.2
    assert card["gate"] is None
    assert card["check"]["rows"] == 364
    with Scorer(base / "1") as scorer:
        assert "cvr_calibrated" in scorer.outputs()


@pytest.fixture(scope="module")
def exported(run, tiny, tmp_path_factory):
    """A first version, judged on a prepared folder's rows; to be copied."""
    data = tmp_path_factory.mktemp("data")
    (data / "validation").mkdir()
    (data / "test").mkdir()
    (data / "card.json").write_text("{}")
    tiny.SCHEMA.save(data / "schema.yaml")
    tiny.make_frame(50, seed=1).to_parquet(data / "validation" / "part-00000.parquet")
    tiny.make_frame(60, seed=2).to_parquet(data / "test" / "part-00000.parquet")
    base = tmp_path_factory.mktemp("models") / "cvr"
    assert main(run, base, "--rows", data, "--quiet") == 0
    return base / "1"


def test_prepared_folder_is_judged_on_validation(exported):
    card = json.loads((exported / "assets.extra" / "model_card.json").read_text())
    assert card["check"]["rows"] == 50 + 64


@pytest.fixture(scope="module")
def moved(run, spoiled, exported, rows, tmp_path_factory):
    """The run again behind its own first version, then what moved: refused, and forced."""
    base = tmp_path_factory.mktemp("moved") / "cvr"
    shutil.copytree(exported, base / "1")
    assert main(run, base, "--rows", rows, "--quiet") == 0
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        refused = main(spoiled, base, "--rows", rows)
    left = list(list_versions(base))
    forced = main(spoiled, base, "--rows", rows, "--force")
    return SimpleNamespace(base=base, said=said.getvalue(), statuses=(refused, forced), left=left)


def test_gate_refuses_what_moved_unless_forced(moved):
    card = json.loads((moved.base / "2" / "assets.extra" / "model_card.json").read_text())
    assert card["gate"]["refusals"] == []
    assert card["gate"]["served"] == "1"
    assert moved.statuses == (2, 0)
    assert "the mean of cvr is" in moved.said
    left_out = "100 rows with an open attribution window are left out, 200 rows count"
    assert f"gate: {left_out}" in " ".join(moved.said.split())
    assert moved.left == [1, 2]
    card = json.loads((moved.base / "3" / "assets.extra" / "model_card.json").read_text())
    assert card["gate"]["forced"] is True
    assert len(card["gate"]["refusals"]) >= 2


def test_label_decides_what_is_served_and_what_stays(run, exported, moved, tmp_path, rows, capsys):
    base = tmp_path / "models" / "cvr"
    shutil.copytree(moved.base / "3", base / "1")
    shutil.copytree(exported, base / "2")
    (base.parent / "models.config").write_text(
        f'model_config_list {{ config {{ name: "cvr" base_path: "{base}" '
        'model_platform: "tensorflow" model_version_policy { specific { versions: 1 } } '
        'version_labels { key: "stable" value: 1 } } }'
    )
    assert main(run, base, "--rows", rows) == 2  # version 1 has the label, not the newest
    assert "refused against version 1" in capsys.readouterr().err
    assert main(run, base, "--keep", "1") == 0  # without rows there is nothing to judge on
    said = capsys.readouterr().err
    assert "the gate cannot compare with version 1" in said
    assert "removed version 2" in said
    assert list(list_versions(base)) == [1, 3]


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--gate-metric", "oracle/cvr_auc"], "oracle"), (["--models-config", "/nowhere"], "nowhere"),
     (["--rows", "/nowhere"], "no Parquet")],
)  # fmt: skip
def test_wrong_arguments_publish_nothing(run, tmp_path, more, message, capsys):
    assert main(run, tmp_path / "cvr", *more) == 2
    assert message in capsys.readouterr().err
    assert list_versions(tmp_path / "cvr") == {}


def test_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert main(tmp_path, tmp_path / "cvr") == 2
    assert "must be a run's folder" in capsys.readouterr().err
    assert not (tmp_path / "cvr").exists()
