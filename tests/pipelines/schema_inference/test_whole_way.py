"""A user's own table: the way from the file to scores."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from idefn_tf.schema import Schema
from pipelines import evaluate, prepare, train
from pipelines.cli.console import Console
from pipelines.experiment.config import Config
from pipelines.preparation.prepared_folder import Prepared
from pipelines.run import ROOT

pytestmark = pytest.mark.job

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def data(folder, schema_path):
    arguments = ["table", "--raw", str(folder / "shop.csv"), "--schema", str(schema_path)]
    assert prepare.main([*arguments, "--out", str(folder / "data"), "--quiet"]) == 0
    return Prepared.open(folder / "data")


@pytest.fixture(scope="module")
def run(folder, data):
    config = Config.load(
        ROOT / "configs" / "table/idefn.yaml",
        [
            "training.epochs=6",
            "training.jit_compile=false",
            "training.audit=false",  # tests/pipelines/test_audit.py has it
            "optimizer.learning_rate=0.005",
            "model.transport.steps=20",  # which cost more than all else where XLA does not help
        ],
    )
    return train.train(config, data.root, folder / "run", QUIET)


def test_every_row_lands_in_one_part_by_its_day(data, frame):
    counts = {part: data.card["splits"][part]["rows"] for part in data.parts}
    assert sum(counts.values()) == len(frame)
    days = pd.to_datetime(frame["shown_at"]).dt.strftime("%Y-%m-%d")
    assert counts["test"] == int((days >= "2024-05-07").sum())
    assert counts["train"] == int((days <= "2024-05-04").sum())
    clicks = sum(data.card["splits"][part]["clicks"] for part in data.parts)
    assert clicks == frame["clicked"].sum()


def test_prepared_values_are_the_tables(data, frame):
    table = data.table("train").to_pandas()
    expected = frame.iloc[: len(table)]  # the frame is in the order of time
    assert set(table["sku"]) <= set(frame["sku"])
    assert sorted(table["member_id"]) == sorted(expected["member_id"])
    assert table["is_prime"].sum() == (expected["is_prime"] == "True").sum()
    assert table["exposure_time"].is_monotonic_increasing
    first = pd.to_datetime(expected["shown_at"].iloc[0]).timestamp() * 1000
    assert table["exposure_time"].iloc[0] == first


def test_a_model_learns_from_ones_own_table(run):
    metrics = json.loads(run.metrics_path.read_text())
    assert metrics["validation"]["all_funnel"]["cvr_auc"] > 0.6
    assert metrics["test"]["clicked"]["cvr_auc"] > 0.6


def test_a_raw_file_is_evaluated_as_its_prepared_rows_are(run, folder, data, frame, capsys):
    test = frame[frame["shown_at"] >= "2024-05-07"]
    path = folder / "later.csv"
    test.to_csv(path, index=False)
    assert (
        evaluate.main(["--run", str(run.root), "--raw", str(path), "--json", "-", "--quiet"]) == 0
    )
    printed = json.loads(capsys.readouterr().out)["all"]
    own = json.loads(run.metrics_path.read_text())["test"]
    for metric in ("rows", "positives", "cvr_auc", "ctr_auc", "cvr_logloss"):
        assert printed["all_funnel"][metric] == pytest.approx(own["all_funnel"][metric], abs=1e-6)


def test_fewer_than_five_days_are_split_by_shares_of_the_rows(folder, schema_path, frame, tmp_path):
    short = tmp_path / "short.csv"
    frame.head(2000).to_csv(short, index=False)
    out = prepare.prepare("table", short, tmp_path / "d", schema=Schema.load(schema_path))
    counts = [out.card["splits"][p]["rows"] for p in ("train", "validation", "test")]
    assert sum(counts) == 2000
    assert counts == pytest.approx([1600, 200, 200], abs=5)
    times = {p: out.table(p)["exposure_time"].to_pylist() for p in out.parts}
    assert max(times["train"]) < min(times["validation"])
    assert max(times["validation"]) < min(times["test"])
    assert any("fewer than 5 days" in note for note in out.card["checks"]["notes"])
    cut = datetime.fromtimestamp(min(times["validation"]) // 1000, UTC)
    assert out.card["days"]["train"] == f"shown_at before {cut:%Y-%m-%d %H:%M:%S} UTC"


def test_without_a_time_equal_rows_share_a_part(schema_path, frame, tmp_path):
    value = Schema.load(schema_path).model_dump(mode="json", exclude_defaults=True)
    for key in ("exposure_time", "time_unit"):
        value["labels"].pop(key, None)
    twice = pd.concat([frame.head(3000)] * 2)
    twice.to_csv(tmp_path / "twice.csv", index=False)
    out = prepare.prepare(
        "table", tmp_path / "twice.csv", tmp_path / "d", schema=Schema.parse(value)
    )
    keys = ["member_id", "sku", "position", "price", "click"]
    rows = {p: set(out.table(p, keys).to_pandas().itertuples(index=False)) for p in out.parts}
    assert sum(out.card["splits"][p]["rows"] for p in out.parts) == 6000
    shared = rows["train"] & rows["test"]
    assert len(shared) < 10  # rows that differ in columns not compared here
    share = out.card["splits"]["test"]["rows"] / 6000
    assert 0.06 < share < 0.14


@pytest.mark.parametrize(
    ("written", "unit", "expected"),
    [
        (["2024-05-01 10:00:00"], "ms", 1714557600000),
        (["2024-05-01T10:00:00.250"], "ms", 1714557600250),
        (["2024-05-01"], "s", 1714521600),
        (["20240501"], "ms", 1714521600000),
        (["1714557600"], "s", 1714557600),
        (["1714557600000"], "ms", 1714557600000),
        ([pd.Timestamp("2024-05-01 10:00:00")], "ms", 1714557600000),
        (["never"], "ms", None),
    ],
)
def test_times_in_every_form(written, unit, expected):
    import ibis

    from pipelines.preparation.times import epoch

    table = ibis.memtable(pd.DataFrame({"t": written}))
    value = table.select(made=epoch(table["t"], unit)).to_pyarrow()["made"][0].as_py()
    assert value == expected


@pytest.mark.parametrize(
    "day", ["1970-01-01", "1999-12-31", "2000-02-29", "2024-02-29", "2024-03-01", "2100-03-01"]
)
def test_days_by_plain_arithmetic(day):
    import ibis

    from pipelines.preparation.times import day_number

    seconds = int(pd.Timestamp(day).timestamp()) + 86399
    table = ibis.memtable(pd.DataFrame({"s": [seconds]}))
    found = table.select(made=day_number(table["s"])).to_pyarrow()["made"][0].as_py()
    assert found == int(day.replace("-", ""))


def test_a_table_without_a_schema_is_told_how_to_get_one(tmp_path, folder, capsys):
    out = ["--out", str(tmp_path / "d"), "--quiet"]
    assert prepare.main(["table", "--raw", str(folder / "shop.csv"), *out]) == 2
    assert "pipelines.schema infer" in capsys.readouterr().err


def test_show_checks_a_schema_and_lists_what_history_makes(capsys):
    from pipelines.schema import main as schema_job

    shipped = Path(__file__).parents[3] / "schemas" / "simulated_funnel_history.yaml"
    assert schema_job(["show", str(shipped)]) == 0
    shown = capsys.readouterr().err
    assert "clicks__gap" in shown
    assert "item_price" in shown
    assert schema_job(["show", str(shipped.with_name("config.json"))]) == 2
