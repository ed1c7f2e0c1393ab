"""A cell means the same behind every door of Python: table, file, vocabulary, client."""

import datetime
import decimal
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idefn_tf.data import learn_vocabularies, open_dataset, read_table, to_arrays
from idefn_tf.schema import Schema
from serving.common.request import RequestBuilder

KINDS = {"int64": "vocabulary", "float32": "numeric", "string": "vocabulary"}
NAN = float("nan")
DOORS = ("frame", "arrow", "parquet", "client rows", "client frame")


def schema_of(dtype, words=(), **feature):
    made = {"name": "x", "dtype": dtype, "side": "item", "kind": KINDS[dtype], **feature}
    labels = {"click": "click", "conversion": "buy"}
    return Schema.parse(
        {"name": "s", "labels": labels, "features": [made], "missing_words": list(words)}
    )


def arrays_of(schema, table):
    values = to_arrays(schema, table, labels=False)["x"].tolist()
    return [v.decode() if isinstance(v, bytes) else v for v in values]


def through(door, schema, values, tmp_path):
    """The values as a model reads them, behind one door."""
    frame = values if isinstance(values, pd.DataFrame) else pd.DataFrame({"x": values})
    if door == "csv":
        lines = ["x,other", *(f'"{value}",1' for value in values)]
        (tmp_path / "a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return arrays_of(schema, read_table(tmp_path / "a.csv", schema))
    if door == "client rows":
        return RequestBuilder.from_schema(schema).columns(frame.to_dict("records"))["x"]
    if door == "client frame":
        return RequestBuilder.from_schema(schema).columns(frame)["x"]
    if door == "frame":
        (batch,) = next(iter(open_dataset(schema, frame, labels=False)))
        values = batch["x"].numpy().tolist()
        return [v.decode() if isinstance(v, bytes) else v for v in values]
    table = read_table(frame)
    if door == "parquet":
        pq.write_table(table, tmp_path / "a.parquet")
        table = read_table(tmp_path / "a.parquet", schema)
    return arrays_of(schema, table)


TEXT = [
    ("int64", {}, ["4", "4.0", "4e0", " 7 ", "007", "+3"], [4, 4, 4, 7, 7, 3]),
    ("int64", {}, ["", " \t", "NA", "N/A", "NULL", "null", "None", "nan", "NaN"], [-1] * 9),
    ("int64", {}, ["true", "T", "Yes", "y", "FALSE", "f", "no", "n"], [1] * 4 + [0] * 4),
    ("int64", {}, ["9007199254740993", "9223372036854775807"], [2**53 + 1, 2**63 - 1]),
    ("int64", {"missing": 5}, ["", "2"], [5, 2]),
    ("float32", {}, ["1.5", "", "nan", "-2e3", ".5", "4."], [1.5, NAN, NAN, -2000, 0.5, 4]),
    ("float32", {"missing": 9.0}, ["1.5", "NA", "NaN"], [1.5, 9, 9]),
    ("string", {}, ["NA", "None", " ", " a ", "01234", "75001.0", "1e5"],
     ["NA", "None", "", " a ", "01234", "75001.0", "1e5"]),
    ("string", {"missing": "gone"}, ["", "b"], ["gone", "b"]),
    ("string", {"words": ("NA", "-")}, ["NA", " - ", "None"], ["", "", "None"]),
    ("int64", {"words": ("-",)}, ["-", "3"], [-1, 3]),
]  # fmt: skip


@pytest.mark.parametrize("door", [*DOORS, "csv"])
@pytest.mark.parametrize(("dtype", "options", "texts", "expected"), TEXT)
def test_text_means_the_same_behind_every_door(door, dtype, options, texts, expected, tmp_path):
    found = through(door, schema_of(dtype, **options), texts, tmp_path)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("door", [*DOORS, "csv"])
@pytest.mark.parametrize(
    ("dtype", "text"),
    [("int64", "4.5"), ("int64", "1_0"), ("int64", "0x10"), ("int64", "7L"), ("int64", "inf"),
     ("int64", "9223372036854775808"), ("int64", "1e20"), ("int64", "on"), ("float32", "1d"),
     ("float32", "1.5f"), ("float32", "inf"), ("float32", "1e400"), ("float32", "1e39"),
     ("float32", "abc"), ("float32", "1,5"), ("float32", "true"), ("int64", "x" * 500)],
)  # fmt: skip
def test_text_that_is_no_number_is_refused(door, dtype, text, tmp_path):
    with pytest.raises(ValueError, match=f"must be {dtype}, received .*; ") as caught:
        through(door, schema_of(dtype), ["1", text], tmp_path)
    said = str(caught.value)
    assert "x" in said
    assert text[:70] in said
    assert len(said) < 300
    assert "client" in door or "in row 1" in said


TYPED = [
    ("int64", pd.Series([1, 2], dtype="int32"), [1, 2]),
    ("int64", pd.Series([1, 200], dtype="uint8"), [1, 200]),
    ("int64", pd.Series([2**53 + 1, None], dtype="Int64"), [2**53 + 1, -1]),
    ("int64", pd.Series([4.0, NAN]), [4, -1]),
    ("int64", pd.Series([True, False]), [1, 0]),
    ("int64", pd.Series([True, None], dtype="boolean"), [1, -1]),
    ("int64", pd.Series([7, None], dtype=object), [7, -1]),
    ("int64", pd.Series(["7", 8, None], dtype=object), [7, 8, -1]),
    ("int64", pd.Series([7, 8, 7], dtype="category"), [7, 8, 7]),
    ("int64", pd.Series(["7", None, "yes"], dtype="string"), [7, -1, 1]),
    ("int64", pd.Series([decimal.Decimal("3.00"), None]), [3, -1]),
    ("float32", pd.Series([1, None], dtype="Int64"), [1.0, NAN]),
    ("float32", pd.Series([1.5, None], dtype="Float64"), [1.5, NAN]),
    ("float32", pd.Series([0.5, NAN], dtype="float16"), [0.5, NAN]),
    ("float32", pd.Series([True, False]), [1.0, 0.0]),
    ("float32", pd.Series([decimal.Decimal("0.25"), None]), [0.25, NAN]),
    ("float32", pd.Series([None, None]), [NAN, NAN]),
    ("string", pd.Series([75001.0, NAN]), ["75001", ""]),
    ("string", pd.Series([75001, None], dtype="Int64"), ["75001", ""]),
    ("string", pd.Series([True, False]), ["true", "false"]),
    ("string", pd.Series([True, None], dtype="boolean"), ["true", ""]),
    ("string", pd.Series(["NA", pd.NA], dtype="string"), ["NA", ""]),
    ("string", pd.Series(["b", None, "b"], dtype="category"), ["b", "", "b"]),
    ("string", pd.Series([3, 4], dtype="category"), ["3", "4"]),
    ("string", pd.Series([b"caf\xc3\xa9", None]), ["café", ""]),
    ("string", pd.Series([1, "a", None], dtype=object), ["1", "a", ""]),
    ("string", pd.Series([decimal.Decimal("3.00"), decimal.Decimal("12.00")]), ["3", "12"]),
    ("string", pd.Series([uuid.UUID(int=1), None]), ["0" * 8 + "-0000" * 3 + "-" + "0" * 11 + "1",
                                                     ""]),
]  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("dtype", "values", "expected"), TYPED)
def test_typed_columns_mean_the_same_behind_every_door(door, dtype, values, expected, tmp_path):
    found = through(door, schema_of(dtype), values, tmp_path)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("dtype", "values"),
    [("string", [1.5]), ("string", [2.0**60]), ("string", [decimal.Decimal("1.5")]),
     ("string", [pd.Timestamp("2024-05-01")]), ("string", [datetime.date(2024, 5, 1)]),
     ("string", [[1]]), ("string", [{"a": 1}]), ("int64", [4.5]), ("int64", [2.0**53 + 2]),
     ("int64", pd.Series([2**63], dtype="uint64")), ("int64", [pd.Timestamp("2024-05-01")]),
     ("int64", [decimal.Decimal("1.5")]), ("float32", [1e39]), ("float32", [float("inf")]),
     ("float32", [pd.Timestamp("2024-05-01")]), ("float32", [[1.0]])],
)  # fmt: skip
def test_typed_values_without_a_meaning_are_refused(door, dtype, values, tmp_path):
    with pytest.raises(ValueError, match=r"(?s)x.* must be .*received .*; "):
        through(door, schema_of(dtype), values, tmp_path)


def test_bytes_that_are_not_utf8_are_refused():
    with pytest.raises(ValueError, match=r"'x' must be string, received .* in row 1; write it as"):
        arrays_of(schema_of("string"), pa.table({"x": [b"a", b"\xff"]}))


def test_other_types_of_arrow():
    cases = [
        ("int64", pa.array([1, None], pa.decimal128(9, 0)), [1, -1]),
        ("string", pa.array(["a", None], pa.large_string()), ["a", ""]),
        ("string", pa.array(["a", None], pa.string_view()), ["a", ""]),
        ("int64", pa.array(["5", None], pa.large_string()), [5, -1]),
        ("float32", pa.array([NAN, 1.0], pa.float64()), [NAN, 1.0]),
        ("string", pa.array([None, None]), ["", ""]),
        ("int64", pa.array([b"7", None], pa.binary()), [7, -1]),
    ]
    for dtype, column, expected in cases:
        found = arrays_of(schema_of(dtype), pa.table({"x": column}))
        np.testing.assert_array_equal(found, expected)
    maps = pa.table({"x": [1], "m": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))})
    assert arrays_of(schema_of("int64"), maps) == [1]  # no feature names the map
    with pytest.raises(ValueError, match=r"'x' must be string, received map<string, int64>; "):
        arrays_of(schema_of("string"), maps.select(["m"]).rename_columns(["x"]))


def test_vocabularies_are_learnt_from_cells():
    rows = pd.DataFrame({"x": ["NA", "NA", "b", " ", None]})
    assert learn_vocabularies(schema_of("string"), rows)["x"]["values"] == ["NA", "b"]
    words = schema_of("string", words=("NA",))
    assert learn_vocabularies(words, rows)["x"]["values"] == ["b"]
    yes = pd.DataFrame({"x": ["yes", "yes", "no", "NA"]})
    assert learn_vocabularies(schema_of("int64"), yes)["x"]["values"] == [1, 0]


def test_a_column_of_anything_that_no_feature_names_is_ignored():
    frame = pd.DataFrame({"x": ["a", 1], "other": [{"k": 1}, 2.5], "click": 0, "buy": 0})
    assert [v.decode() for v in _first(schema_of("string"), frame)] == ["a", "1"]
    with pytest.raises(ValueError, match=r"'other', row 0: must be text.* received a dict"):
        read_table(frame)


def _first(schema, frame):
    return next(iter(open_dataset(schema, frame)))[0]["x"].numpy().tolist()


def test_names_are_exact_in_case():
    features = [
        {"name": name, "dtype": "int64", "side": "item", "kind": "vocabulary"} for name in "aA"
    ]
    labels = {"click": "click", "conversion": "buy"}
    schema = Schema.parse({"name": "s", "labels": labels, "features": features})
    found = to_arrays(schema, pa.table({"A": [1], "a": [2]}), labels=False)
    assert (found["A"].tolist(), found["a"].tolist()) == ([1], [2])


# -- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("click", "buy"),
    [(["true", "No", "1"], ["y", "", "0.0"]), ([True, False, True], [True, None, False]),
     ([1.0, 0.0, 1.0], [1, None, 0]), (["1", "0", "T"], ["1", "NA", "n"])],
)  # fmt: skip
def test_labels_are_numbers_booleans_or_words(click, buy):
    table = read_table(pd.DataFrame({"x": [1, 2, 3], "click": click, "buy": buy}))
    found = to_arrays(schema_of("int64"), table)
    assert found["click"].tolist() == [1, 0, 1]
    assert found["conversion"].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("click", "buy", "message"),
    [([1, None], [0, 0], "'click' must hold 0 and 1, received a missing value in row 1; write 0"),
     ([0, 1], [0, None], "'buy' must hold 0 and 1 on a clicked row, received a missing value in"),
     ([0, 2], [0, 0], "'click' must hold 0 and 1, received 2"),
     (["0", "maybe"], [0, 0], "'click' must hold 0 and 1, received 'maybe' in row 1; write 0 or"),
     ([0.5, 1], [0, 0], "'click' must hold 0 and 1, received 0.5 in row 0; write 0 or")],
)  # fmt: skip
def test_labels_that_are_none_are_refused(click, buy, message, tmp_path):
    frame = pd.DataFrame({"x": [1, 2], "click": click, "buy": buy})
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ValueError, match=message):
        open_dataset(schema_of("int64"), frame)
    file = message.replace("received 2", "received '2(.0)?'").replace("0.5", "'0.5'")
    with pytest.raises(ValueError, match=rf"{file}.*a\.csv"):
        open_dataset(schema_of("int64"), tmp_path / "a.csv")


# -- lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "cells", "expected"),
    [("string", ["a, b", "NA,c", " ", None], [["a", "b"], ["NA", "c"], ["", ""], ["", ""]]),
     ("int64", ["1, 2", "NA,3", "4.0", ""], [[1, 2], [3, -1], [4, -1], [-1, -1]]),
     ("int64", [[1, None], [2.0], None, [NAN]], [[1, -1], [2, -1], [-1, -1], [-1, -1]]),
     ("string", [[7.0], ["x"], [True], []], [["7", ""], ["x", ""], ["true", ""], ["", ""]]),
     ("int64", [5, None], [[5, -1], [-1, -1]])],
)  # fmt: skip
def test_lists_split_at_commas_and_drop_what_is_missing(dtype, cells, expected):
    schema = schema_of(dtype, max_length=2)
    frame = pd.DataFrame({"x": pd.Series(cells, dtype=object)})
    assert RequestBuilder.from_schema(schema).columns(frame)["x"] == expected
    if dtype == "int64" or isinstance(cells[0], str):  # Arrow has no lists of mixed types
        made = to_arrays(schema, read_table(frame), labels=False)["x"].tolist()
        stored = [[v.decode() if isinstance(v, bytes) else v for v in row] for row in made]
        assert stored == expected


@pytest.mark.parametrize(("dtype", "text"), [("string", '["a", "b"]'), ("int64", " [1, 2] ")])
def test_lists_in_brackets_are_refused(dtype, text):
    schema = schema_of(dtype, max_length=2)
    frame = pd.DataFrame({"x": ["1,2", text]})
    with pytest.raises(ValueError, match=r"'x' must be a list or separated text.*row 1; write a"):
        to_arrays(schema, read_table(frame), labels=False)
    with pytest.raises(ValueError, match=r"x: must be a list or separated text.*; give a list"):
        RequestBuilder.from_schema(schema).columns(frame)


def test_an_entry_that_is_none_names_its_row():
    table = read_table(pd.DataFrame({"x": ["1,2", "", "3,b"]}))
    with pytest.raises(ValueError, match="'x' must be int64, received 'b' in row 2; "):
        to_arrays(schema_of("int64", max_length=2), table, labels=False)
