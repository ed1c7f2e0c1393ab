"""Files of a table: read by the schema, refused with line or column, alike on both engines."""

import json
import shutil
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idefn_tf.data import open_dataset, read_table, to_arrays
from idefn_tf.schema import Schema
from pipelines.datasets.registry import Settings, prepare
from pipelines.preparation.plain_files import plain
from pipelines.schema_inference.proposal import propose
from pipelines.schema_inference.table_sample import read_sample

PARTS = ("train", "validation", "test")
ROWS = 60
NEEDS_SPARK = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java on PATH"),
    pytest.mark.skipif(find_spec("pyspark") is None, reason="PySpark is not installed"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]
ENGINES = ["duckdb", pytest.param("spark", marks=NEEDS_SPARK)]


def schema_of(*features, **labels):
    made = [
        {"name": n, "side": "item", "dtype": d, "kind": k, **dict(more)}
        for n, d, k, *more in features
    ]
    labels = {"click": "o", "conversion": "r", **labels}
    return Schema.parse({"name": "table", "labels": labels, "features": made})


USER = ("user", "string", "vocabulary")


def columns(rows=ROWS, **more):
    at = np.arange(rows)
    labels = {"o": (at % 2).tolist(), "r": (at % 4 == 1).astype(int).tolist()}
    return {"user": [f"u{i % 7}" for i in at], **labels, **more}


def write(path, made):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        pd.DataFrame(made).to_csv(path, index=False)
    else:
        pq.write_table(pa.table(made), path)
    return path


def prepared(tmp_path, raw, schema, engine="duckdb", **more):
    out = tmp_path / f"out_{engine}"
    run = Settings(engine=engine, threads=1, memory="1GB")
    return prepare("table", raw, out, schema=schema, settings=run, **more)


def rows_of(data):
    return pa.concat_tables([data.table(part) for part in data.parts])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_folder_never_gives_a_column_and_brackets_are_no_pattern(tmp_path, engine, ending):
    raw = tmp_path / "o=1" / "user=5"
    write(raw / f"a[1].{ending}", columns())
    write(raw / f"a1.{ending}", columns(user=["other"] * ROWS))
    data = prepared(tmp_path / "user=5", raw / f"a[1].{ending}", schema_of(USER), engine)
    table = rows_of(data)
    assert sorted(set(table["user"].to_pylist())) == [f"u{i}" for i in range(7)]
    assert sum(table["click"].to_pylist()) == ROWS // 2
    values = json.loads((data.vocabularies / "user.json").read_text())["values"]
    assert sorted(values) == [f"u{i}" for i in range(7)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user,o,r\nu,1,0\nv,1,0,9\n", r"a\.csv line 3: 4 fields, the header has 3"),
        ("user,o,r\nu,1,0\nv,1\n", r"a\.csv line 3: 2 fields, the header has 3"),
        ('user,o,r\n"u,1,0\nv,1,0\n', r"a\.csv line 2: a quote is not closed"),
        ("user,o,r\nu,1,0\nM\xfcller,1,0\n", r"a\.csv line 3: not UTF-8; convert it"),
        ("user,o,o \nu,1,0\n", r"'o'.*twice"),
    ],
)
def test_a_csv_that_cannot_be_read_is_told_by_its_line(tmp_path, engine, text, said):
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=said) as caught:
        prepared(tmp_path, tmp_path / "a.csv", schema_of(USER), engine)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_odd_types_and_line_breaks_are_read_alike(tmp_path, engine):
    at = np.arange(ROWS)
    base = 1_714_557_600_600_999_999
    made = columns(
        half=pa.array((at % 8 / 4).astype(np.float16)),
        raw=pa.array([f"b{i % 3}".encode() for i in at], pa.binary()),
        at=pa.array((base + at * 10**12).tolist(), pa.timestamp("ns", "Asia/Tokyo")),
        other=pa.array([[("k", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())),
        USER=["upper"] * ROWS,
    )
    write(tmp_path / "raw" / "a.parquet", made)
    empty = {name: pa.array([], pa.null()) for name in made}
    write(tmp_path / "raw" / "b.parquet", empty)
    schema = schema_of(
        USER, ("half", "float32", "numeric"), ("raw", "string", "vocabulary"), exposure_time="at"
    )
    table = rows_of(prepared(tmp_path, tmp_path / "raw", schema, engine))
    assert table["exposure_time"].to_pylist()[:2] == [
        1_714_557_600_600,
        1_714_557_601_600 + 10**6 - 1000,
    ]
    assert table["half"].to_pylist()[:5] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert table["raw"].to_pylist()[:3] == ["b0", "b1", "b2"]
    assert set(table["user"].to_pylist()) == {f"u{i}" for i in range(7)}
    text = columns(note=["one\ntwo" if i % 2 else "" for i in at], n=at)
    write(tmp_path / "c.csv", text)
    schema = schema_of(("note", "string", "vocabulary"), ("n", "int64", "vocabulary"))
    table = rows_of(prepared(tmp_path / "text", tmp_path / "c.csv", schema, engine))
    assert sorted(set(table["note"].to_pylist())) == ["", "one\ntwo"]


def test_a_plain_file_is_there_for_one_without_rows(tmp_path):
    """pandas writes an empty column of lists as type null, and no batch of it is read."""
    pd.DataFrame({"tags": [[1]], "o": [1]}).iloc[:0].to_parquet(tmp_path / "a.parquet")
    found = pq.read_table(plain(tmp_path / "a.parquet", tmp_path / "plain"))
    assert found.schema.types == [pa.string(), pa.int64()]
    assert found.num_rows == 0


def test_missing_numbers_stay_null_and_are_no_part_of_the_mean(tmp_path):
    price = [None if i % 3 == 0 else float(i % 3) for i in range(ROWS)]
    made = columns(price=price, filled=price, empty=[None] * ROWS)
    path = write(tmp_path / "a.parquet", made)
    schema = schema_of(
        ("price", "float32", "numeric", ("log1p", True)),
        ("filled", "float32", "numeric", ("missing", 7.0)),
        ("empty", "float32", "numeric"),
    )
    data = prepared(tmp_path, path, schema)
    table, train = rows_of(data), data.table("train")
    assert table["price"].null_count == ROWS // 3
    assert table["filled"].to_pylist().count(7.0) == ROWS // 3
    there = np.asarray(train["price"].drop_null())
    learned = json.loads((data.vocabularies / "price.json").read_text())
    assert learned["mean"] == pytest.approx(np.log1p(there).mean(), rel=1e-6)
    assert learned["std"] == pytest.approx(np.log1p(there).std(), rel=1e-6)
    assert data.card["features"]["price"]["mean"] == pytest.approx(there.mean(), rel=1e-6)
    assert data.card["features"]["price"]["missing"]["train"] > 0
    assert "empty: the column holds no value on any row" in data.card["checks"]["warnings"]


def test_sample_weights_are_kept_and_checked(tmp_path):
    weights = [None if i == 3 else i / 4 for i in range(ROWS)]
    path = write(tmp_path / "a.parquet", columns(sample_weight=weights))
    found = rows_of(prepared(tmp_path, path, schema_of(USER)))["sample_weight"].to_pylist()
    assert sorted(found) == sorted(1.0 if w is None else w for w in weights)
    write(path, columns(sample_weight=[-1.0, *weights[1:]]))
    with pytest.raises(ValueError, match=r"sample_weight: must be 0 or more"):
        prepared(tmp_path / "b", path, schema_of(USER))


@pytest.mark.parametrize(
    ("unit", "times", "said"),
    [
        ("ms", pa.array([1_714_557_600 + i for i in range(ROWS)]), "set labels.time_unit: s"),
        ("s", pa.array([1_714_557_600_000 + i for i in range(ROWS)]), "set labels.time_unit: ms"),
        ("s", pa.array([2_024_050_100 + i % 24 for i in range(ROWS)]), "YYYYMMDDHH"),
        ("s", pa.array(np.float32(1_714_557_600) + np.zeros(ROWS, np.float32)), "float32 keeps"),
        ("s", pa.array([[("k", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())), "must hold times"),
    ],
)
def test_times_of_another_unit_are_refused(tmp_path, unit, times, said):
    path = write(tmp_path / "a.parquet", columns(t=times))
    with pytest.raises(ValueError, match=said) as caught:
        prepared(tmp_path, path, schema_of(USER, exposure_time="t", time_unit=unit))
    assert "a.parquet" in str(caught.value)
    assert "t" in str(caught.value).split()[0] or "'t'" in str(caught.value)


def test_times_of_january_1970_alone_are_said(tmp_path):
    """Thousands of seconds under milliseconds: valid, and hardly meant."""
    path = write(tmp_path / "a.parquet", columns(t=[1_714_557 + 60 * i for i in range(ROWS)]))
    data = prepared(tmp_path, path, schema_of(USER, exposure_time="t", time_unit="ms"))
    assert (
        "t: must hold milliseconds since 1970 (labels.time_unit: ms; in a.parquet), received "
        f"nothing after January 1970, at most {1_714_557 + 60 * (ROWS - 1)}"
    ) in data.card["checks"]["warnings"]


def test_a_time_far_beyond_the_others_and_labels_that_teach_nothing_are_said(tmp_path):
    times = [1_714_557_600 + 8640 * i for i in range(ROWS - 1)] + [4_102_444_800]
    made = columns(t=times) | {"r": [0] * ROWS}
    schema = schema_of(USER, exposure_time="t", time_unit="s")
    data = prepared(tmp_path, write(tmp_path / "a.parquet", made), schema)
    told = data.card["checks"]["warnings"]
    assert told[0].startswith("t: 1 of 60 rows lie more than a year beyond the others")
    assert "t=4102444800" in told[0]
    assert told[1] == "none of 60 rows has a conversion: nothing can be learned"


@pytest.mark.job
@pytest.mark.parametrize("days", [1, 2, 4])
def test_the_last_tenths_of_days_without_a_time_of_day(tmp_path, days):
    path = write(
        tmp_path / "a.csv", columns(t=[f"2024-05-{1 + i * days // ROWS:02d}" for i in range(ROWS)])
    )
    data = prepared(tmp_path, path, schema_of(USER, exposure_time="t"))
    assert [data.table(part).num_rows for part in PARTS] == [48, 6, 6]
    last = [data.table(part)["exposure_time"].to_pylist() for part in PARTS]
    assert max(last[0]) <= min(last[1]) <= max(last[1]) <= min(last[2])


def test_names_that_differ_in_case_only_are_refused_where_they_are_needed(tmp_path):
    path = write(tmp_path / "a.parquet", columns(A=[1] * ROWS, a=[2] * ROWS))
    kept = rows_of(prepared(tmp_path, path, schema_of(USER, ("A", "int64", "vocabulary"))))
    assert set(kept["A"].to_pylist()) == {1}
    both = schema_of(("A", "int64", "vocabulary"), ("a", "int64", "vocabulary"))
    with pytest.raises(ValueError, match="'A' and 'a' must differ in more than case"):
        prepared(tmp_path / "b", path, both)


CELLS = {
    "text": st.sampled_from(["a", " b", "NA", "", "nan"]),
    "code": st.sampled_from(["007", "12", ""]),
    "whole": st.sampled_from(["1", "4.0", "4e0", "NA", " 7 "]),
    "number": st.sampled_from(["1.5", "-2", "1e-05", "", "None"]),
    "large": st.sampled_from(["9007199254740993", "9223372036854775807", "5"]),
    "beyond": st.sampled_from(["1e400", "1e39", "inf", "3"]),
    "truth": st.sampled_from(["true", "False", ""]),
    "word": st.sampled_from(["yes", "no", "Y"]),
    "list": st.sampled_from(["a|b", "b|c", "c|a|b", ""]),
    "bracket": st.sampled_from(['["a", "b"]', "[1, 2]"]),
    "when": st.sampled_from(["2024-05-01 10:00:00.6+09:00", "2024-05-02T10:00:00.5Z"]),
    "mixed": st.sampled_from(["2024-05-01", "12", "x"]),
}
TYPED = {
    "f": (pa.float64(), st.none() | st.sampled_from([4.0, 7.5, 1e30, 75001.0])),
    "i": (pa.int64(), st.none() | st.integers(-3, 2**60)),
    "h": (pa.float32(), st.none() | st.sampled_from([1.0, 2.5])),
    "u": (pa.uint64(), st.sampled_from([1, 2**63 + 1])),
    "b": (pa.bool_(), st.none() | st.booleans()),
    "l": (pa.list_(pa.int64()), st.none() | st.lists(st.integers(0, 5), max_size=3)),
    "z": (pa.timestamp("ns", "UTC"), st.integers(1_714_557_600 * 10**9, 1_714_657_600 * 10**9)),
}


@st.composite
def tables(draw):
    rows = 40
    made = {"o": [i % 2 for i in range(rows)], "r": [int(i % 4 == 1) for i in range(rows)]}
    made["id"] = [f"k{i % 5}" for i in range(rows)]
    if draw(st.booleans()):
        for name in draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=3, unique=True)):
            some = draw(st.lists(CELLS[name], min_size=4, max_size=4))
            made[name] = [some[i * 7 % 4] for i in range(rows)]
        return "csv", draw(st.sampled_from(",;\t|")), pa.table(made)
    for name in draw(st.lists(st.sampled_from(sorted(TYPED)), min_size=3, unique=True)):
        kind, cells = TYPED[name]
        some = draw(st.lists(cells, min_size=4, max_size=4))
        made[name] = pa.array([some[i * 7 % 4] for i in range(rows)], kind)
    return "parquet", "", pa.table(made)


@pytest.mark.job
@given(tables())
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_proposed_schema_fits_its_own_file(tmp_path_factory, made):
    ending, separator, table = made
    folder = tmp_path_factory.mktemp("own")
    path = folder / f"a.{ending}"
    if ending == "csv":
        frame = table.to_pandas().rename(columns={"id": " id "})
        frame.to_csv(path, index=False, sep=separator)
    else:
        pq.write_table(table, path)
    schema = propose(read_sample(path), "o", "r").schema()
    data = prepared(folder, path, schema)
    found = to_arrays(schema, rows_of(data))
    list(open_dataset(schema, path, batch_size=64).as_numpy_iterator())
    given_ = to_arrays(schema, read_table(path, schema))
    for name, values in given_.items():
        assert sorted(map(repr, values.tolist())) == sorted(map(repr, found[name].tolist())), name
