"""Skew: none where the right model is served, failure where another one is; rates and drift."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

from idefn_tf.export.replay import request_arrays
from pipelines.cli.console import Console
from serving import skew
from serving.client import Client
from serving.common import drift


@pytest.fixture
def rows(tiny, tmp_path):
    """A day's requests without labels, with nulls and unknown values."""
    frame = tiny.make_frame(300, seed=21).drop(columns=["click", "conversion", "position"])
    frame["hour"] = frame["hour"].astype("Int64")
    frame.loc[:29, "hour"] = None  # a tenth
    frame.loc[:59, "user"] = 10**6  # a fifth
    path = tmp_path / "day.parquet"
    frame.to_parquet(path)
    return path


def ask(run, url, rows, *more):
    arguments = ["--run", str(run), "--url", url, "--data", str(rows), "--json", "-", *more]
    return skew.main(arguments)


def test_same_model_has_no_skew(tiny_run, tiny_url, rows, capsys):
    assert ask(tiny_run, tiny_url, rows, "--quiet") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == 300
    assert report["skew"]["failed"] == []
    assert set(report["skew"]["outputs"]) == {"ctr", "cvr", "ctcvr"}
    assert all(f["largest_difference"] <= 1e-6 for f in report["skew"]["outputs"].values())
    assert report["rates"]["hour"]["missing"] == pytest.approx(0.1)
    assert report["rates"]["user"]["out_of_vocabulary"] == pytest.approx(0.2)
    assert report["rates"]["price"] == {"missing": 0.0, "out_of_vocabulary": None}
    assert 0.2 < report["rates"]["segment"]["missing"] < 0.3  # one of four values is None
    assert list(report["drift"]["drifted"]) == ["user"]
    assert "unknown values rose by 18.0%" in report["drift"]["drifted"]["user"][0]


def test_drift_fails_where_asked(tiny_run, tiny_url, rows):
    assert ask(tiny_run, tiny_url, rows, "--fail-on-drift", "--quiet") == 1


def test_csv_rows_are_read_alike(tiny_run, tiny_url, tiny, tmp_path):
    frame = tiny.make_frame(40, seed=22).drop(columns=["tags", "tag_weights"])
    frame["tags"], frame["tag_weights"] = "x", 1.5
    path = tmp_path / "day.csv"
    frame.to_csv(path, index=False)
    assert ask(tiny_run, tiny_url, path, "--quiet") == 0


def test_another_model_fails(tiny, tiny_model, tiny_run, tmp_path, embedded, rows, capsys):
    from idefn_tf.export import export_model
    from idefn_tf.models import ESMM

    other = ESMM.from_config(tiny_model.get_config())
    other.build()
    other.set_weights(tiny_model.get_weights())
    bias = other.towers["cvr"].logit.bias
    bias.assign(bias + 1e-3)
    base = export_model(other, tiny.SCHEMA, tmp_path / "cvr").parent
    url = embedded("--model_name=cvr", f"--model_base_path={base}")
    assert ask(tiny_run, url, rows) == 1
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["skew"]["failed"] == ["ctcvr", "cvr"]
    assert report["skew"]["outputs"]["cvr"]["rows_beyond"] == 300
    assert report["skew"]["outputs"]["ctr"]["rows_beyond"] == 0
    assert set(report["skew"]["example"]) >= {"user", "price"}
    assert "cvr: 300 of 300 rows differ by more than 1e-06" in captured.err.replace("\n", " ")
    assert ask(tiny_run, url, rows, "--tolerance", "0.01", "--quiet") == 0


def test_calibrated_score_is_compared(tiny, tiny_model, tiny_run, tmp_path, embedded, rows):
    from idefn_tf.calibration import PlattCalibrator
    from idefn_tf.export import export_model

    calibrator = PlattCalibrator("clicked")
    calibrator.slope, calibrator.intercept, calibrator.fitted = 1.7, -0.2, True
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    base = export_model(tiny_model, tiny.SCHEMA, tmp_path / "cvr", calibrator=calibrator).parent
    url = embedded("--model_name=cvr", f"--model_base_path={base}")
    assert ask(run, url, rows, "--quiet") == 2  # the run knows of no calibration
    value = {"calibrator": "platt", "config": calibrator.get_config()}
    (run / "calibration.json").write_text(json.dumps(value))
    assert ask(run, url, rows, "--quiet") == 0
    with Client(url, "cvr", tiny.SCHEMA) as client:
        assert "cvr_calibrated" in client.predict(tiny.make_frame(1))


def test_wrong_arguments_are_told(tiny_run, tiny_url, tmp_path, rows, capsys):
    assert ask(tmp_path, tiny_url, rows) == 2
    assert ask(tiny_run, tiny_url, tmp_path / "nothing.parquet") == 2
    assert ask(tiny_run, tiny_url, rows, "--model", "nobody") == 2
    assert "nobody" in capsys.readouterr().err
    assert ask(tiny_run, tiny_url, rows, "--at", "2024-05-01") == 2
    assert "--at: must stand beside --history" in capsys.readouterr().err


def test_rows_whose_window_is_open_are_told(capsys):
    drifted = {"features": {}, "drifted": {}, "rows": 1200, "open_rows": 34}
    skew.show({"skew": {"outputs": {}}, "rows": 1234, "rates": {}, "drift": drifted}, Console())
    said = capsys.readouterr().err
    left = "34 rows with an open attribution window are left out, 1,200 rows count"
    assert f"drift: {left}" in said
    skew.show(
        {"skew": {"outputs": {}}, "rows": 1234, "rates": {}, "drift": {**drifted, "open_rows": 0}},
        Console(),
    )
    assert "window" not in capsys.readouterr().err


def measure(tiny, frame):
    arrays = request_arrays(tiny.SCHEMA, frame)
    table = pa.Table.from_pandas(frame)
    rates = drift.describe(tiny.SCHEMA, table, arrays, tiny.vocabularies())
    card = {"features": tiny.describe(tiny.make_frame())}
    return rates, drift.compare(tiny.SCHEMA, arrays, rates, card, drift.Limits())


def test_the_training_rows_have_not_drifted(tiny):
    rates, found = measure(tiny, tiny.make_frame())
    assert found["drifted"] == {}
    assert found["features"]["shop"]["stability_index"] == pytest.approx(0.0, abs=1e-12)
    assert found["features"]["price"]["mean_shift"] == pytest.approx(0.0, abs=1e-6)
    assert found["features"]["user"]["out_of_vocabulary_change"] == pytest.approx(-0.02)
    assert set(found["features"]) == {"shop", "price", "user"}
    assert rates["user"]["out_of_vocabulary"] == 0.0
    assert "position" not in rates


def test_each_kind_of_drift_is_named(tiny):
    frame = tiny.make_frame()
    favourite = frame["shop"].mode()[0]
    frame["shop"] = favourite
    frame["price"] += np.float32(frame["price"].std())
    frame.loc[: len(frame) // 10, "user"] = -1
    rates, found = measure(tiny, frame)
    reasons = found["drifted"]
    assert reasons["shop"][0].startswith("PSI ")
    assert reasons["price"] == ["mean moved by 1.00 sd > 0.5"]
    assert reasons["user"][0].startswith("missing values changed by +10")
    assert rates["user"]["missing"] == pytest.approx(61 / 600)
