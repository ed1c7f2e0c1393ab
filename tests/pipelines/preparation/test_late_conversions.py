"""Times of clicks and conversions: what comes after the window counts as none."""

import pandas as pd
import pytest

from pipelines.datasets.registry import prepare
from pipelines.preparation.split import parse
from tests.idefn_tf.data.timed_rows import DAY, HOUR, START, timed_schema


def schema(start, hours=24):
    return timed_schema(hours, start)


def frame():
    """Ten days, four rows a day: bought 1, 30 and 50 hours after a click."""
    rows = []
    for day in range(10):
        shown = START + day * DAY
        for user, (click, delay) in enumerate([(1, 1), (1, 30), (1, 50), (0, None)]):
            clicked = shown + 10 * HOUR if click else None
            bought = None if delay is None else clicked + delay * HOUR
            rows.append((user + 1, shown, click, clicked, int(delay is not None), bought))
    names = ["user", "shown_at", "clicked", "clicked_at", "bought", "bought_at"]
    return pd.DataFrame(rows, columns=names).astype({"clicked_at": "Int64", "bought_at": "Int64"})


def prepared(folder, made, table):
    raw = folder / "raw.parquet"
    table.to_parquet(raw)
    split = parse("train=2024-05-01..2024-05-04,validation=2024-05-05,test=2024-05-06")
    return prepare("table", raw, folder / "out", schema=made, split=split)


@pytest.mark.parametrize(
    ("start", "hours", "kept"),
    [("click", 24, [1]), ("click", 30, [1, 2]), ("exposure", 24, [1]), ("exposure", 60, [1, 2, 3])],
)
def test_a_conversion_after_the_window_is_none(tmp_path, start, hours, kept):
    found = prepared(tmp_path, schema(start, hours), frame())
    train = found.table("train").to_pandas()
    assert sorted(train[train["conversion"] == 1]["user"].unique()) == kept
    card = found.card["immature"]
    assert card["late_conversions"] == 10 * (3 - len(kept))
    assert card["from"] == start
    assert card["conversions_with_a_time"] == 10 * len(kept)


def test_the_card_tells_how_long_conversions_take(tmp_path):
    card = prepared(tmp_path, schema("click", 72), frame()).card["immature"]
    shares = card["known_after_hours"]
    assert shares["1"] == shares["6"] == shares["24"] == pytest.approx(1 / 3)
    assert shares["72"] == 1.0


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("clicked_at", START - 1, "a click must not come before its exposure"),
        ("bought_at", START + 10 * HOUR - 1, "a conversion must not come before its click"),
    ],
)
def test_an_order_that_no_funnel_has_is_refused_with_its_rows(tmp_path, column, value, said):
    table = frame()
    table.loc[0, column] = value
    if column == "clicked_at":
        table.loc[0, "bought_at"] = START + DAY
    with pytest.raises(ValueError) as caught:
        prepared(tmp_path, schema("click"), table)
    assert said in str(caught.value)
    assert str(value) in str(caught.value)


def test_a_conversion_without_a_time_counts(tmp_path):
    table = frame()
    table["bought_at"] = table["bought_at"].mask(table["user"] == 3)
    found = prepared(tmp_path, schema("click", 24), table)
    train = found.table("train").to_pandas()
    assert sorted(train[train["conversion"] == 1]["user"].unique()) == [1, 3]
