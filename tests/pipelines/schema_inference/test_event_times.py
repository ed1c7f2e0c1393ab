"""The times of clicks and conversions are found in a table, and never become features."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipelines import schema as command
from pipelines.datasets.registry import prepare
from pipelines.schema_inference.proposal import propose

START, DAY = 1_714_521_600, 86_400


def frame(rows=4000):
    """Clicks a minute after exposures, conversions an hour after clicks."""
    rng = np.random.default_rng(0)
    click = (rng.random(rows) < 0.3).astype(int)
    bought = click * (rng.random(rows) < 0.4)
    shown = START + np.sort(rng.integers(0, 8 * DAY, rows))
    clicked = np.where(click, shown + 60, np.nan)
    return pd.DataFrame(
        {
            "user": rng.integers(0, 300, rows),
            "item": rng.integers(0, 50, rows),
            "shown_at": shown,
            "tapped": clicked,
            "bought_at": np.where(bought, clicked + 3600, np.nan),
            "refunded_at": np.where(bought & (rng.random(rows) < 0.2), clicked + DAY, np.nan),
            "elapsed": rng.random(rows),
            "clicked": click,
            "bought": bought,
        }
    )


def proposed(table):
    return propose(pa.Table.from_pandas(table), "clicked", "bought")


def role(proposal, column):
    return next((g.role, g.what) for g in proposal.guesses if g.column == column)


@pytest.mark.parametrize("form", ["numbers", "texts", "stamps"])
def test_times_that_are_there_with_their_event_are_proposed(form):
    table = frame()
    for name in ("shown_at", "tapped", "bought_at", "refunded_at"):
        if form != "numbers":
            table[name] = pd.to_datetime(table[name], unit="s")
        if form == "texts":
            table[name] = table[name].dt.strftime("%Y-%m-%d %H:%M:%S")
    found = proposed(table)
    assert found.labels == {
        "click": "clicked",
        "conversion": "bought",
        "exposure_time": "shown_at",
        "click_time": "tapped",
        "conversion_time": "bought_at",
        "time_unit": "s" if form == "numbers" else "ms",
    }
    assert role(found, "tapped") == ("time", "click time")
    assert role(found, "bought_at") == ("time", "conversion time")
    assert role(found, "refunded_at") == ("left out", "leak")
    assert role(found, "elapsed") == ("left out", "reserved")
    assert {f.source for f in found.schema().features} == {"user", "item"}


def test_a_time_that_no_funnel_has_is_pointed_at_and_left_out():
    table = frame()
    table.loc[table["tapped"].first_valid_index(), "tapped"] = START - 5
    found = proposed(table)
    assert "click_time" not in found.labels
    assert any("lies before 'shown_at' on 1 rows" in warning for warning in found.warnings)
    assert role(found, "tapped") == ("left out", "leak")
    assert found.labels["conversion_time"] == "bought_at"


@pytest.mark.job
def test_what_is_proposed_can_be_prepared(tmp_path, capsys):
    raw, out = tmp_path / "raw.parquet", tmp_path / "schema.yaml"
    frame().to_parquet(raw)
    words = ["infer", str(raw), "--click", "clicked", "--conversion", "bought", "--out", str(out)]
    assert command.main(words) == 0
    capsys.readouterr()
    made = command.Schema.load(out)
    rows = prepare("table", raw, tmp_path / "out", schema=made).table("train").to_pandas()
    assert rows["conversion_delay"].dropna().unique() == pytest.approx([1 / 24])
    assert rows["elapsed"].notna().sum() == rows["click"].sum()
