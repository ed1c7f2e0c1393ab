"""CSV files: text until the schema says more, lines that do not fit by file and line; paths."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idefn_tf.data import open_dataset, read_table, to_arrays
from idefn_tf.data.csv_files import delimiter_of
from idefn_tf.schema import Schema

SCHEMA = Schema.parse(
    {
        "name": "s",
        "labels": {"click": "click", "conversion": "buy"},
        "features": [
            {"name": "code", "dtype": "string", "side": "user", "kind": "hash", "num_buckets": 9},
            {"name": "id", "dtype": "int64", "side": "item", "kind": "hash", "num_buckets": 9},
            {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric"},
        ],
    }
)


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_mark_header_and_types(tmp_path, separator):
    rows = ["code, id ,price,click,buy", "01234,9007199254740993,2.5,true,no", 'NA,"7",,0,']
    text = "\r\n".join(rows).replace(",", separator) + "\r\n"
    file = write(tmp_path / "a.csv", text, "utf-8-sig")
    assert delimiter_of(file) == separator
    table = read_table(file, SCHEMA)
    assert table.column_names == ["code", "id", "price", "click", "buy"]
    found = to_arrays(SCHEMA, table)
    assert found["code"].tolist() == [b"01234", b"NA"]
    assert found["id"].tolist() == [2**53 + 1, 7]
    np.testing.assert_array_equal(found["price"], np.float32([2.5, np.nan]))
    assert found["click"].tolist() == [1, 0]
    features, labels, _ = next(iter(open_dataset(SCHEMA, file)))
    assert features["id"].numpy().tolist() == [2**53 + 1, 7]
    assert labels["click"].numpy().tolist() == [1, 0]


def test_decimal_commas_where_the_separator_is_another(tmp_path):
    text = "code;id;price;click;buy\n1,5;1.234,0;1.234,5;0;0\n2;3;4.5;0;0\n"
    found = to_arrays(SCHEMA, read_table(write(tmp_path / "a.csv", text), SCHEMA))
    assert found["price"].tolist() == [1234.5, 4.5]
    assert found["id"].tolist() == [1234, 3]
    assert found["code"].tolist() == [b"1,5", b"2"]  # text is as it is written


def test_line_breaks_in_quotes_and_empty_files(tmp_path):
    text = 'code,id,price,click,buy\n"a\nb",1,1,0,0\n'
    assert read_table(write(tmp_path / "a.csv", text))["code"].to_pylist() == ["a\nb"]
    assert read_table(write(tmp_path / "b.csv", "code,id\n")).num_rows == 0


def test_a_column_that_is_empty_in_its_first_megabytes(tmp_path):
    line = "a,1,1,0,\n" * 400_000
    file = write(tmp_path / "a.csv", f"code,id,price,click,buy\n{line}b,1,1,1,1\n")
    arrays = to_arrays(SCHEMA, read_table(file, SCHEMA))
    assert (arrays["conversion"].sum(), len(arrays["click"])) == (1, 400_001)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b,c\n" + "1,2,3\n" * 99 + "1,2\n", "a.csv line 101: 2 fields, the header has 3; "),
     ('a,b\n"1\n2",3\n4,5,6\n', "a.csv line 4: 3 fields, the header has 2; correct the line"),
     ('a,b\n1,"2\n3,4\n', "a.csv line 2: a quote is not closed; correct the line"),
     ("a,b, a\n1,2,3\n", "a.csv must name every column once, received \\['a'\\] twice; rename one"),
     ("\n", "a.csv must begin with a line of column names, received none; ")],
)  # fmt: skip
def test_lines_that_do_not_fit(tmp_path, text, message):
    file = write(tmp_path / "a.csv", text)
    with pytest.raises(ValueError, match=f"source: {message}"):
        read_table(file)
    with pytest.raises(ValueError, match=message):
        open_dataset(SCHEMA, file)


def test_another_encoding_names_the_line(tmp_path):
    file = write(tmp_path / "a.csv", "a,b\n1,2\nMüller,3\n", "latin-1")
    with pytest.raises(ValueError, match=r"a\.csv line 3: not UTF-8; convert it"):
        read_table(file)
    file = write(tmp_path / "b.csv", "ä,b\n1,2\n", "latin-1")
    with pytest.raises(ValueError, match=r"b\.csv line 1: not UTF-8; convert it"):
        read_table(file)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_folder_in_the_path_gives_no_column(tmp_path, ending):
    folder = tmp_path / "click=1" / "code=5"
    folder.mkdir(parents=True)
    frame = pd.DataFrame({"code": ["a"], "id": [1], "price": [1.0], "click": [0], "buy": [0]})
    file = folder / f"a[1].{ending}"  # and a bracket is a bracket
    write_to = frame.to_csv if ending == "csv" else frame.to_parquet
    write_to(file, index=False)
    for source in (file, tmp_path):
        table = read_table(source, SCHEMA)
        assert table.column_names == list(frame.columns)
        found = to_arrays(SCHEMA, table)
        assert (found["click"].tolist(), found["code"].tolist()) == ([0], [b"a"])
    frame.drop(columns="click").to_csv(folder / "b.csv", index=False)
    with pytest.raises(ValueError, match="must hold the columns 'click' and 'buy'"):
        open_dataset(SCHEMA, folder / "b.csv")


def test_a_part_without_rows_is_no_obstacle(tmp_path):
    good = pa.table({"code": ["a"], "id": [1], "price": [1.0], "click": [0], "buy": [0]})
    none = pa.table({name: pa.array([], pa.null()) for name in good.column_names})
    none = none.set_column(1, "id", pa.array([], pa.list_(pa.null())))
    pq.write_table(none, tmp_path / "a.parquet")
    pq.write_table(good, tmp_path / "b.parquet")
    assert read_table(tmp_path, SCHEMA).equals(good)
    (batch,) = list(open_dataset(SCHEMA, tmp_path))
    assert batch[0]["id"].numpy().tolist() == [1]
