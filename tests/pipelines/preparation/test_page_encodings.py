"""Encodings of pages: which lists are packed, the same rows, and files that stay small."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.preparation.page_encodings import packs, page_encodings


def lists(entries, size=4, kind=None):
    values = pa.array(entries, kind)
    return pa.ListArray.from_arrays(pa.array(range(0, len(values) + 1, size), pa.int32()), values)


@pytest.mark.parametrize(
    ("entries", "packed"),
    [
        # 16 equally frequent values: H = 4 bits; a width of 2^5 is below 1.5 * 4 = 6 bits,
        # 2^6 is not (the greatest of 16 values is moved to reach it)
        ([*range(15), 31] * 4, True),
        ([*range(15), 63] * 4, False),
        ([*range(10_000_000, 10_000_015), 10_000_031] * 4, True),
        # H of (1/2, 1/4, 1/8, 1/8) = 1.75 bits; four neighbours are 2 bits wide, 2 < 2.625
        ([0, 0, 0, 0, 1, 1, 2, 3], True),
        # H of (7/8, 1/8) = 0.54 bits, width 1: not below 0.82
        ([0] * 7 + [1], False),
        ([5] * 8, False),
        # the range is greater than an int64
        ([-(2**63), 2**63 - 1] * 4, False),
        ([], False),
    ],
)
def test_numbers_that_lie_close_together_are_packed(entries, packed):
    assert packs(lists(entries, kind=pa.int64())) is packed


def test_only_lists_of_whole_numbers_are_packed():
    numbers = np.arange(64)
    assert packs(lists(numbers))
    assert not packs(pa.array(numbers))
    assert not packs(lists(numbers.astype(np.float32)))
    assert not packs(lists([str(n) for n in numbers]))


def test_absent_lists_and_entries_do_not_count():
    column = pa.array([None, [], [0, None, 1], [2, 3]] * 3, pa.list_(pa.int64()))
    assert packs(column)
    assert not packs(pa.array([None, [], [None]], pa.list_(pa.int64())))


def written(path, batch, **options):
    with pq.ParquetWriter(path, batch.schema, **options) as writer:
        writer.write_batch(batch)
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    return {c.path_in_schema: (set(c.encodings) - {"RLE"}, c.compression) for c in columns}


def test_a_file_holds_the_same_rows_and_takes_little_more_room(tmp_path):
    rng = np.random.default_rng(0)
    rows = 20_000
    close = 10_000_000 + (50_000 * rng.random(4 * rows) ** 3).astype(np.int64)
    hashed = rng.integers(-(2**63), 2**63 - 1, 500)[rng.integers(0, 500, 4 * rows)]
    batch = pa.RecordBatch.from_pydict(
        {
            "row_id": pa.array(np.arange(rows)),
            "item": pa.array(rng.integers(0, 99, rows)),
            "close": lists(close),
            "hashed": lists(hashed),
            "weights": lists(rng.integers(0, 9, 4 * rows).astype(np.float32)),
            "words": lists([str(n) for n in rng.integers(0, 99, 4 * rows)]),
        }
    )
    found = written(tmp_path / "now.parquet", batch, **page_encodings(batch))
    coded = ({"PLAIN", "RLE_DICTIONARY"}, "ZSTD")
    assert found == {
        "row_id": ({"PLAIN"}, "ZSTD"),
        "item": coded,
        "close.list.element": ({"DELTA_BINARY_PACKED"}, "SNAPPY"),
        "hashed.list.element": coded,
        "weights.list.element": coded,
        "words.list.element": coded,
    }
    assert pq.read_table(tmp_path / "now.parquet").equals(pa.Table.from_batches([batch]))
    written(tmp_path / "coded.parquet", batch, compression="zstd")
    sizes = [(tmp_path / f"{name}.parquet").stat().st_size for name in ("now", "coded")]
    assert sizes[0] <= 1.15 * sizes[1]


def test_later_rows_of_a_file_may_lie_further_apart(tmp_path):
    first = pa.RecordBatch.from_pydict({"x": lists(np.arange(64))})
    later = pa.RecordBatch.from_pydict({"x": lists([-(2**63), 2**63 - 1, 0, -1])})
    with pq.ParquetWriter(tmp_path / "x.parquet", first.schema, **page_encodings(first)) as writer:
        writer.write_batch(first)
        writer.write_batch(later)
    assert pq.read_table(tmp_path / "x.parquet").equals(pa.Table.from_batches([first, later]))
