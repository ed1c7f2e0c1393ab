"""s3:// from a real S3-compatible server: the same rows, and a process that ends as it should."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from idefn_tf.data import object_store, open_dataset
from idefn_tf.data.tensorflow_io_plugin import load_tensorflow_io
from idefn_tf.schema import Schema

try:
    load_tensorflow_io()
    LOADS = True
except ImportError:
    LOADS = False
ROOT = Path(__file__).resolve().parents[3]
SCHEMA = {
    "name": "s",
    "labels": {"click": "click", "conversion": "conversion"},
    "features": [{"name": "n", "dtype": "int64", "side": "user", "kind": "vocabulary"}],
}


def frame(start, rows=40):
    number = np.arange(start, start + rows)
    return pd.DataFrame({"n": number, "click": 1, "conversion": number % 2})


@pytest.fixture(scope="module")
def bucket(s3_server, tmp_path_factory):
    """A bucket with the rows 0..79 in every format, and the variables that lead to its server."""
    variables, client = s3_server
    client.create_bucket(Bucket="rows")
    folder = tmp_path_factory.mktemp("rows")
    for i in range(2):
        made = frame(40 * i)
        made.to_parquet(folder / f"p{i}.parquet", row_group_size=16)
        made.to_csv(folder / f"c{i}.csv", index=False)
        with tf.io.TFRecordWriter(str(folder / f"r{i}.tfrecord")) as writer:
            for row in made.to_dict("records"):
                example = tf.train.Example()
                for name, value in row.items():
                    example.features.feature[name].int64_list.value.append(int(value))
                writer.write(example.SerializeToString())
        for kind, ending in (("p", "parquet"), ("c", "csv"), ("r", "tfrecord")):
            name = f"{kind}{i}.{ending}"
            client.upload_file(str(folder / name), "rows", f"{ending}/{name}")
    client.put_object(Bucket="rows", Key="parquet/_SUCCESS", Body=b"")
    return variables


#: A job as the pipelines run theirs: it reads every source, writes a file, and says what it read.
JOB = """
import json, sys
from pathlib import Path
import numpy as np
from idefn_tf.data import dataset as datasets, open_dataset
from idefn_tf.schema import Schema
from pipelines.cli.console import Console, run_job

schema = Schema.parse(json.loads(sys.argv[1]))

def job():
    found = {}
    for name, source, cache, options in json.loads(sys.argv[2]):
        datasets.CACHE_ROWS = cache
        rows = [f["n"] for f, _, _ in open_dataset(schema, source, batch_size=32, **options)]
        found[name] = np.concatenate(rows).tolist()
    Path(sys.argv[3]).write_text(json.dumps(found))
    print("all read")
    return int(sys.argv[4])

raise SystemExit(run_job(job, Console()))
"""
SOURCES = [
    ("folder", "s3://rows/parquet", 1000, {}),
    ("glob", "s3://rows/parquet/p*.parquet", 1000, {}),
    ("streamed", "s3://rows/parquet", 10, {}),
    ("file", "s3://rows/parquet/p1.parquet", 1000, {}),
    ("native", "s3://rows/parquet", 1000, {"reader": "tensorflow-io"}),
    ("csv", "s3://rows/csv", 1000, {}),
    ("tfrecord", "s3://rows/tfrecord", 1000, {}),
    ("tfrecord streamed", "s3://rows/tfrecord", 10, {}),
]


def start(starter, bucket, sources, out, status="0"):
    return starter.run(
        [sys.executable, "-c", JOB, json.dumps(SCHEMA), json.dumps(sources), str(out), status],
        env={**os.environ, **bucket},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.skipif(not LOADS, reason="tensorflow-io does not load here")
def test_a_job_reads_every_format_and_ends_with_its_own_status(bucket, tmp_path, warm_processes):
    done = start(warm_processes, bucket, SOURCES, tmp_path / "found.json")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "all read\n"
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found) == {name for name, *_ in SOURCES}
    for name, rows in found.items():
        first = 40 if name == "file" else 0
        assert rows == list(range(first, 80)), name


@pytest.mark.skipif(not LOADS, reason="tensorflow-io does not load here")
def test_a_job_that_fails_after_reading_keeps_its_status_and_message(
    bucket, tmp_path, warm_processes
):
    assert start(warm_processes, bucket, SOURCES[:1], tmp_path / "a.json", "3").returncode == 3
    done = start(
        warm_processes,
        bucket,
        [*SOURCES[:1], ("no", "s3://rows/nothing", 10, {})],
        tmp_path / "b.json",
    )
    assert done.returncode == 2
    assert "no Parquet, CSV or TFRecord file found at ['s3://rows/nothing']" in done.stderr


@pytest.mark.parametrize("source", SOURCES[:4] + SOURCES[5:6], ids=lambda s: s[0])
def test_pyarrow_reads_the_same_where_tensorflow_io_does_not_load(bucket, monkeypatch, source):
    name, address, cache, options = source
    for key, value in bucket.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(object_store, "_arrow", lambda: True)
    monkeypatch.setattr("idefn_tf.data.dataset.CACHE_ROWS", cache)
    made = open_dataset(Schema.parse(SCHEMA), address, batch_size=32, **options)
    rows = np.concatenate([f["n"] for f, _, _ in made.as_numpy_iterator()])
    np.testing.assert_array_equal(rows, np.arange(40 if name == "file" else 0, 80))
    assert not object_store.aborts_at_exit()


def test_what_is_not_there_or_not_to_be_read_is_said(bucket, s3_server, monkeypatch):
    for key, value in bucket.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(object_store, "_arrow", lambda: True)
    with pytest.raises(ValueError, match="no Parquet, CSV or TFRecord file found at"):
        open_dataset(Schema.parse(SCHEMA), "s3://rows/nothing")
    with pytest.raises(ValueError, match=r"s3://absent/x.* cannot be read|no Parquet"):
        open_dataset(Schema.parse(SCHEMA), "s3://absent/x")
    keys = ("reports/train/part-00000.parquet", "train/part-00000.parquet", "card.json")
    for key in keys:
        s3_server[1].put_object(Bucket="rows", Key=f"whole/{key}", Body=b"")
    with pytest.raises(ValueError, match=r"whole prepared folder.* one of its parts: \['train'\]"):
        open_dataset(Schema.parse(SCHEMA), "s3://rows/whole/")
