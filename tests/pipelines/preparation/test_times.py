"""Times of raw tables: offsets count, decimals are cut, and days follow the schema's zone."""

import datetime as dt
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.schema import Schema
from pipelines.preparation.attribution_window import read_time
from pipelines.preparation.engine import Engine
from pipelines.preparation.times import days, epoch
from pipelines.prepare import main, prepare

TEN = 1714557600000  # 2024-05-01 10:00:00 UTC
# texts and what they are in milliseconds, worked out by hand; texts that are no times
WRITTEN = json.loads((Path(__file__).parents[2] / "data" / "times.json").read_text())
KNOWN, NO_TIMES = WRITTEN["milliseconds"], WRITTEN["none"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with Engine(tmp_path_factory.mktemp("work"), threads=1) as duckdb:
        yield duckdb


def read(engine, path, unit="ms", zone="UTC"):
    table = engine.read(path)
    rows = table.select("i", at=epoch(table["t"], unit, zone)).order_by("i")
    return [value for batch in engine.batches(rows, 1000) for value in batch["at"].to_pylist()]


def written(path, values):
    column = values if isinstance(values, pa.Array) else pa.array(values)
    pq.write_table(pa.table({"i": range(len(column)), "t": column}), path)
    return path


def test_texts_with_offsets_and_decimals_in_milliseconds_and_seconds(engine, tmp_path):
    path = written(tmp_path / "t.parquet", list(KNOWN))
    assert dict(zip(KNOWN, read(engine, path), strict=True)) == KNOWN
    seconds = [value // 1000 for value in KNOWN.values()]
    assert read(engine, path, "s")[:-1] == seconds[:-1]  # a number is in the unit already


def test_what_is_no_time_is_null(engine, tmp_path):
    path = written(tmp_path / "t.parquet", list(NO_TIMES))
    assert read(engine, path) == [None] * len(NO_TIMES)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_typed_times_in_every_unit_with_and_without_a_zone(engine, tmp_path, unit):
    nanoseconds = [TEN * 10**6 + 600_999_999, -1, -1_500_000_001, (TEN + 50_399_600) * 10**6]
    per = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
    whole = [value // per for value in nanoseconds]
    expected = [value * per // 10**6 for value in whole]
    for zone in (None, "UTC", "Asia/Tokyo"):
        path = written(tmp_path / "t.parquet", pa.array(whole, pa.timestamp(unit, zone)))
        assert read(engine, path) == expected
        assert read(engine, path, "s") == [value // 1000 for value in expected]
        shift = 9 * 3_600_000 if zone is None else 0
        assert read(engine, path, zone="Asia/Tokyo") == [value - shift for value in expected]


def test_only_times_without_an_offset_are_read_in_the_schemas_zone(engine, tmp_path):
    texts = ["2024-05-01 18:00", "20240501", "01.05.2024", "2024-05-01T10:00Z", str(TEN)]
    path = written(tmp_path / "t.parquet", texts)
    midnight = TEN - 18 * 3_600_000
    expected = [TEN, midnight, midnight, TEN, TEN]
    assert read(engine, path, zone="Asia/Shanghai") == expected
    path = written(tmp_path / "d.parquet", pa.array([dt.date(2024, 5, 1)]))
    assert read(engine, path, zone="Asia/Shanghai") == [midnight]


def test_clocks_that_change(engine, tmp_path):
    # Berlin: 02:00 to 03:00 is skipped on March 31, shown twice on October 27, 2024
    texts = ["2024-03-31 01:59:59", "2024-03-31 02:30", "2024-03-31 03:00", "2024-10-27 01:59",
             "2024-10-27 02:30", "2024-10-27 03:00"]  # fmt: skip
    hours = [("2024-03-31 00:59:59"), ("2024-03-31 01:30"), ("2024-03-31 01:00"),
             ("2024-10-26 23:59"), ("2024-10-27 00:30"), ("2024-10-27 02:00")]  # fmt: skip
    path = written(tmp_path / "t.parquet", texts)
    expected = [int(pd.Timestamp(hour, tz="UTC").timestamp()) for hour in hours]
    assert read(engine, path, "s", "Europe/Berlin") == expected


ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
         "Asia/Kathmandu", "America/Sao_Paulo", "Africa/Casablanca")  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    rows=st.lists(
        st.tuples(
            st.integers(0, 4_102_358_400 * 10**9),
            st.integers(1, 9),
            st.integers(-12 * 60, 14 * 60),
            st.sampled_from(["Z", "none", "+hh:mm", "+hhmm"]),
        ),
        min_size=20,
        max_size=80,
    ),
)
def test_an_instant_is_the_same_as_text_and_as_a_typed_time(engine, tmp_path_factory, zone, rows):
    """However it is written: text with any offset and decimals, Arrow with and without a zone."""
    texts, expected, offsets = [], [], []
    for instant, digits, minutes, form in rows:
        cut = instant // 10 ** (9 - digits) * 10 ** (9 - digits)
        utc = dt.datetime.fromtimestamp(cut // 10**9, dt.UTC)
        if form == "none":
            local = utc.astimezone(ZoneInfo(zone))
            if local.fold:  # the second of two equal texts
                form, local = "Z", utc
        elif form == "Z":
            local = utc
        else:
            local = utc.astimezone(dt.timezone(dt.timedelta(minutes=minutes)))
        text = local.strftime("%Y-%m-%dT%H:%M:%S")
        text += f".{cut % 10**9 // 10 ** (9 - digits):0{digits}d}"
        sign, size = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
        ends = {"Z": "Z", "none": "", "+hh:mm": f"{sign}{size[0]:02d}:{size[1]:02d}",
                "+hhmm": f"{sign}{size[0]:02d}{size[1]:02d}"}  # fmt: skip
        texts.append(text + ends[form])
        expected.append(cut)
        offsets.append(utc.astimezone(ZoneInfo(zone)))
    folder = tmp_path_factory.mktemp("rows")
    milliseconds = [value // 10**6 for value in expected]
    path = written(folder / "t.parquet", texts)
    assert read(engine, path, zone=zone) == milliseconds
    for unit, per in (("us", 10**3), ("ns", 1)):
        typed = pa.array([value // per for value in expected], pa.timestamp(unit, zone))
        path = written(folder / f"{unit}.parquet", typed)
        assert read(engine, path, zone=zone) == milliseconds
    table = engine.read(path)
    shown = table.select("i", day=days(epoch(table["t"], "ms", zone), "ms", zone)).order_by("i")
    found = next(iter(engine.batches(shown, 1000)))["day"].to_pylist()
    assert found == [int(moment.strftime("%Y%m%d")) for moment in offsets]


def schema(**labels):
    named = {"click": "click", "conversion": "buy", "exposure_time": "time", **labels}
    features = [
        {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
        {"name": "order", "dtype": "float32", "side": "item", "kind": "numeric"},
    ]
    return Schema.parse({"name": "shop", "labels": named, "features": features})


def exposures(rows=700, hours=7 * 24):
    """Exposures a quarter second and more apart over seven days of Shanghai, in random order."""
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2024-05-01", tz="Asia/Shanghai").value // 10**6
    step = hours * 3_600_000 // rows
    at = start + np.arange(rows) * step + np.arange(rows) % 2 * (250 - step)
    frame = pd.DataFrame(
        {"at": np.sort(at), "user": rng.integers(0, 20, rows), "click": rng.integers(0, 2, rows)}
    )
    frame["order"] = np.arange(rows)
    frame["buy"] = frame["click"] * rng.integers(0, 2, rows)
    return frame.sample(frac=1, random_state=1)


def as_texts(frame, zones):
    """The times as texts, each row in another zone."""
    made = []
    for i, at in enumerate(frame["at"]):
        moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=int(at))
        made.append(moment.astimezone(ZoneInfo(zones[i % len(zones)])).isoformat())
    return frame.assign(time=made).drop(columns="at")


def parts_of(folder):
    return {part: folder.table(part).drop_columns(["row_id"]).to_pylist() for part in folder.parts}


@pytest.mark.slow
def test_mixed_offsets_keep_the_order_and_csv_parquet_and_typed_times_split_alike(tmp_path):
    frame = exposures()
    texts = as_texts(frame, ["Asia/Tokyo", "America/New_York", "UTC", "Asia/Kolkata"])
    texts.to_csv(tmp_path / "t.csv", index=False)
    texts.to_parquet(tmp_path / "t.parquet")
    typed = pd.to_datetime(frame["at"], unit="ms", utc=True)
    for unit in ("ms", "ns"):
        column = typed.dt.as_unit(unit).dt.tz_convert("Asia/Tokyo")
        table = pa.Table.from_pandas(texts.assign(time=column), preserve_index=False)
        pq.write_table(table, tmp_path / f"{unit}.parquet")
    frame.rename(columns={"at": "time"}).to_csv(tmp_path / "numbers.csv", index=False)
    zone = schema(time_zone="Asia/Shanghai")
    made = {
        path.name: prepare("table", path, tmp_path / "out" / path.name, schema=zone)
        for path in sorted(tmp_path.glob("*.*"))
    }
    assert len(made) == 5
    found = parts_of(made["numbers.csv"])
    for folder in made.values():
        assert parts_of(folder) == found
    card = made["t.csv"].card
    assert card["days"]["train"] == "2024-05-01..2024-05-03"
    assert [card["splits"][part]["rows"] for part in made["t.csv"].parts] == [300, 200, 200]
    assert any("Asia/Shanghai" in note for note in card["checks"]["notes"])
    ordered = sorted(
        (row for rows in found.values() for row in rows), key=lambda row: row["exposure_time"]
    )
    assert [row["order"] for row in ordered] == list(range(700))
    utc = prepare("table", tmp_path / "t.csv", tmp_path / "utc", schema=schema())
    assert utc.card["days"]["train"] == "2024-04-30..2024-05-03"


def test_a_word_behind_a_time_is_refused_with_column_rows_and_an_example(tmp_path, capsys):
    frame = as_texts(exposures(), ["UTC"])
    frame.loc[frame.index[:70], "time"] = "2024-05-01 10:00:00 PM"
    frame.to_csv(tmp_path / "t.csv", index=False)
    schema().save(tmp_path / "schema.yaml")
    arguments = ["table", "--raw", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--schema", str(tmp_path / "schema.yaml"), "--quiet"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "time: must be a time (in t.csv)" in said
    assert "70 rows break it, such as time='2024-05-01 10:00:00 PM'" in said


def test_numbers_of_another_unit_are_refused_where_no_calendar_reaches(engine, tmp_path):
    path = written(tmp_path / "t.parquet", [TEN, 253402300799, 253402300800, 2**63 - 1, -(2**63)])
    assert read(engine, path, "s") == [None, 253402300799, None, None, None]
    assert read(engine, path)[-2:] == [None, None]


def test_the_end_of_a_log_is_read_in_the_schemas_zone_and_cut():
    assert read_time("2024-05-01T18:00", "ms", "Asia/Shanghai") == TEN
    assert read_time("2024-05-01T10:00:00+00:00", "ms", "Asia/Shanghai") == TEN
    assert read_time("2024-05-01T10:00:00.600900", "ms") == TEN + 600
    assert read_time("2024-05-01T10:00:00.6", "s") == TEN // 1000
