"""History in preparation: what `attach` gives on the same table, day by day and in one go."""

import shutil

import numpy as np
import pandas as pd
import pytest

from idefn_tf.data import read_table
from idefn_tf.history import attach
from idefn_tf.history.kept_history import read_events
from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.datasets.registry import Settings, prepare, prepare_rows
from pipelines.preparation import history
from pipelines.preparation.split import parse

pytestmark = pytest.mark.job

BEGIN = pd.Timestamp("2024-03-28", tz="Europe/Berlin")  # clocks change on the 31st
DAYS = 9
SCHEMA = {
    "name": "shop",
    "features": [
        {"name": "user", "column": "uid", "dtype": "int64", "side": "user", "kind": "vocabulary"},
        {"name": "item", "dtype": "string", "side": "item", "kind": "vocabulary"},
        {"name": "number", "dtype": "float32", "side": "item", "kind": "numeric"},
    ],
    "labels": {"click": "c", "conversion": "v", "exposure_time": "at",
               "time_zone": "Europe/Berlin"},
    "history": {
        "refresh": "hourly", "lag": "1h", "burn_in_days": 2,
        "aggregates": [
            {"key": "user", "events": ["exposure", "click"], "windows": ["6h", "2d", "all"],
             "measures": ["count", "rate", "hours_since"]},
            {"key": ["user", "item"], "events": ["conversion"], "value": "price",
             "measures": ["count", "rate", "sum"]},
        ],
    },
    "sequences": [
        {"name": "clicks", "key": "user", "condition": "clicked", "items": ["item"], "length": 4,
         "gap_hours": [2, 24]},
    ],
}  # fmt: skip


def schema_of(**more):
    return Schema.parse({**SCHEMA, "history": {**SCHEMA["history"], **more}})


def made_log(rows=700, seed=0):
    """A log in the order of time with ties, missing keys, late hours; `number` tells rows apart."""
    rng = np.random.default_rng(seed)
    first = BEGIN.value // 1_000_000
    times = np.sort(rng.integers(0, DAYS * 24 * 4 - 4, rows)) * 900_000 + first
    users = rng.integers(0, 9, rows).astype(object)
    users[rng.random(rows) < 0.05] = None
    items = rng.choice(["a", "b", "c"], rows).astype(object)
    items[rng.random(rows) < 0.05] = None
    clicks = rng.integers(0, 2, rows)
    log = pd.DataFrame({"uid": pd.array(users, "Int64"), "item": items, "c": clicks,
                        "v": clicks * rng.integers(0, 2, rows), "at": times})  # fmt: skip
    price = rng.normal(size=rows).astype(np.float32)
    return log.assign(number=np.arange(rows) / 1024, price=price.astype(float))


def write(folder, log):
    folder.mkdir(exist_ok=True)
    log.to_parquet(folder / "log.parquet", index=False)
    return folder


def rows_of(prepared, parts=None):
    """The history of prepared rows by their number, in the order of numbers."""
    schema = prepared.schema
    names = ["number", *sorted(schema.generated)]
    pieces = [
        read_table(file, schema).select(names).to_pandas()
        for part in parts or prepared.parts
        for file in prepared.files(part)
    ]
    return pd.concat(pieces).sort_values("number").reset_index(drop=True)


def assert_same(found, want):
    """Numbers equal to the bit, lists equal."""
    assert len(found) == len(want)
    for name in found.columns:
        one, two = found[name].tolist(), want[name].tolist()
        if "clicks__" in name:
            assert [list(cell) for cell in one] == [list(cell) for cell in two], name
        else:
            np.testing.assert_array_equal(one, two, err_msg=name)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return write(tmp_path_factory.mktemp("raw") / "log", made_log())


@pytest.fixture(scope="module")
def prepared(raw, tmp_path_factory):
    return prepare("table", raw, tmp_path_factory.mktemp("prepared") / "out", schema=schema_of())


def expected(log, schema, priors, events=None):
    table = attach(schema, log.rename(columns={"uid": "user"}), events, priors=priors)
    return table[["number", *sorted(schema.generated)]].astype({"number": "float32"})


def test_prepared_rows_are_those_that_attach_gives(prepared):
    log = made_log()
    found = rows_of(prepared)
    priors = history.read_priors(prepared.vocabularies)
    want = expected(log, prepared.schema, priors)
    burnt = log["at"] < (BEGIN + pd.Timedelta(days=2)).value // 1_000_000
    assert 0 < burnt.sum() < len(log)
    assert_same(found, want[~burnt.to_numpy()].reset_index(drop=True))
    # the burnt days are seen
    assert found["user__exposure_count__all"].iloc[:20].max() > 5


def test_priors_are_the_shares_of_training_rows_alone(prepared):
    train = pd.concat(pd.read_parquet(file) for file in prepared.files("train"))
    priors = history.read_priors(prepared.vocabularies)
    assert priors == {
        "click": pytest.approx(train["click"].mean()),
        "conversion": pytest.approx(train["conversion"].mean()),
    }


def test_the_order_of_the_raw_rows_and_files_changes_nothing(prepared, tmp_path):
    log = made_log()
    order = np.random.default_rng(1).permutation(len(log))
    folder = tmp_path / "raw"
    folder.mkdir()
    for place, some in enumerate(np.array_split(order, 3)):
        log.iloc[some].to_parquet(folder / f"{place}.parquet", index=False)
    other = prepare("table", folder, tmp_path / "out", schema=schema_of())
    assert_same(rows_of(other), rows_of(prepared))


def test_a_later_day_sees_an_earlier_folder_as_it_sees_the_earlier_file(raw, tmp_path):
    log = made_log()
    cut = (BEGIN + pd.Timedelta(days=7)).value // 1_000_000
    early, late = log[log["at"] < cut], log[log["at"] >= cut]
    earlier = write(tmp_path / "early", early)
    later = write(tmp_path / "late", late)
    schema = schema_of()
    first = prepare("table", earlier, tmp_path / "first", schema=schema)
    want = expected(log, schema, history.read_priors(first.vocabularies))
    want = want[(log["at"] >= cut).to_numpy()].reset_index(drop=True)
    for place, events in enumerate(
        ([str(first.place)], [str(earlier / "log.parquet")], [str(first.place), str(earlier)])
    ):
        new = prepare_rows(schema, later, tmp_path / f"new{place}", first.vocabularies,
                           events=events)  # fmt: skip
        assert new.parts == ("all",)
        assert_same(rows_of(new), want)
    # without them the same rows know less
    alone = prepare_rows(schema, later, tmp_path / "alone", first.vocabularies)
    assert (
        rows_of(alone)["user__exposure_count__all"].sum() < want["user__exposure_count__all"].sum()
    )


def test_a_day_that_continues_a_folder_keeps_its_priors_and_burns_nothing(tmp_path):
    log = made_log()
    cut = (BEGIN + pd.Timedelta(days=6)).value // 1_000_000
    earlier = write(tmp_path / "early", log[log["at"] < cut])
    later = write(tmp_path / "late", log[log["at"] >= cut])
    schema = schema_of(burn_in_days=1)
    first = prepare("table", earlier, tmp_path / "first", schema=schema)
    split = parse("train=2024-04-03..2024-04-03,validation=2024-04-04..2024-04-04,"
                  "test=2024-04-05..2024-04-05")  # fmt: skip
    second = prepare("table", later, tmp_path / "second", base=first, events=[str(first.place)],
                     split=split)  # fmt: skip
    priors = history.read_priors(first.vocabularies)
    assert history.read_priors(second.vocabularies) == priors
    want = expected(log, schema, priors)[(log["at"] >= cut).to_numpy()]
    assert_same(rows_of(second), want.reset_index(drop=True))
    # what the second folder knows, a third day looks back on, the first folder's events included
    events = read_events(str(second.place), schema)
    assert len(events) == len(log)


def test_rows_that_feed_history_alone_are_counted_and_absent_events_are_named(
    raw, tmp_path, capsys
):
    made = prepare(
        "table", raw, tmp_path / "out", schema=schema_of(burn_in_days=1), console=Console()
    )
    said = " ".join(capsys.readouterr().err.split())
    whole = prepare("table", raw, tmp_path / "whole", schema=schema_of(burn_in_days=0))
    lacking = whole.card["splits"]["train"]["rows"] - made.card["splits"]["train"]["rows"]
    assert lacking > 0
    assert f"{lacking:,} training rows of the log's first 1 days feed history alone" in said
    with pytest.raises(ValueError, match=r"^--events: no Parquet, CSV or TFRecord file found at"):
        prepare("table", raw, tmp_path / "no", schema=schema_of(), events=[str(tmp_path / "gone")])


def test_a_folder_whose_events_were_known_by_other_rules_is_refused(raw, prepared, tmp_path):
    with pytest.raises(ValueError, match=r"must have history\.lag 7200\w*, as .*received 3600000"):
        prepare("table", raw, tmp_path / "out", schema=schema_of(lag="2h"),
                events=[str(prepared.place)])  # fmt: skip


def test_conversions_count_from_their_own_time_and_none_after_the_window(tmp_path):
    log = made_log()
    delay = np.random.default_rng(5).integers(0, 48, len(log)) * 900_000
    log["bought_at"] = (log["at"] + delay).astype("Int64").where(log["v"] == 1)
    labels = {**SCHEMA["labels"], "conversion_time": "bought_at",
              "attribution": {"window_hours": 6, "from": "exposure"}}  # fmt: skip
    schema = Schema.parse({**SCHEMA, "labels": labels})
    made = prepare("table", write(tmp_path / "raw", log), tmp_path / "out", schema=schema)
    found = rows_of(made)
    assert made.card["immature"]["late_conversions"] > 20
    want = expected(log, schema, history.read_priors(made.vocabularies))
    kept = want["number"].isin(found["number"])
    assert 0.5 < kept.mean() < 1
    assert_same(found, want[kept].reset_index(drop=True))
    everyone = attach(schema_of(), log.rename(columns={"uid": "user"}))
    name = "user_x_item__conversion_count__all"
    assert found[name].sum() < everyone[name][kept.to_numpy()].sum()


def test_rows_that_are_no_events_see_files_with_columns_of_their_own(tmp_path):
    stream = pd.DataFrame({"uid": [1, 1, 2, 1], "item": ["a", "b", "c", "a"],
                           "watched": [1, 0, 1, 1], "v": [0, 1, 0, 1]})  # fmt: skip
    stream.to_parquet(tmp_path / "stream.parquet")
    raw = write(tmp_path / "log", made_log())
    schema = Schema.parse({
        **SCHEMA,
        "history": {"known_at": "2024-04-01", "log_rows": False, "burn_in_days": 0,
                    "conversion": "raw", "columns": {"click": "watched"},
                    "aggregates": [{"key": "user", "events": ["click", "conversion"],
                                    "measures": ["count"]}]},
        "sequences": [{"name": "clicks", "key": "user", "condition": "clicked", "items": ["item"],
                       "length": 2}],
    })  # fmt: skip
    made = prepare("table", raw, tmp_path / "out", schema=schema,
                   events=[str(tmp_path / "stream.parquet")])  # fmt: skip
    found, log = rows_of(made), made_log()
    assert len(found) == len(log)
    known = (
        log["at"] >= pd.Timestamp("2024-04-01", tz="Europe/Berlin").value // 1_000_000
    ).to_numpy()
    one, two = ((log["uid"] == user).fillna(False).to_numpy() for user in (1, 2))
    clicks = np.where(known & one, 2, np.where(known & two, 1, 0))
    assert found["user__click_count__all"].tolist() == clicks.tolist()
    assert found["user__conversion_count__all"].tolist() == np.where(known & one, 2, 0).tolist()
    lists = [["a", "a"] if count == 2 else ["c"] * count for count in clicks]
    assert [list(cell) for cell in found["clicks__item"]] == lists
    with pytest.raises(ValueError, match="--events: must name earlier events"):
        prepare("table", raw, tmp_path / "none", schema=schema)


def test_what_cannot_be_looked_back_on_is_an_error_with_its_name(raw, tmp_path):
    schema = schema_of()
    bare = made_log().drop(columns="item")
    write(tmp_path / "bare", bare)
    with pytest.raises(ValueError, match="events: must hold the column 'item'"):
        prepare_rows(schema, raw, tmp_path / "out", events=[str(tmp_path / "bare")])
    plain = prepare("table", raw, tmp_path / "plain",
                    schema=Schema.parse({**SCHEMA, "history": None, "sequences": []}))  # fmt: skip
    with pytest.raises(ValueError, match=r"must be a prepared folder with events\.parquet"):
        prepare_rows(schema, raw, tmp_path / "out", events=[str(plain.place)])
    with pytest.raises(ValueError, match=r"history\.burn_in_days: must leave training rows"):
        prepare("table", raw, tmp_path / "out", schema=schema_of(burn_in_days=30))
    for name, log in (
        ("priceless", made_log().drop(columns="price")),
        ("wordy", made_log().assign(price="much")),
    ):
        folder = write(tmp_path / name, log)
        with pytest.raises(ValueError, match="price"):
            prepare("table", folder, tmp_path / "out", schema=schema)


def test_the_card_describes_what_the_lists_hold(prepared):
    card = prepared.card["features"]["clicks__item"]
    lists = prepared.table("train").column("clicks__item")
    held = pd.Series(lists.combine_chunks().flatten().to_pylist()).value_counts(normalize=True)
    assert {entry["value"]: entry["share"] for entry in card["top"]} == pytest.approx(dict(held))
    assert card["missing"]["train"] == np.mean([not entries for entries in lists.to_pylist()])
    assert card["out_of_vocabulary"] == {"train": 0.0, "validation": 0.0, "test": 0.0}


def test_every_reader_gives_the_same_lists(prepared):
    """A folder, a file and single columns: what is read does not depend on how it is asked for."""
    files = prepared.files("test")
    whole = read_table(files, prepared.schema)
    assert whole.num_rows == prepared.card["splits"]["test"]["rows"]
    gaps = whole["clicks__gap"].to_pylist()
    assert [len(g) for g in gaps] == [len(i) for i in whole["clicks__item"].to_pylist()]
    assert max(map(len, gaps)) == 4
    assert {bucket for row in gaps for bucket in row} == {0, 1, 2}


@pytest.mark.spark
@pytest.mark.slow
# PySpark leaves the sockets over which results come to the garbage collector
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
def test_spark_gives_the_same_history(raw, prepared, tmp_path):
    pytest.importorskip("pyspark", reason="PySpark is not installed (requirements/spark.in)")
    if shutil.which("java") is None:
        pytest.skip("there is no Java on PATH")
    spark = Settings(engine="spark", threads=2, memory="1GB")
    other = prepare("table", raw, tmp_path / "out", schema=schema_of(), settings=spark)
    assert_same(rows_of(other), rows_of(prepared))
    assert other.card["history"] == prepared.card["history"]
    assert (other.vocabularies / history.PRIORS).read_bytes() == (
        prepared.vocabularies / history.PRIORS
    ).read_bytes()
    earlier, found = (read_events(str(p.place), p.schema) for p in (prepared, other))
    for name, values in earlier.known.items():
        np.testing.assert_array_equal(found.known[name], values)
