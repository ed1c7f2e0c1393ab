"""Labels known at a moment: prepared columns of delays, and what --as-of hides from whom."""

import json

import numpy as np
import pandas as pd
import pytest

from idefn_tf.data import open_dataset
from idefn_tf.history.as_of import NEVER
from idefn_tf.history.kept_history import PRIORS, read_events
from idefn_tf.schema import Schema
from pipelines.preparation.split import parse
from tests.pipelines.preparation.timed_shop import (
    DAY,
    ENGINES,
    FUNNEL,
    HOUR,
    START,
    frame,
    prepared,
    rows_of,
    schema,
    settings,
)  # fmt: skip

pytestmark = pytest.mark.job


def test_without_an_as_of_everything_the_log_says_is_known(tmp_path):
    found = prepared(tmp_path)
    # the last conversion: day 6, 1 h + 71 h after its exposure
    end = START + 6 * DAY + 72 * HOUR
    assert found.card["immature"]["as_of"] == end
    assert found.card["labels"] == dict.fromkeys(("train", "validation", "test"), "final")
    for part in found.parts:
        rows = rows_of(found, part)
        assert (rows["conversion"] == rows["conversion_final"]).all()
        assert rows["conversion"].dtype == rows["conversion_final"].dtype == np.int8
        clicked = rows[rows["click"] == 1]
        expected = [
            (end - START - day * DAY - FUNNEL[user][0] * HOUR) / DAY for day, user in clicked.index
        ]
        np.testing.assert_allclose(clicked["elapsed"], expected, rtol=1e-6)
        assert rows["elapsed"].dtype == np.float32
        assert rows.loc[rows["click"] == 0, "elapsed"].isna().all()
        delays = clicked["conversion_delay"].groupby("user").first()
        np.testing.assert_allclose(delays[[1, 2, 3]], [1 / 24, 47 / 24, 71 / 24], rtol=1e-6)
        assert clicked.loc[(slice(None), 4), "conversion_delay"].isna().all()


def test_what_stands_where_nothing_happened_does_not_count(tmp_path):
    zeros = frame().fillna({"clicked_at": 0, "bought_at": -1})
    as_of = START + 6 * DAY + 90 * 60
    one, two = prepared(tmp_path, as_of=as_of), prepared(tmp_path, zeros, as_of=as_of, name="zeros")
    for part in one.parts:
        pd.testing.assert_frame_equal(
            rows_of(one, part).drop(columns="row_id"), rows_of(two, part).drop(columns="row_id")
        )


def test_train_and_validation_see_the_label_of_the_moment_and_test_the_final_one(tmp_path):
    as_of = START + 6 * DAY + 90 * 60  # day 6, 01:30: of that day users 1 to 3 have clicked
    found = prepared(tmp_path, as_of=as_of)
    # user 3 buys 72 h after the exposure: of day 4 that is not known yet
    known = {
        (day, user)
        for part in ("train", "validation")
        for (day, user), row in rows_of(found, part).iterrows()
        if row["conversion"]
    }
    assert known == {(d, u) for d in range(5) for u in (1, 2, 3, 6)} - {(4, 3)}
    validation = rows_of(found, "validation")
    assert validation.loc[(4, 3), ["click", "conversion", "conversion_final"]].tolist() == [1, 0, 1]
    assert np.isnan(validation.loc[(4, 3), "conversion_delay"])
    np.testing.assert_allclose(validation.loc[(4, 3), "elapsed"], 2 + 0.5 / 24, rtol=1e-6)
    test = rows_of(found, "test")
    assert len(test) == 12  # days 5 and 6
    assert test["conversion"].sum() == 8
    assert test["click"].sum() == 10  # also users 4 and 6 of day 6, who click after the moment
    end = START + 6 * DAY + 72 * HOUR
    assert end == START + 9 * DAY
    np.testing.assert_allclose(test.loc[(6, 4), "elapsed"], 3 - 2 / 24, rtol=1e-6)
    assert found.card["labels"] == {
        "train": "known at 2024-05-07 01:30:00 UTC",
        "validation": "known at 2024-05-07 01:30:00 UTC",
        "test": "final",
    }
    assert found.card["immature"]["after_as_of"] == {
        "exposures": 0, "clicks": 0, "conversions": 1
    }  # fmt: skip


def test_later_exposures_are_left_out_and_later_clicks_are_not_known(tmp_path):
    split = parse("train=2024-05-01..2024-05-04,validation=2024-05-05,test=2024-05-06")
    found = prepared(tmp_path, as_of=START + 5 * DAY + 2 * HOUR, split=split)
    # of train: user 3 of day 3. Of validation: users 2, 3 and 6, who clicks on day 5 at 06:00
    after = {"exposures": 6, "clicks": 1, "conversions": 4}
    assert found.card["immature"]["after_as_of"] == after
    assert any("hides 1 clicks and 4 conv" in note for note in found.card["checks"]["notes"])
    validation = rows_of(found, "validation")
    row = validation.loc[(4, 6)]
    assert row[["click", "conversion", "conversion_final"]].tolist() == [0, 0, 0]
    assert np.isnan(row["elapsed"])
    assert validation["conversion"].tolist() == [1, 0, 0, 0, 0, 0]
    assert validation["conversion_final"].tolist() == [1, 1, 1, 0, 0, 0]
    assert found.report_table("validation")["conversion_raw"].to_pylist().count(1) == 1
    assert rows_of(found, "test")["conversion"].tolist() == [1, 1, 1, 0, 0, 1]


def test_a_moment_in_the_past_is_the_log_cut_there(tmp_path):
    """With one part and drop, the log until T gives what --as-of T gives of the whole log."""
    as_of, whole = START + 5 * DAY, frame()
    cut = whole[whole["shown_at"] <= as_of].copy()
    cut.loc[cut["clicked_at"] > as_of, ["clicked", "bought"]] = 0
    cut.loc[cut["bought_at"] > as_of, "bought"] = 0
    for event in ("clicked", "bought"):
        cut[f"{event}_at"] = cut[f"{event}_at"].mask(cut[event] == 0)
    split = parse("train=2024-05-01..2024-05-02,validation=2024-05-03,test=2024-05-04")
    for treatment in ("drop", "keep", "weight"):
        made = schema(treatment, hours=24)
        tables = [
            prepared(tmp_path, table, made, as_of, name=f"{treatment}{i}", split=split)
            for i, table in enumerate((whole, cut))
        ]
        for part in ("train", "validation"):
            one, two = (
                found.table(part).drop_columns(["row_id", "conversion_final"]).to_pandas()
                for found in tables
            )
            assert len(one)
            pd.testing.assert_frame_equal(one, two)


def test_weights_are_of_the_moment_and_of_the_logs_end_in_test(tmp_path):
    split = parse("train=2024-05-01..2024-05-03,validation=2024-05-04,test=2024-05-05")
    found = prepared(tmp_path, as_of=START + 5 * DAY, made=schema("weight", 48), split=split)
    validation = rows_of(found, "validation")  # day 3: two days old
    np.testing.assert_allclose(validation.loc[(3, 5), "sample_weight"], 1.0)
    np.testing.assert_allclose(validation.loc[(3, 4), "sample_weight"], 46 / 48)
    assert (rows_of(found, "test")["sample_weight"] == 1.0).all()


def test_a_schema_with_the_conversions_time_alone_has_no_columns_of_delays(tmp_path):
    window = {"window_hours": 72, "from": "exposure"}
    made = schema("weight", click_time=None, attribution=window)
    found = prepared(tmp_path, made=made, as_of=START + 6 * DAY + HOUR)
    names = set(found.table("train").column_names)
    assert not names & {"elapsed", "conversion_delay", "conversion_final"}
    assert rows_of(found, "validation").loc[(4, 3), "conversion"] == 0
    assert rows_of(found, "test")["conversion"].sum() == 8


def test_kept_rows_say_whether_their_window_is_open(tmp_path):
    found = prepared(tmp_path, made=schema("keep", 48), as_of=START + 6 * DAY)
    opened = rows_of(found, "validation")["window_open"]  # day 4; windows from the click
    # of user 5, who did not click, the window opened with the exposure: two days ago
    assert {u: opened[(4, u)] for u in FUNNEL} == {1: 1, 2: 1, 3: 1, 4: 1, 5: 0, 6: 1}
    opened = rows_of(found, "train")["window_open"]
    assert list(opened[opened == 1].index) == [(3, 6)]  # 30 h and 48 h later: day 6, 06:00
    # the log ends with the purchase of user 2 of day 6: 48 h after the exposure
    opened = rows_of(found, "test").loc[5, "window_open"]
    assert list(opened[opened == 1].index) == [6]  # clicked on day 6 at 06:00
    other = prepared(tmp_path, made=schema("weight", 48), name="weighed")
    assert "window_open" not in other.table("train").column_names


def test_batches_of_prepared_rows_hold_the_labels_of_delays_when_asked(tmp_path):
    found = prepared(tmp_path, as_of=START + 6 * DAY + 90 * 60)
    files = found.files("validation")
    plain = next(iter(open_dataset(found.schema, files)))[1]
    assert sorted(plain) == ["click", "conversion"]
    labels = next(iter(open_dataset(found.schema, files, feedback_labels=True)))[1]
    rows = found.table("validation").to_pandas()
    assert sorted(labels) == [
        "click", "conversion", "conversion_delay", "conversion_final", "elapsed"
    ]  # fmt: skip
    for name, values in labels.items():
        assert values.dtype.name == "float32"
        np.testing.assert_array_equal(values.numpy(), rows[name].fillna(0.0).to_numpy(np.float32))
    with pytest.raises(ValueError, match="as_of: must be None for prepared rows"):
        open_dataset(found.schema, files, feedback_labels=True, as_of=START)


def test_a_history_sees_nothing_after_the_moment(tmp_path):
    """Columns, priors and kept events of the whole log as of T are those of the log cut at T."""
    value = schema("keep", 72).model_dump(mode="json", by_alias=True, exclude_none=True)
    past = {"key": "user", "events": ["click", "conversion"], "measures": ["count", "rate"]}
    made = Schema.parse({**value, "history": {"aggregates": [past], "burn_in_days": 0}})
    as_of, whole = START + 5 * DAY + 2 * HOUR, frame()
    cut = whole[whole["shown_at"] <= as_of].copy()
    for event, also in (("clicked", ["clicked", "bought"]), ("bought", ["bought"])):
        cut.loc[cut[f"{event}_at"] > as_of, also] = 0
    split = parse("train=2024-05-01..2024-05-04,validation=2024-05-05,test=2024-05-06")
    earlier = tmp_path / "earlier.parquet"
    whole.assign(shown_at=whole["shown_at"] - HOUR, clicked_at=whole["clicked_at"] + 20 * DAY,
                 bought_at=whole["bought_at"] + 20 * DAY).to_parquet(earlier)  # fmt: skip
    one, two = (
        prepared(tmp_path, table, made, as_of, name, split=split, events=events)
        for name, table, events in (("a", whole, [str(earlier)]), ("b", cut, [str(earlier)]))
    )
    names = sorted(made.generated)
    for part in one.parts:
        a, b = (rows_of(found, part)[names] for found in (one, two))
        pd.testing.assert_frame_equal(a, b)
        assert a.to_numpy().any()
    logs = [read_events(str(found.place), made) for found in (one, two)]
    for log in logs:
        known = np.concatenate([*log.known.values()])
        assert (known[known != NEVER] <= as_of).all()
        assert log.happened["click"].sum() == (cut["clicked"] == 1).sum()
    priors = [(found.vocabularies / PRIORS).read_text() for found in (one, two)]
    assert priors[0] == priors[1]
    train = rows_of(one, "train")
    assert json.loads(priors[0])["priors"]["conversion"] == train["conversion"].mean()


@pytest.mark.parametrize("engine", ENGINES[1:])
@pytest.mark.parametrize("treatment", ["keep", "weight", "drop"])
def test_spark_gives_the_same_rows(tmp_path, engine, treatment):
    made = schema(treatment, 24)
    split = parse("train=2024-05-01..2024-05-02,validation=2024-05-03,test=2024-05-04")
    one, two = (
        prepared(
            tmp_path, made=made, as_of=START + 5 * DAY + 90 * 60, split=split, name=name,
            settings=settings(name),
        )
        for name in ("duckdb", engine)
    )  # fmt: skip
    for part in one.parts:
        assert one.table(part).equals(two.table(part))
        assert one.report_table(part).equals(two.report_table(part))
    assert one.card["immature"] == two.card["immature"]
    assert one.card["checks"]["notes"] == two.card["checks"]["notes"]
