"""TFRecord: what an example lacks means what a null in Parquet means."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from idefn_tf.data import open_dataset
from idefn_tf.data.readers.tfrecord import read_tfrecord
from idefn_tf.schema import Schema

STAND_IN = {"side": "context", "train_only": True}
SCHEMA = Schema.parse(
    {
        "name": "s",
        "labels": {"click": "click", "conversion": "conversion"},
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
            {"name": "slot", "dtype": "int64", "kind": "vocabulary", "serving_value": 4,
             **STAND_IN},
            {"name": "page", "dtype": "string", "kind": "vocabulary", "missing": "none",
             "serving_value": "home", **STAND_IN},
            {"name": "delay", "dtype": "float32", "kind": "numeric", "serving_value": 1.5,
             **STAND_IN},
            {"name": "tabs", "dtype": "int64", "kind": "vocabulary", "max_length": 2,
             "weights": "tabs_weights", "serving_value": 6, **STAND_IN},
        ],
    }
)  # fmt: skip
ROWS = [
    {"user": 1, "slot": None, "page": None, "delay": None, "tabs": None, "tabs_weights": None},
    {"user": 2, "slot": 9, "page": "a", "delay": 0.5, "tabs": [3], "tabs_weights": [2.0]},
    {"user": 3, "slot": None, "page": "b", "delay": None, "tabs": [], "tabs_weights": []},
]
#: By hand: what stands in the three rows, and in rows of files without these columns.
EXPECTED = {
    "slot": [-1, 9, -1],
    "page": [b"none", b"a", b"b"],
    "delay": [np.nan, 0.5, np.nan],
    "tabs": [[-1, -1], [3, -1], [-1, -1]],
    "tabs_weights": [[0, 0], [2, 0], [0, 0]],
}
ABSENT = {
    "slot": [4] * 3,
    "page": [b"home"] * 3,
    "delay": [1.5] * 3,
    "tabs": [[6, -1]] * 3,
    "tabs_weights": [[1, 0]] * 3,
}


def example(row):
    made = tf.train.Example()
    for name, value in {**row, "click": 1, "conversion": 0}.items():
        for entry in [] if value is None else value if isinstance(value, list) else [value]:
            feature = made.features.feature[name]
            if isinstance(entry, str):
                feature.bytes_list.value.append(entry.encode())
            elif isinstance(entry, float):
                feature.float_list.value.append(entry)
            else:
                feature.int64_list.value.append(entry)
    return made.SerializeToString()


def write(folder, rows, form):
    folder.mkdir()
    if form == "parquet":
        table = pa.Table.from_pylist([{**row, "click": 1, "conversion": 0} for row in rows])
        pq.write_table(table, folder / "a.parquet")
        return folder
    with tf.io.TFRecordWriter(str(folder / "a.tfrecord")) as writer:
        for row in rows:
            writer.write(example(row))
    return folder


@pytest.mark.parametrize("form", ["parquet", "tfrecord"])
@pytest.mark.parametrize("held", [True, False], ids=["held", "streamed"])
@pytest.mark.parametrize(
    ("rows", "expected"),
    [(ROWS, EXPECTED), ([{"user": row["user"]} for row in ROWS], ABSENT)],
    ids=["null", "no column"],
)
def test_a_null_is_missing_and_no_column_is_the_serving_value(
    tmp_path, form, held, rows, expected, monkeypatch
):
    if not held:
        monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", 0)
    dataset = open_dataset(SCHEMA, write(tmp_path / "rows", rows, form), batch_size=3)
    features = next(iter(dataset.as_numpy_iterator()))[0]
    for name, values in expected.items():
        np.testing.assert_array_equal(features[name], np.array(values), err_msg=name)


def test_a_late_first_value_is_found_and_an_empty_file_says_nothing(tmp_path):
    (tmp_path / "data").mkdir()
    empty, late = (str(tmp_path / "data" / f"{name}.tfrecord") for name in "ab")
    tf.io.TFRecordWriter(empty).close()
    rows = [{"user": i} for i in range(1500)] + [{"user": 1, "slot": 2}]
    with tf.io.TFRecordWriter(late) as writer:
        for row in rows:
            writer.write(example(row))
    (arrays,) = read_tfrecord(SCHEMA, [empty, late], True)
    assert arrays["slot"].tolist() == [-1] * 1500 + [2]
    assert set(arrays["page"]) == {b"home"}
