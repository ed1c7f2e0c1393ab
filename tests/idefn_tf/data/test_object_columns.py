"""Columns of objects of several types: each cell means what it means alone, or is refused."""

import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from idefn_tf.data import read_table, to_arrays
from idefn_tf.schema import Schema


def read(dtype, values, **more):
    kind = {"int64": "hash", "string": "hash", "float32": "numeric"}[dtype]
    feature = {"name": "x", "dtype": dtype, "side": "item", "kind": kind, **more}
    feature |= {} if dtype == "float32" else {"num_buckets": 9}
    labels = {"click": "o", "conversion": "r"}
    schema = Schema.parse({"name": "s", "labels": labels, "features": [feature]})
    column = values
    if not isinstance(values, pd.Series):
        column = pd.Series([None] * len(values), dtype=object)
        for row, value in enumerate(values):
            column.iat[row] = value
    frame = pd.DataFrame({"x": column})
    return to_arrays(schema, read_table(frame, schema), labels=False)["x"].tolist()


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        # Arrow alone gives 1.0 and 0.0, then 16777216
        ("float32", [1, np.float16(0.5)], [1.0, 0.5]),
        ("int64", [np.float32(1.0), np.int64(2**24 + 1)], [1, 2**24 + 1]),
        ("int64", [np.int64(2**53 + 1), np.float64(3.0)], [2**53 + 1, 3]),
        ("int64", [True, 2, "3", 4.0, Decimal("5.00"), b"6", None, "NA", pd.NaT],
         [1, 2, 3, 4, 5, 6, -1, -1, -1]),
        ("float32", [0.5, "1.5", Decimal("2.5"), True, 3, np.float32(0.25), b"7"],
         [0.5, 1.5, 2.5, 1.0, 3.0, 0.25, 7.0]),
        ("string", ["a", b"b", 7, 8.0, True, np.bool_(False), uuid.UUID(int=1)],
         [b"a", b"b", b"7", b"8", b"true", b"false", str(uuid.UUID(int=1)).encode()]),
        # alone among booleans, and beside numbers, a truth has one text
        ("string", [3.0, True], [b"3", b"true"]),
    ],
)  # fmt: skip
def test_cells_of_several_types_keep_their_meaning(dtype, values, expected):
    assert read(dtype, values) == expected
    assert read(dtype, values[::-1]) == expected[::-1]


@pytest.mark.parametrize("dtype", ["int64", "float32", "string"])
@pytest.mark.parametrize(
    "wrong",
    [
        np.datetime64("2024-05-01", "ns"),  # Arrow alone ends the process
        np.timedelta64(5, "ns"),
        pd.Timestamp("2024-05-01"),
        pd.Timedelta(5),
        {"a": 1},
        [4],
        4 + 1j,
    ],
)
def test_what_is_no_value_is_refused_beside_values(dtype, wrong):
    for values in ([1, wrong], [wrong, 1]):
        with pytest.raises(ValueError, match=r"'x'.* must be .*received"):
            read(dtype, values)


def test_a_uuid_is_no_number():
    with pytest.raises(ValueError, match=r"'x', row 1: must be int64, received a UUID"):
        read("int64", [1, uuid.UUID(int=5)])


def test_lists_of_every_form_stand_in_one_column():
    values = [[1, 2], (3,), np.array([4, 5]), "6, 7", 8, None, "", [np.float32(9), "10", None]]
    expected = [[1, 2], [3, -1], [4, 5], [6, 7], [8, -1], [-1, -1], [-1, -1], [9, 10]]
    assert read("int64", values, max_length=2) == expected
    values = [["a", None], np.array(["b", "c"]), ("d",), "e ,f", [7, True]]
    expected = [[b"a", b""], [b"b", b"c"], [b"d", b""], [b"e", b"f"], [b"7", b"true"]]
    assert read("string", values, max_length=2) == expected
    # Arrow alone reads [1, float16(0.5)] as [1, 0]
    with pytest.raises(ValueError, match=r"must be int64, received '0\.5'"):
        read("int64", [[1, np.float16(0.5)]], max_length=2)
    with pytest.raises(ValueError, match="row 1: must be a list or separated text"):
        read("int64", [[1], "[2, 3]"], max_length=2)


def test_categories_of_several_types():
    assert read("int64", pd.Series([1, "2", 1]).astype("category")) == [1, 2, 1]


def test_a_column_that_nothing_names_may_hold_anything():
    labels = {"click": "o", "conversion": "r"}
    feature = {"name": "x", "dtype": "int64", "side": "item", "kind": "hash", "num_buckets": 9}
    schema = Schema.parse({"name": "s", "labels": labels, "features": [feature]})
    frame = pd.DataFrame({"x": [1, 2], "other": [1, np.datetime64("2024-05-01", "ns")]})
    assert read_table(frame, schema).column_names == ["x"]


def test_two_columns_of_one_name_are_told():
    frame = pd.DataFrame([[1, 2, 3]], columns=["x", "y", "y"])
    with pytest.raises(ValueError, match="must have names of their own, received 'y' twice;\nren"):
        read_table(frame)
