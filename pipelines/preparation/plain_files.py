"""Raw files in a form that every engine reads alike: Parquet, of types that all of them know.

CSV files become Parquet files of text (one reader, so that line breaks in quotes, encodings and
lines of another length mean the same on every engine), and Parquet files with columns of odd types
(half floats, bytes, UUIDs) are written anew; all other files are read where they lie.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from idefn_tf.data import csv_files


def plain(path: Path, folder: Path, columns: Collection[str] | None = None) -> Path:
    """Returns a Parquet file of plain types with the rows of a raw file.

    Args:
        path: a CSV or Parquet file.
        folder: where a copy is written, if one is needed.
        columns: those that are needed; the others keep no odd type from being read.

    Raises:
        ValueError: naming file and line or column, if the file cannot be read.
    """
    if path.suffix == ".csv":
        return _written(folder, csv_files.batches(path))
    if path.suffix != ".parquet":
        raise ValueError(f"file: {path} must end in .csv or .parquet; convert it")
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"reading {path.name}: must be a Parquet file; {error}") from None
    needed = [name for name in schema.names if columns is None or name in columns]
    odd = [name for name in needed if _odd(schema.field(name).type)] if needed else []
    return _written(folder, _plain_batches(path, needed, odd)) if odd else path


def _odd(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.ListType | pa.LargeListType):
        return _odd(kind.value_type)
    return bool(
        pa.types.is_float16(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_null(kind)
        or pa.types.is_uint64(kind)
        or isinstance(kind, pa.UuidType)
    )


def _plain_batches(path: Path, needed: list[str], odd: list[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as parquet:
        form = pa.schema([parquet.schema_arrow.field(name) for name in needed])
        none = [pa.RecordBatch.from_pylist([], schema=form)]
        some = parquet.iter_batches(columns=needed) if parquet.metadata.num_rows else none
        for batch in some:  # a file without rows has its columns all the same
            for name in odd:
                at = batch.schema.get_field_index(name)
                try:
                    column = _plain(batch.column(at))
                except (pa.ArrowException, UnicodeDecodeError, OverflowError):
                    raise ValueError(
                        f"{path.name}: the column {name!r} must hold text, received bytes that "
                        "are not UTF-8; write it as text"
                    ) from None
                batch = batch.set_column(at, name, column)
            yield batch


def _plain(column: pa.Array) -> pa.Array:
    kind = column.type
    if isinstance(kind, pa.ListType | pa.LargeListType):
        made = _plain(column.flatten())
        offsets = pc.cumulative_sum(pc.fill_null(pc.list_value_length(column), 0).cast(pa.int32()))
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), offsets])
        return pa.ListArray.from_arrays(offsets, made, mask=column.is_null())
    if isinstance(kind, pa.UuidType):
        texts = [None if b is None else str(uuid.UUID(bytes=b)) for b in column.storage.to_pylist()]
        return pa.array(texts, pa.string())
    if pa.types.is_float16(kind):
        return column.cast(pa.float32())
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_uint64(kind):
        return column.cast(pa.decimal128(20, 0))
    if pa.types.is_fixed_size_binary(kind):
        column = column.cast(pa.binary())
    texts = column.cast(pa.string() if pa.types.is_binary(column.type) else pa.large_string())
    texts.validate(full=True)
    return texts


def _written(folder: Path, batches: Iterator[pa.RecordBatch]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{len(list(folder.iterdir())):06d}.parquet"
    writer = None
    try:
        for batch in batches:
            if writer is None:
                writer = pq.ParquetWriter(path, batch.schema, compression="snappy")
            writer.write_batch(batch)
    finally:
        if writer is not None:
            writer.close()
    return path
