"""Calibration as a job: fitted on validation alone, judged on test, found again by the export."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from idefn_tf.calibration import CALIBRATORS, click_space_cvr
from idefn_tf.metrics import exact_metrics
from pipelines import calibrate
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.experiment.evaluation import predict
from pipelines.preparation.prepared_folder import Prepared
from pipelines.train import train

pytestmark = pytest.mark.job

QUIET = Console(quiet=True)
SMALL = {
    "backbone": {"name": "mlp", "units": [16, 8]},
    "optimizer": {"name": "row_sparse_adam", "learning_rate": 0.003},
    "training": {"batch_size": 256, "epochs": 2, "jit_compile": False, "audit": False},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("calibrate")


@pytest.fixture(scope="module")
def data(folder, simulated):
    return simulated(folder, 6000)


@pytest.fixture(scope="module")
def run(folder, data):
    config = Config.parse({"method": "all_negative", "model": {"alpha": 0.8}, **SMALL})
    return train(config, data.root, folder / "run", QUIET, evaluate=False)


def scored(run, data, part):
    table = data.table(part)
    scores = predict(run.load_model(), data.schema, table)
    click = np.asarray(table["click"], np.float64)
    return click, np.asarray(table["conversion"], np.float64) * click, scores


@pytest.mark.parametrize("space", ["clicked", "all_funnel"])
def test_platt_is_the_logistic_regression_of_the_validation_rows_of_that_space(run, data, space):
    found = calibrate.calibrate(run, data, space, "platt", QUIET)
    click, conversion, scores = scored(run, data, "validation")
    rows = click == 1 if space == "clicked" else np.ones_like(click, bool)
    p = scores["cvr"].astype(np.float64)[rows]
    rival = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    rival.fit(np.log(p / (1 - p))[:, None], conversion[rows])
    config = found["config"]
    if config["smooth_targets"]:
        pytest.skip("smoothed targets are another optimum")
    assert config["slope"] == pytest.approx(float(rival.coef_[0, 0]), rel=1e-3)
    assert config["intercept"] == pytest.approx(float(rival.intercept_[0]), rel=1e-3, abs=1e-3)


def test_calibration_brings_the_mean_to_the_space_it_was_fitted_on(run, data):
    for space in ("clicked", "all_funnel"):
        report = calibrate.calibrate(run, data, space, "isotonic", QUIET)["report"]
        fitted = report["validation"][space]
        assert fitted["calibrated"]["pcoc"] == pytest.approx(1.0, abs=2e-3)
        assert fitted["calibrated"]["ece"] < fitted["before"]["ece"]
        assert fitted["calibrated"]["logloss"] <= fitted["before"]["logloss"]
        assert set(report["test"][space]["calibrated"]) == {"logloss", "pcoc", "ece", "auc"}


def test_platt_leaves_the_ranking_alone(run, data):
    test = calibrate.calibrate(run, data, "clicked", "platt", QUIET)["report"]["test"]["clicked"]
    assert test["calibrated"]["auc"] == pytest.approx(test["before"]["auc"], abs=1e-9)


def test_the_closed_form_is_judged_on_clicked_rows(run, data):
    found = calibrate.calibrate(run, data, "all_funnel", "platt", QUIET, click_space=True)
    assert found["click_space"] == {"alpha": 0.8, "pseudo_positive_rate": 0.0}
    click, conversion, scores = scored(run, data, "test")
    rows = click == 1
    recovered = click_space_cvr(
        scores["cvr"].astype(np.float64), scores["ctr"].astype(np.float64), 0.8, 0.0
    )
    told = found["report"]["test"]["clicked"]
    assert told["closed_form"]["logloss"] == pytest.approx(
        exact_metrics.log_loss(conversion[rows], recovered[rows]), rel=1e-6
    )
    # Eq. 15 spreads conversions over unclicked rows: below the click rate before, nearer after
    assert told["before"]["pcoc"] < told["closed_form"]["pcoc"]
    assert abs(told["closed_form"]["pcoc"] - 1) < abs(told["before"]["pcoc"] - 1)


def test_the_test_rows_and_the_report_columns_do_not_move_the_fit(run, data, folder):
    before = calibrate.calibrate(run, data, "clicked", "platt", QUIET)["config"]
    copy = folder / "other"
    shutil.copytree(data.root, copy)
    for path in (copy / "test").glob("*.parquet"):
        table = pq.read_table(path)
        flipped = pa.array(
            1 - np.asarray(table["conversion"]), table.schema.field("conversion").type
        )
        at = table.column_names.index("conversion")
        pq.write_table(table.set_column(at, table.schema.field("conversion"), flipped), path)
    shutil.rmtree(copy / "reports")
    assert (
        calibrate.calibrate(run, Prepared.open(copy), "clicked", "platt", QUIET)["config"] == before
    )


def test_the_rows_of_a_whole_log_count_once_although_training_was_thinned(run, data, tmp_path):
    labels = data.schema.labels.model_copy(update={"negative_keep_rate": 0.1})
    shutil.copytree(data.root, tmp_path / "thinned")
    data.schema.model_copy(update={"labels": labels}).save(tmp_path / "thinned" / "schema.yaml")
    thinned = Prepared.open(tmp_path / "thinned")
    once = calibrate.calibrate(run, data, "all_funnel", "platt", QUIET)
    whole = calibrate.calibrate(run, thinned, "all_funnel", "platt", QUIET, whole_log=True)
    weighed = calibrate.calibrate(run, thinned, "all_funnel", "platt", QUIET)
    assert whole["config"] == once["config"]
    assert weighed["config"]["intercept"] < once["config"]["intercept"] - 1  # ten times the misses


@pytest.mark.parametrize("method", sorted(CALIBRATORS))
def test_the_command_writes_what_the_export_reads(run, data, method, capsys):
    arguments = ["--run", str(run.root), "--data", str(data.root), "--space", "clicked"]
    assert calibrate.main([*arguments, "--method", method, "--quiet"]) == 0
    told = json.loads((run.root / "calibration.json").read_text())
    read = run.calibrator()
    assert (read.space, told["space"], told["class"]) == ("clicked", "clicked", type(read).__name__)
    p = np.linspace(0.01, 0.9, 7)
    expected = CALIBRATORS[method].from_config(told["config"]).transform(p)
    np.testing.assert_allclose(read.transform(p), expected)
    assert not list(run.root.glob(".tmp-*"))


def test_a_wrong_request_is_one_clear_message(run, data, folder, capsys):
    config = Config.parse({"method": "esmm", **SMALL})
    other = train(config, data.root, folder / "esmm", QUIET, evaluate=False)
    arguments = ["--run", str(other.root), "--data", str(data.root), "--click-space", "--quiet"]
    assert calibrate.main(arguments) == 2
    said = capsys.readouterr().err
    assert "Eq. 15" in said
    assert "Traceback" not in said
    assert not (other.root / "calibration.json").exists()
    with pytest.raises(ValueError, match="for reports only"):
        calibrate.calibrate(run, data, "all_raw", "platt", QUIET)
    with pytest.raises(
        ValueError, match=r"^--method: must be one of .*'platt'.*, received 'plat'$"
    ):
        calibrate.calibrate(run, data, "clicked", "plat", QUIET)


def test_rows_with_an_open_window_neither_fit_nor_judge(run, data, folder, capsys):
    """Every third row is open; their labels, none of which is known, change nothing."""
    found = []
    for name in ("kept", "left_out"):
        copy = folder / name
        shutil.copytree(data.root, copy)
        for part in ("validation", "test"):
            for file in Prepared.open(copy).files(part):
                table = pq.read_table(file)
                young = np.arange(table.num_rows) % 3 == 0
                if name == "left_out":
                    table = table.filter(pa.array(~young))
                else:
                    hidden = np.where(young, 0, table["conversion"].to_numpy()).astype(np.int8)
                    at = table.column_names.index("conversion")
                    table = table.set_column(at, "conversion", pa.array(hidden))
                    table = table.append_column("window_open", pa.array(young.astype(np.int8)))
                pq.write_table(table, file)
        found.append(calibrate.calibrate(run, Prepared.open(copy), "clicked", "platt", Console()))
        said = " ".join(capsys.readouterr().err.split())
        assert ("rows with an open attribution window are left out" in said) == (name == "kept")
    assert found[0]["config"] == found[1]["config"]
    assert found[0]["report"] == found[1]["report"]
    assert found[0]["fitted_on"]["rows"] == found[1]["fitted_on"]["rows"]
