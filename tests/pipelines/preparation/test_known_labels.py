"""Labels known at a moment: prepared columns of delays, and what --as-of hides from whom."""

import shutil

import numpy as np
import pandas as pd
import pytest

from idefn_tf.data import open_dataset
from idefn_tf.schema import Schema
from pipelines.datasets.registry import Settings, prepare
from pipelines.preparation.split import parse

ENGINES = [
    "duckdb",
    pytest.param(
        "spark",
        marks=[
            pytest.mark.spark,
            pytest.mark.slow,
            # PySpark leaves the sockets over which results come to the garbage collector
            pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
            pytest.mark.filterwarnings(
                "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
            ),
        ],
    ),
]
HOUR = 3600
DAY = 24 * HOUR
START = 1_714_521_600  # 2024-05-01
SPLIT = parse("train=2024-05-01..2024-05-04,validation=2024-05-05,test=2024-05-06..2024-05-07")
#: By user: hours from the exposure to the click, from there to the conversion.
FUNNEL = {1: (1, 1), 2: (1, 47), 3: (1, 71), 4: (2, None), 5: (None, None), 6: (30, 3)}


def schema(immature="keep", hours=72, **labels):
    window = {"window_hours": hours, "from": "click"}
    return Schema.parse(
        {
            "name": "shop",
            "labels": {
                "click": "clicked",
                "conversion": "bought",
                "exposure_time": "shown_at",
                "click_time": "clicked_at",
                "conversion_time": "bought_at",
                "time_unit": "s",
                "attribution": window,
                "immature": immature,
                **labels,
            },
            "features": [{"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}],
        }
    )


def frame(days=7):
    rows = []
    for day in range(days):
        shown = START + day * DAY
        for user, (wait, delay) in FUNNEL.items():
            clicked = None if wait is None else shown + wait * HOUR
            bought = None if delay is None else clicked + delay * HOUR
            flags = int(wait is not None), int(delay is not None)
            rows.append((user, shown, flags[0], clicked, flags[1], bought))
    names = ["user", "shown_at", "clicked", "clicked_at", "bought", "bought_at"]
    return pd.DataFrame(rows, columns=names).astype({"clicked_at": "Int64", "bought_at": "Int64"})


def prepared(folder, table=None, made=None, as_of=None, name="out", **options):
    raw = folder / "raw.parquet"
    (frame() if table is None else table).to_parquet(raw)
    options = {"split": SPLIT, **options}
    return prepare("table", raw, folder / name, schema=made or schema(), as_of=as_of, **options)


def rows_of(found, part):
    table = found.table(part).to_pandas()
    return (
        table.assign(day=(table["exposure_time"] - START) // DAY)
        .set_index(["day", "user"])
        .sort_index()
    )


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


def test_a_moment_before_the_first_exposure_is_refused(tmp_path):
    with pytest.raises(ValueError) as caught:
        prepared(tmp_path, as_of=START - 1)
    said = str(caught.value)
    assert said.startswith("--as-of: must not lie before the first exposure, shown_at=1714521600")
    assert "which leaves none of 42 rows; give a later moment" in said


def test_what_no_column_tells_is_refused(tmp_path):
    made = schema("weight", click_time=None, conversion_time=None, attribution=None)
    with pytest.raises(ValueError, match="no column tells when conversions came, received"):
        prepared(tmp_path, made=made, as_of=START + DAY)
    table = frame()
    table["bought_at"] = table["bought_at"].mask(
        (table["user"] == 3) & (table["shown_at"] == START)
    )
    assert prepared(tmp_path, table).table("train").num_rows == 24
    with pytest.raises(ValueError, match=r"(?s)a conversion must have its time.*1 rows break it"):
        prepared(tmp_path, table, as_of=START + 6 * DAY)


def test_a_schema_with_the_conversions_time_alone_has_no_columns_of_delays(tmp_path):
    window = {"window_hours": 72, "from": "exposure"}
    made = schema("weight", click_time=None, attribution=window)
    found = prepared(tmp_path, made=made, as_of=START + 6 * DAY + HOUR)
    names = set(found.table("train").column_names)
    assert not names & {"elapsed", "conversion_delay", "conversion_final"}
    assert rows_of(found, "validation").loc[(4, 3), "conversion"] == 0
    assert rows_of(found, "test")["conversion"].sum() == 8


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


def settings(engine):
    if engine == "spark":
        pytest.importorskip("pyspark", reason="PySpark is not installed (requirements/spark.in)")
        if shutil.which("java") is None:
            pytest.skip("there is no Java on PATH")
    return Settings(engine=engine, threads=2, memory="1GB")


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


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("clicked_at", START - 1, r"clicked_at: a click must not come before its exposure \(shown"),
        ("bought_at", START + HOUR - 1, r"bought_at: a conversion must not come before its click"),
        ("bought_at", 1000 * START, r"bought_at: must hold seconds since 1970 .*are milliseconds"),
        ("bought_at", None, r"bought_at: a conversion must have its time"),
        ("as_of", START - 1, r"--as-of: must not lie before the first exposure, shown_at="),
    ],
)
def test_times_that_no_funnel_has_are_refused_with_column_rows_and_cure(
    tmp_path, engine, column, value, said
):
    table, as_of = frame(), START + 6 * DAY
    if column == "as_of":
        as_of = value
    else:
        table.loc[0, column] = value
    with pytest.raises(ValueError, match=said) as caught:
        prepared(tmp_path, table, as_of=as_of, settings=settings(engine))
    cures = ("correct the rows or the schema", "give a later moment", "set labels.time_unit: ms")
    assert any(cure in str(caught.value) for cure in cures)
    assert str(value) in str(caught.value)
