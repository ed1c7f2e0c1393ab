"""KuaiRand-Pure's reader, on made rows in the official form (tests/data/kuairand_made)."""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idefn_tf.schema import Schema
from pipelines.datasets import kuairand_pure
from pipelines.prepare import main, prepare

MADE = Path(__file__).parents[2] / "data" / "kuairand_made"
STANDARD = "log_standard_4_25_to_5_06_pure.csv"
RANDOM = "log_random_4_25_to_5_06_pure.csv"
SCHEMA = Schema.load(Path(__file__).parents[3] / "schemas" / "kuairand_pure.yaml")
SMALL = SCHEMA.model_copy(
    update={"features": tuple(SCHEMA.feature(name) for name in ("user_id", "video_id", "tab"))}
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare("kuairand_pure", MADE, tmp_path_factory.mktemp("kuairand") / "out")


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    shutil.copytree(MADE, folder)
    return folder


def by_hand():
    """The whole preparation once more, in pandas."""
    log = pd.read_csv(MADE / STANDARD).drop_duplicates()
    log = log.sort_values(["time_ms", *[c for c in log.columns if c != "time_ms"]])
    log["row_id"] = np.arange(len(log))
    log["hour"] = log["hourmin"] // 100
    rows = log.merge(pd.read_csv(MADE / "user_features_pure.csv"), on="user_id", how="left")
    rows = rows.merge(
        pd.read_csv(MADE / "video_features_basic_pure.csv", dtype={"tag": str}),
        on="video_id",
        how="left",
    )
    rows["click"] = rows["is_click"]
    rows["conversion"] = rows["is_like"] * rows["is_click"]
    rows["exposure_time"] = rows["time_ms"]
    spans = {
        "train": (20220425, 20220502),
        "validation": (20220503, 20220504),
        "test": (20220505, 20220506),
    }
    return {part: rows[rows["date"].between(*span)] for part, span in spans.items()}


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_every_value_equals_the_same_preparation_in_pandas(prepared, part):
    rows = by_hand()[part].reset_index(drop=True)
    found = prepared.table(part).to_pandas()
    assert found["row_id"].tolist() == rows["row_id"].tolist()
    for feature in SCHEMA.features:
        if feature.name == "tag":
            expected = [
                [int(t) for t in text.split(",")][:4] if isinstance(text, str) else []
                for text in rows["tag"]
            ]
            assert [list(value) for value in found["tag"]] == expected
            continue
        expected = (
            rows[feature.name]
            .fillna(feature.fill)
            .astype({"int64": "int64", "float32": "float32", "string": str}[feature.dtype])
        )
        assert found[feature.name].tolist() == expected.tolist(), feature.name
    for name in ("click", "conversion", "exposure_time"):
        assert found[name].tolist() == rows[name].tolist()
    reports = prepared.report_table(part).to_pandas()
    assert reports["conversion_raw"].tolist() == rows["is_like"].tolist()
    assert reports["probe"].tolist() == ((rows["is_click"] == 0) & (rows["is_like"] == 1)).tolist()


def test_the_made_rows_hold_what_the_tests_are_about(prepared):
    rows = by_hand()["train"]
    assert rows["onehot_feat4"].isna().any()
    assert rows["tag"].isna().any()
    assert rows["tag"].str.count(",").max() == 4  # longer than max_length
    assert rows["video_duration"].isna().any()
    assert prepared.card["splits"]["train"]["probes"] > 0
    assert prepared.card["duplicates_dropped"] == 9
    assert prepared.card["checks"]["shortened_lists"]["tag"] > 0


def test_columns_and_types_are_the_contract(prepared):
    form = pq.read_schema(prepared.files("train")[0])
    assert form.names == [
        "row_id", *(f.name for f in SCHEMA.features), "click", "conversion", "exposure_time"
    ]  # fmt: skip
    assert {form.field(name).type for name in ("row_id", "user_id", "tab")} == {pa.int64()}
    assert form.field("exposure_time").type == pa.int64()
    assert form.field("click").type == form.field("conversion").type == pa.int8()
    assert form.field("video_duration").type == pa.float32()
    assert form.field("user_active_degree").type == pa.string()
    assert form.field("tag").type.value_type == pa.int64()
    report = pq.read_schema(prepared.report_files("train")[0])
    assert report.names == ["row_id", "conversion_raw", "probe"]
    assert report.types == [pa.int64(), pa.int8(), pa.bool_()]


@pytest.mark.job
def test_parquet_logs_give_the_same_rows_as_csv(prepared, raw, tmp_path):
    table = pd.read_csv(raw / STANDARD).astype({"is_click": "int8", "user_id": "int32"})
    table["onehot"] = 1  # an unknown column is no harm
    table.sample(frac=1, random_state=0).to_parquet(raw / STANDARD.replace(".csv", ".parquet"))
    (raw / STANDARD).unlink()
    again = prepare("kuairand_pure", raw, tmp_path / "out")
    for part in ("train", "validation", "test"):
        assert again.table(part).equals(prepared.table(part))
        assert again.report_table(part).equals(prepared.report_table(part))
    assert any("nothing uses: onehot" in note for note in again.card["checks"]["notes"])


@pytest.mark.job
def test_the_standard_log_is_the_default_and_random_or_both_can_be_asked_for(raw, tmp_path):
    def logs(choice):
        found = kuairand_pure.sources(raw, {"logs": choice})
        return [path.name for path in found if path.name.startswith("log_")]

    assert logs(None) == logs("standard") == [STANDARD]
    assert logs("random") == [RANDOM]
    assert logs("all") == [STANDARD, RANDOM]
    both = prepare("kuairand_pure", raw, tmp_path / "out", schema=SMALL, options={"logs": "all"})
    assert sum(part["rows"] for part in both.card["splits"].values()) == 690
    (raw / STANDARD).unlink()
    assert logs(None) == [RANDOM]


def test_derived_files_are_ignored(raw):
    shutil.copy(raw / STANDARD, raw / "derived_train_window.csv")
    pd.DataFrame({"is_like": [1]}).to_parquet(raw / "derived_other.parquet")
    names = [path.name for path in kuairand_pure.sources(raw, {"logs": "all"})]
    assert names == [
        STANDARD, RANDOM, "user_features_pure.csv", "video_features_basic_pure.csv"
    ]  # fmt: skip


def test_the_unpacked_archive_can_be_given_as_it_is(raw, tmp_path):
    (tmp_path / "KuaiRand-Pure").mkdir()
    raw.rename(tmp_path / "KuaiRand-Pure" / "data")
    for folder in (tmp_path, tmp_path / "KuaiRand-Pure"):
        assert kuairand_pure.sources(folder, {})[0].name == STANDARD


def test_official_files_are_split_at_their_own_border():
    days = [20220400 + d for d in range(8, 31)] + [20220500 + d for d in range(1, 9)]
    assert kuairand_pure.auto_split(days).spans == {
        "train": (date(2022, 4, 8), date(2022, 4, 19)),
        "validation": (date(2022, 4, 20), date(2022, 4, 21)),
        "test": (date(2022, 4, 22), date(2022, 5, 8)),
    }
    other = kuairand_pure.auto_split(days[:-1]).spans
    assert other["test"] == (date(2022, 5, 6), date(2022, 5, 7))


@pytest.mark.job
def test_users_and_videos_without_a_row_get_the_missing_value(raw, tmp_path):
    users = pd.read_csv(raw / "user_features_pure.csv", dtype=str)
    users[users["user_id"] != "0"].to_csv(raw / "user_features_pure.csv", index=False)
    out = prepare("kuairand_pure", raw, tmp_path / "out")
    rows = out.table("train").to_pandas()
    assert (rows.loc[rows["user_id"] == 0, "onehot_feat0"] == -1).all()
    assert (rows.loc[rows["user_id"] == 0, "user_active_degree"] == "").all()
    assert sum(part["rows"] for part in out.card["splits"].values()) == 600
    assert any("have a user_id that" in note for note in out.card["checks"]["notes"])
    share = (rows["user_id"] == 0).mean()
    assert out.card["features"]["onehot_feat0"]["missing"]["train"] == pytest.approx(share)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda raw: (raw / STANDARD).unlink() or (raw / RANDOM).unlink(), "must hold log_random_"),
        (lambda raw: (raw / "user_features_pure.csv").unlink(), "add user_features_pure.csv"),
        (lambda raw: append(raw / "user_features_pure.csv", 3), "user_id: must be unique in user"),
        (lambda raw: append(raw / "video_features_basic_pure.csv", 2), "video_id: must be unique"),
        (lambda raw: drop(raw / STANDARD, "is_like"), "['is_like'] must be there"),
        (lambda raw: drop(raw / "user_features_pure.csv", "onehot_feat7"), "['onehot_feat7']"),
        (lambda raw: put(raw / STANDARD, "is_click", "2"), "is_click: a label must be 0 or 1"),
        (lambda raw: put(raw / STANDARD, "is_like", ""), "is_like: a label must be 0 or 1"),
        (lambda raw: put(raw / STANDARD, "tab", "one"), "tab: must be int64"),
        (lambda raw: put(raw / STANDARD, "tab", "15"), "tab: must be at most 14"),
        (lambda raw: put(raw / STANDARD, "video_id", "-5"), "video_id: must be at least 0"),
        (lambda raw: put(raw / STANDARD, "date", "20220431"), "date: must be YYYYMMDD"),
        (lambda raw: put(raw / "video_features_basic_pure.csv", "tag", "1;2"), "every entry must"),
        (
            lambda raw: put(raw / "user_features_pure.csv", "onehot_feat4", "1.5"),
            "onehot_feat4: must be int64 (in user_features_pure.csv)",
        ),
        (lambda raw: (raw / STANDARD).write_text("user_id\n"), "must be there"),
    ],
)
def test_broken_raw_files_end_as_one_clear_message(raw, tmp_path, capsys, spoil, message):
    spoil(raw)
    status = main(["kuairand-pure", "--raw", str(raw), "--out", str(tmp_path / "out"), "--quiet"])
    said = capsys.readouterr().err
    assert status == 2
    assert message in said
    assert "Traceback" not in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["raw"]


def test_offending_rows_are_shown(raw, tmp_path, capsys):
    put(raw / STANDARD, "tab", "15")
    main(["kuairand-pure", "--raw", str(raw), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    first = pd.read_csv(raw / STANDARD).iloc[0]
    assert "(1 rows break it, such as tab=15, " in said
    assert f"user_id={first['user_id']}, video_id={first['video_id']}" in said


def test_a_column_is_not_text_to_one_feature_and_a_number_to_another(raw, tmp_path):
    text = SCHEMA.feature("onehot_feat3").model_copy(
        update={"name": "again", "column": "onehot_feat3", "dtype": "string"}
    )
    features = (SCHEMA.feature("onehot_feat3"), text)
    schema = SCHEMA.model_copy(update={"features": features})
    said = "feature 'again': must read column 'onehot_feat3' .* as int64, received string"
    with pytest.raises(ValueError, match=said):
        prepare("kuairand_pure", raw, tmp_path / "out", schema=schema)


def test_a_file_that_is_no_parquet_is_named(raw, tmp_path, capsys):
    (raw / STANDARD).rename(raw / STANDARD.replace(".csv", ".parquet"))
    assert main(["kuairand-pure", "--raw", str(raw), "--out", str(tmp_path / "out")]) == 2
    assert "reading log_standard_4_25_to_5_06_pure.parquet" in capsys.readouterr().err


def append(path, line):
    text = path.read_text().splitlines()
    path.write_text("\n".join([*text, text[line]]) + "\n")


def drop(path, column):
    pd.read_csv(path, dtype=str).drop(columns=column).to_csv(path, index=False)


def put(path, column, value):
    table = pd.read_csv(path, dtype=str)
    table.loc[0, column] = value
    table.to_csv(path, index=False)
