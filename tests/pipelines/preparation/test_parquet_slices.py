"""Writing slices: files in order whatever the threads, and what ends it early frees the engine."""

import threading
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from idefn_tf.schema import Schema
from pipelines.cli.console import Console
from pipelines.preparation.engine import Engine
from pipelines.preparation.parquet_slices import Slices
from pipelines.preparation.prepared_folder import Unfinished, write_part

SCHEMA = Schema.model_validate(
    {
        "name": "tiny",
        "labels": {"click": "click", "conversion": "bought"},
        "features": [{"name": "item", "dtype": "int64", "side": "item", "kind": "hash",
                      "num_buckets": 9}],
    }
)  # fmt: skip


class Interrupted(Console):
    """Ctrl-C comes once the first rows are written."""

    @contextmanager
    def progress(self, text, total=None):
        def advance(amount):
            raise KeyboardInterrupt

        yield advance


def test_an_interrupt_ends_the_reading_thread_before_the_engine(tmp_path):
    n = 200_000
    columns = {name: pa.array([0] * n) for name in ("item", "click", "bought")}
    table = pa.table({**columns, "row_id": pa.array(range(n)), "part": ["train"] * n})
    pq.write_table(table, tmp_path / "rows.parquet")
    (tmp_path / "work").mkdir()
    with pytest.raises(KeyboardInterrupt) as kept, Engine(tmp_path / "work") as engine:  # noqa: PT012
        rows = engine.read_all([tmp_path / "rows.parquet"])
        slices = Slices(engine, rows, [], SCHEMA, 50_000)
        try:
            slices.write(tmp_path / "out", ["train"], 1000, Interrupted())
        finally:
            left = [t for t in threading.enumerate() if t.name.startswith("read-ahead")]
    assert kept.value.__traceback__ is not None  # its frames are still held
    assert left == []


def doubled(batch):
    if batch.column("row_id")[0].as_py() < 0:
        raise OSError("no space left")
    return pa.RecordBatch.from_pydict(
        {"row_id": batch.column("row_id"), "y": pa.array([2 * n.as_py() for n in batch[0]])}
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_rows_stand_in_order_whatever_the_threads_that_write(tmp_path, threads):
    starts = range(0, 90, 10)
    batches = (
        Unfinished(pa.RecordBatch.from_pydict({"row_id": list(range(n, n + 10))}), doubled)
        for n in starts
    )
    forms = [pa.schema([("row_id", pa.int64()), ("y", pa.int64())]), pa.schema([("y", pa.int64())])]
    assert sum(write_part(tmp_path, "train", batches, *forms, 25, threads)) == 90
    files = sorted((tmp_path / "train").iterdir())
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(4)]
    assert [pq.read_metadata(file).num_rows for file in files] == [25, 25, 25, 15]
    rows = pa.concat_tables(map(pq.read_table, files))
    assert rows["row_id"].to_pylist() == list(range(90))
    assert rows["y"].to_pylist() == list(range(0, 180, 2))
    reports = sorted((tmp_path / "reports" / "train").iterdir())
    assert pa.concat_tables(map(pq.read_table, reports))["y"].to_pylist() == list(range(0, 180, 2))


def test_an_error_of_a_thread_that_writes_is_raised_and_ends_the_threads(tmp_path):
    bad = Unfinished(pa.RecordBatch.from_pydict({"row_id": [-1]}), doubled)
    form = pa.schema([("row_id", pa.int64()), ("y", pa.int64())])
    with pytest.raises(OSError, match="no space left"):
        list(write_part(tmp_path, "train", [bad] * 9, form, form, 2, 2))
    assert not [t for t in threading.enumerate() if t.name.startswith("write-part")]
