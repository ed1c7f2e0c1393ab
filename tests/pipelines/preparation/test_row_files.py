"""Row files: rows in order whatever the threads, parts apart, and no error is lost."""

import resource
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.preparation.row_files import Unfinished, write_rows

FORM = pa.schema([("row_id", pa.int64()), ("y", pa.int64())])
REPORT = pa.schema([("y", pa.int64())])


def doubled(batch):
    if batch.column("row_id")[0].as_py() < 0:
        raise OSError("no space left")
    return pa.RecordBatch.from_pydict(
        {"row_id": batch.column("row_id"), "y": pa.array([2 * n.as_py() for n in batch[0]])}
    )


def rows(part, start, end):
    batch = pa.RecordBatch.from_pydict({"row_id": pa.array(range(start, end), pa.int64())})
    return Unfinished(part, batch, doubled)


def writing_threads():
    return [t for t in threading.enumerate() if t.name.startswith("write-part")]


def read(folder):
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(len(files))]
    return [pq.read_metadata(f).num_rows for f in files], pa.concat_tables(
        map(pq.read_table, files)
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_rows_stand_in_order_whatever_the_threads_that_write(tmp_path, threads):
    # three parts of 90, 7 and 31 rows, one stream of batches of 10 at most, files of 25 rows
    ends = {"train": (0, 90), "validation": (90, 97), "test": (97, 128)}
    batches = (
        rows(part, n, min(n + 10, end))
        for part, (start, end) in ends.items()
        for n in range(start, end, 10)
    )
    assert sum(write_rows(tmp_path, batches, FORM, REPORT, 25, threads)) == 128
    sizes = {"train": [25, 25, 25, 15], "validation": [7], "test": [25, 6]}
    for part, (start, end) in ends.items():
        found, table = read(tmp_path / part)
        assert found == sizes[part]
        assert table["row_id"].to_pylist() == list(range(start, end))
        assert table["y"].to_pylist() == list(range(2 * start, 2 * end, 2))
        assert read(tmp_path / "reports" / part)[1]["y"].to_pylist() == table["y"].to_pylist()
    assert not writing_threads()


@pytest.mark.parametrize("bad", [0, 4, 8])
def test_an_error_of_a_thread_that_writes_is_raised_and_ends_the_threads(tmp_path, bad):
    batches = [rows("train", -1 if n == bad else n, n + 1 or 1) for n in range(9)]
    with pytest.raises(OSError, match="no space left"):
        list(write_rows(tmp_path, batches, FORM, FORM, 2, 2))
    assert not writing_threads()


def test_files_that_cannot_be_closed_leave_no_thread(tmp_path):
    """A disk that has no room for the last byte: each thread has a file to close."""
    batches = [rows("train", 0, 400)]
    list(write_rows(tmp_path / "whole", batches, FORM, FORM, 200, 2))
    size = (tmp_path / "whole/train/part-00000.parquet").stat().st_size
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, usual[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            list(write_rows(tmp_path / "cut", batches, FORM, FORM, 200, 2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert not writing_threads()


def test_an_early_error_is_raised_before_all_rows_are_asked_for(tmp_path):
    asked = []

    def batches():
        for n in range(1000):
            asked.append(n)
            yield rows("train", -1, 1_000)

    with pytest.raises(OSError, match="no space left"):
        list(write_rows(tmp_path, batches(), FORM, FORM, 1_000, 2))
    assert len(asked) < 1000


def test_rows_of_a_part_must_be_together(tmp_path):
    batches = [rows("train", 0, 2), rows("test", 2, 4), rows("train", 4, 6)]
    with pytest.raises(FileExistsError):
        list(write_rows(tmp_path, batches, FORM, REPORT, 2, 1))
