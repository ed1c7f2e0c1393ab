"""One cell, one meaning: preparation, a DataFrame and the client give equal features, or refuse."""

import datetime as dt
import itertools
import shutil
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.data import to_arrays
from idefn_tf.schema import Schema, cells
from pipelines.preparation import checks, column_kinds, encode, text_forms
from pipelines.preparation.engines import connect
from serving.common.request import RequestBuilder

NUMBERS = itertools.count()
KINDS = {"int64": "hash", "float32": "numeric", "string": "hash"}
TEXTS = [
    "", " ", "\t", "NA", " N/A ", "None", "nan", "NaN", "null", "4", " 4 ", "4.0", "4e0", "4.5",
    "-7", "+3", "007", "1_0", "0x10", "1d", "1.5f", "7L", "inf", "1e400", "1e39", "true",
    "YES", "n", "F", "x",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "1e-05", ".5", "5.", "é",
]  # fmt: skip
LIST_TEXTS = ["", " ", "1,2", " 4 , 5 ", "1,,2", "NA,3", "true,1", "7", "[1, 2]", "a,b", "4.0,5"]
#: What a column may hold, by its type in a table.
COLUMNS = {
    "text": (pa.string(), st.sampled_from(TEXTS)),
    "whole": (pa.int64(), st.integers(-5, 9) | st.sampled_from([2**53 + 1, 2**63 - 1])),
    "small": (pa.int16(), st.integers(-5, 9)),
    "truth": (pa.bool_(), st.booleans()),
    "float": (
        pa.float64(),
        st.sampled_from([4.0, -7.0, 4.5, 1e-5, 75001.0, float("nan"), 2.0**53, 2.0**53 + 2, 1e39]),
    ),
    "decimal": (pa.decimal128(12, 2), st.sampled_from([Decimal("4.00"), Decimal("4.50")])),
}


def schema_of(dtype, words=(), length=None, missing=None):
    feature = {
        "name": "x",
        "dtype": dtype,
        "side": "item",
        "kind": KINDS[dtype],
        "missing": missing,
    }
    feature |= {"num_buckets": 100} if dtype != "float32" else {}
    feature |= {"max_length": length} if length else {}
    labels = {"click": "o", "conversion": "r"}
    return Schema.parse(
        {"name": "s", "labels": labels, "features": [feature], "missing_words": list(words)}
    )


def table_of(engine, made):
    path = engine.work / f"{next(NUMBERS)}.parquet"
    pq.write_table(pa.table(made), path)
    return engine.read(path)


def through_preparation(engine, schema, column):
    n = len(column)
    more = {"o": [1] * n, "r": [0] * n, "part": ["all"] * n, "row_id": list(range(n))}
    table = table_of(engine, {"x": column, **more})
    report = checks.Report()
    column_kinds.check(table, schema, "a.parquet")
    feature = schema.features[0]
    wanted = {"x": None if feature.multi_valued else feature.dtype}
    made = checks.typed(table, wanted | dict.fromkeys(more), "a", report, schema.missing_words)
    report.raise_if_failed()
    checks.validate(made, schema, ("row_id",), report)
    report.raise_if_failed()
    rows = made.select(**encode.prepared_columns(made, schema)).order_by("row_id")
    return to_arrays(schema, pa.Table.from_batches(engine.batches(rows, 100)), labels=False)["x"]


def through_a_table(engine, schema, column):
    return to_arrays(schema, pa.table({"x": column}), labels=False)["x"]


def through_the_client(engine, schema, column):
    rows = [{"x": value} for value in column.to_pylist()]
    return np.asarray(RequestBuilder.from_schema(schema).columns(rows)["x"])


def outcome(door, engine, schema, column):
    """The feature's values, or None where the door refuses the column."""
    try:
        values = door(engine, schema, column)
    except ValueError:
        return None
    if schema.features[0].dtype == "float32":
        return [repr(float(np.float32(value))) for value in values]
    decoded = [v.decode() if isinstance(v, bytes) else v for v in np.ravel(values).tolist()]
    return [str(value) for value in decoded]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with connect("duckdb", tmp_path_factory.mktemp("work"), "500MB", 1) as engine:
        yield engine


@st.composite
def columns(draw):
    kind, found = COLUMNS[draw(st.sampled_from(sorted(COLUMNS)))]
    values = draw(st.lists(st.none() | found, min_size=1, max_size=3))
    words = draw(st.sampled_from([(), ("NA",), ("x", "None")]))
    return draw(st.sampled_from(sorted(KINDS))), words, pa.array(values, kind)


@given(columns())
@settings(max_examples=40, deadline=None)
def test_generated_columns_are_the_same_behind_every_door(engine, made):
    dtype, words, column = made
    schema = schema_of(dtype, words)
    first = outcome(through_preparation, engine, schema, column)
    for door in (through_a_table, through_the_client):
        assert outcome(door, engine, schema, column) == first, door.__name__


def every_text(engine, schema, texts, door):
    return {text: outcome(door, engine, schema, pa.array([text], pa.string())) for text in texts}


def in_one_pass(engine, schema, texts):
    """Every text through preparation's expressions at once: the value, or None where refused."""
    table = table_of(engine, {"i": range(len(texts)), "x": pa.array(texts)})
    dtype, words = schema.features[0].dtype, schema.missing_words
    rows = table.select(
        "i",
        value=text_forms.as_dtype(table.x, dtype, words),
        bad=text_forms.unreadable(table.x, dtype, words),
    ).order_by("i")
    found = [row for batch in engine.batches(rows, 100) for row in batch.to_pylist()]
    fill = schema.features[0].fill
    made = {}
    for text, row in zip(texts, found, strict=True):
        value = fill if row["value"] is None else row["value"]
        if row["bad"] or (dtype == "float32" and abs(value) > cells.LARGEST_FLOAT32):
            made[text] = None  # a rule of the checks refuses the latter
        else:
            made[text] = [repr(float(np.float32(value))) if dtype == "float32" else str(value)]
    return made


@pytest.mark.parametrize("words", [(), ("NA", "x")])
@pytest.mark.parametrize("dtype", sorted(KINDS))
def test_every_text_is_the_same_behind_every_door(engine, dtype, words):
    schema = schema_of(dtype, words)
    first = in_one_pass(engine, schema, TEXTS)
    assert every_text(engine, schema, TEXTS, through_a_table) == first
    assert every_text(engine, schema, TEXTS, through_the_client) == first


def test_what_texts_mean_by_hand(engine):
    found = in_one_pass(engine, schema_of("int64"), TEXTS)
    assert found["4"] == found[" 4 "] == found["4.0"] == found["4e0"] == ["4"]
    assert found["NA"] == found[" "] == found["None"] == ["-1"]
    assert found["YES"] == ["1"] != found["n"] == ["0"]
    assert found["9007199254740993"] == ["9007199254740993"]
    refused = ("4.5", "1_0", "0x10", "1d", "7L", "inf", "1e400", "x", "9223372036854775808")
    assert [found[text] for text in refused] == [None] * len(refused)
    found = in_one_pass(engine, schema_of("string", ["NA"]), TEXTS)
    assert found["NA"] == found[""] == [""]
    assert found[" N/A "] == [" N/A "]
    assert found["007"] == ["007"]


@pytest.mark.parametrize("dtype", ["int64", "string"])
@pytest.mark.parametrize("text", LIST_TEXTS)
def test_lists_in_text_are_the_same_behind_every_door(engine, dtype, text):
    schema, column = schema_of(dtype, length=3), pa.array([text])
    first = outcome(through_preparation, engine, schema, column)
    for door in (through_a_table, through_the_client):
        assert outcome(door, engine, schema, column) == first, door.__name__
    assert (first is None) == (text == "[1, 2]" or (dtype == "int64" and text == "a,b"))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([dt.datetime(2024, 5, 1)]), "timestamp"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), "map"),
        (pa.array([{"a": 1}]), "struct"),
        (pa.array([[1]]), "array|list"),
        (pa.array([4.5]), "text, a whole number"),
    ],
)
def test_text_of_what_has_none_is_refused_with_the_cure(engine, column, said):
    for door in (through_preparation, through_a_table):
        with pytest.raises(ValueError, match=r"x.* must (be|hold).*;"):
            door(engine, schema_of("string"), column)
    with pytest.raises(ValueError, match=said):
        through_preparation(engine, schema_of("string"), column)


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
def test_spark_reads_every_form_as_duckdb_does(engine, tmp_path):
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("there is no Java on PATH")
    typed = {
        "whole": [4, None, -7],
        "truth": [True, None, False],
        "float": [4.0, None, 75001.0],
        "decimal": [Decimal("4.00"), None],
    }
    with connect("spark", tmp_path, "1GB", 2) as spark:
        for dtype in sorted(KINDS):
            schema = schema_of(dtype, ["NA"])
            assert in_one_pass(spark, schema, TEXTS) == in_one_pass(engine, schema, TEXTS)
            for name, values in typed.items():
                column = pa.array(values, COLUMNS[name][0])
                one, two = (
                    outcome(through_preparation, e, schema, column) for e in (engine, spark)
                )
                assert one == two
                assert one is not None
