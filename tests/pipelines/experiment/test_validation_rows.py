"""Early stopping sees validation rows whose attribution window is over, and says which."""

import json

import numpy as np
import pandas as pd
import pytest

from idefn_tf.callbacks import read_history
from idefn_tf.data import open_dataset
from pipelines.cli.console import Console
from pipelines.datasets.registry import prepare
from pipelines.experiment.config import Config
from pipelines.experiment.validation_rows import ValidationRows
from pipelines.preparation.split import parse
from pipelines.train import train
from tests.pipelines.experiment.test_label_feedback import CONFIG, DAY, HOUR, START, schema

pytestmark = pytest.mark.job

#: Train three days, validate two; labels are as of the end of the sixth, windows have 48 hours.
SPLIT = parse("train=2024-05-01..2024-05-03,validation=2024-05-04..2024-05-05,test=2024-05-06")


def prepared(folder, immature="keep", window=48):
    """Twenty exposures a day, each clicked at once; every fourth converts, half of these late."""
    n = 120
    shown = START + np.arange(n) * DAY // 20 + 60
    bought = np.arange(n) % 4 == 0
    after = np.where(np.arange(n) % 8 == 0, 20 * HOUR, HOUR)
    frame = pd.DataFrame(
        {
            "user": np.arange(n) % 7, "item": np.arange(n) % 5, "shown_at": shown,
            "clicked": 1, "bought": bought.astype(int), "clicked_at": shown,
            "bought_at": pd.array(np.where(bought, shown + after, 0), "Int64"),
        }
    )  # fmt: skip
    frame.loc[~bought, "bought_at"] = pd.NA
    frame.to_parquet(folder / "raw.parquet")
    labels = {"attribution": {"window_hours": window, "from": "click"}, "immature": immature}
    return prepare(
        "table", folder / "raw.parquet", folder / "data", schema=schema(**labels), split=SPLIT,
        as_of=START + 6 * DAY,
    )  # fmt: skip


def test_rows_of_open_windows_are_left_out(tmp_path):
    """Of 40 rows of two days the twenty of the second are younger than two days."""
    found = ValidationRows.of(prepared(tmp_path))
    assert found.counts == {"rows": 20, "open_rows": 20, "left_out": 20}
    assert found.source.num_rows == 20
    assert max(found.source["exposure_time"].to_pylist()) < START + 4 * DAY
    said = "20 rows with an open attribution window are left out, 20 rows count"
    assert (found.note, found.careful) == (f"early stopping: {said}", False)


@pytest.mark.parametrize("window", [72, 71.3])
def test_where_no_other_rows_have_both_labels_all_stay_and_it_is_said(tmp_path, window):
    """A window of 71.3 hours leaves one row, which converts."""
    data = prepared(tmp_path, window=window)
    found = ValidationRows.of(data)
    young = 40 if window == 72 else 39
    assert found.counts == {"rows": 40, "open_rows": young, "left_out": 0}
    assert found.source == data.files("validation")
    assert found.careful
    assert f"sees {young} of 40 validation rows before their attribution window" in found.note


def test_windows_that_are_over_or_left_out_change_nothing(tmp_path):
    (tmp_path / "drop").mkdir()
    dropped = prepared(tmp_path / "drop", immature="drop", window=12)
    assert ValidationRows.of(dropped).counts == {}
    assert ValidationRows.of(dropped).source == dropped.files("validation")
    (tmp_path / "short").mkdir()
    short = ValidationRows.of(prepared(tmp_path / "short", window=0.01))
    assert short.counts == {"rows": 40, "open_rows": 0, "left_out": 0}
    assert short.note == ""


def test_a_training_selects_by_them_and_its_card_counts_them(tmp_path, capsys):
    data, config = prepared(tmp_path), Config.parse(CONFIG)
    run = train(config, data, tmp_path / "run", Console(), evaluate=False)
    assert "20 rows with an open attribution window are left out" in capsys.readouterr().err
    card = json.loads(run.card_path.read_text())
    assert card["selection"] == {"rows": 20, "open_rows": 20, "left_out": 20}
    best = run.load_model()
    rows = ValidationRows.of(data).source
    told = read_history(run.history_path)
    found = best.evaluate(open_dataset(data.schema, rows), verbose=0, return_dict=True)
    whole = best.evaluate(
        open_dataset(data.schema, data.files("validation")), verbose=0, return_dict=True
    )
    losses = [float(epoch["val_loss"]) for epoch in told]
    assert any(value == pytest.approx(found["loss"], rel=1e-4) for value in losses)
    assert not any(value == pytest.approx(whole["loss"], rel=1e-4) for value in losses)
