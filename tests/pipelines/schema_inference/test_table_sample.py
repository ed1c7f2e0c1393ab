"""The sample that a schema is proposed from: delimiters, formats, rows."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idefn_tf.schema import Schema
from pipelines.schema_inference.proposal import propose
from pipelines.schema_inference.table_sample import read_sample


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_are_found(tmp_path, frame, delimiter):
    path = tmp_path / "shop.csv"
    frame.head(300).to_csv(path, index=False, sep=delimiter)
    table = read_sample(path)
    assert table.column_names == list(frame.columns)
    assert table.num_rows == 300
    assert table["sku"][0].as_py() == frame["sku"][0]


def test_a_sample_ends_where_it_is_told_to(folder, tmp_path, frame):
    assert read_sample(folder / "shop.csv", 100).num_rows == 100
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "a.parquet")
    assert read_sample(tmp_path, 100).num_rows == 100
    with pytest.raises(ValueError, match="no Parquet"):
        read_sample(tmp_path / "nothing.csv")


def test_parquet_and_csv_of_the_same_rows_give_the_same_schema(tmp_path, frame, schema_path):
    path = tmp_path / "shop.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    table = read_sample(path)
    found = propose(table, "clicked", "bought", name="shop").schema()
    assert found == Schema.load(schema_path)


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match=r"^FILE: .*a\.parquet cannot be read; "):
        read_sample(tmp_path / "a.parquet", 10)
    (tmp_path / "b.csv").write_text("user,clicked\n")
    with pytest.raises(ValueError, match=r"^FILE: .*b\.csv must hold at least one row, received n"):
        read_sample(tmp_path / "b.csv", 10)
    (tmp_path / "c.tfrecord").touch()
    with pytest.raises(
        ValueError, match=r"^FILE: .*c\.tfrecord must be CSV or Parquet; convert it"
    ):
        read_sample(tmp_path / "c.tfrecord", 10)
