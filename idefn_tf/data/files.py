"""Sources: files, folders, globs and DataFrames as Arrow tables."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from idefn_tf.data import csv_files, event_streams, object_store
from idefn_tf.data.object_columns import as_arrow, is_mixed
from idefn_tf.schema import Schema

#: The formats that are read, by ending.
FORMATS = {".parquet": "parquet", ".csv": "csv", ".tfrecord": "tfrecord", ".tfrecords": "tfrecord"}

_PARTS = ("train", "validation", "test", "all")

Source: TypeAlias = str | Path | Sequence[str | Path] | pd.DataFrame | pa.Table


def find_files(source: str | Path | Sequence[str | Path]) -> list[str]:
    """Lists the data files that a path, folder, glob or list of them stands for, in order.

    Raises:
        ValueError: if none is found, or formats are mixed.

    Example:
        >>> from idefn_tf.data import find_files
        >>> table.to_parquet("day_1.parquet")
        >>> find_files("day_*.parquet")
        ['day_1.parquet']
    """
    if isinstance(source, (str, Path)):
        source = [source]
    files: list[str] = []
    for item in source:
        if object_store.is_remote(item):
            address = str(item).rstrip("/")
            files += _data_files(address, object_store.files_under(address))
            continue
        path = Path(item)
        if path.is_dir():
            if (path / "reports").is_dir() and (path / "card.json").is_file():
                _refuse_whole(path, (p.name for p in path.iterdir() if p.is_dir()))
            files += sorted(
                str(p)
                for p in path.rglob("*")
                if p.suffix in FORMATS
                and not any(part.startswith((".", "_")) for part in p.relative_to(path).parts)
            )
        elif path.is_file():
            files.append(str(path))
        else:
            files += sorted(glob.glob(str(item), recursive=True))
    if not files:
        raise ValueError(
            f"source: no Parquet, CSV or TFRecord file found at {[str(s) for s in source]}; "
            "check the path."
        )
    format_of(files)
    return files


def _data_files(address: str, found: list[str]) -> list[str]:
    """Leaves out what is no data file of a remote folder: other endings, hidden names.

    Raises:
        ValueError: if it is a whole prepared folder.
    """
    if found == [address]:
        return found
    folders = {file[len(address) + 1 :].partition("/")[0] for file in found}
    if {"card.json", "reports"} <= folders:
        _refuse_whole(address, folders)
    return [
        file
        for file in found
        if Path(file).suffix in FORMATS
        and not any(part.startswith((".", "_")) for part in file[len(address) :].split("/"))
    ]


def _refuse_whole(folder: str | Path, names: Iterable[str]) -> None:
    parts = sorted(name for name in names if name in _PARTS)
    raise ValueError(
        f"source: {folder} is a whole prepared folder, whose reports training must not read; open "
        f"one of its parts: {parts}"
    )


def format_of(files: Sequence[str]) -> str:
    """Returns the one format of `files`: parquet, csv or tfrecord.

    Raises:
        ValueError: if an ending is unknown or endings differ.
    """
    formats = {FORMATS.get(Path(f).suffix, "unknown") for f in files}
    if len(formats) != 1 or "unknown" in formats:
        raise ValueError(
            f"source: files must all end in one of {sorted(FORMATS)}, received {sorted(files)[:5]}"
        )
    return formats.pop()


def read_table(
    source: Source, schema: Schema | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """Reads a whole source into memory as one Arrow table, its rows in order.

    Columns of a CSV file stay text: what they are is the schema's word, which `to_arrays` reads by.
    Folders such as day=3 in a path give no column.

    Args:
        source: a DataFrame, Arrow table, or Parquet or CSV files.
        schema: says which columns of a CSV file may hold decimal commas.
        columns: the columns to read; by default all.

    Raises:
        ValueError: if a file cannot be read, naming its line where it is CSV, or the files' columns
            differ in type.

    Example:
        >>> from idefn_tf.data import read_table
        >>> table.to_parquet("day_1.parquet")
        >>> read_table("day_1.parquet", columns=["user", "price"]).shape
        (24, 2)
    """
    if isinstance(source, pd.DataFrame):
        source = from_frame(source, schema)
    if isinstance(source, pa.Table):
        return source if columns is None else source.select(list(columns))
    files = find_files(source)
    if format_of(files) == "tfrecord":
        raise ValueError("source: TFRecord has no table form; open it with open_dataset.")
    tables = [_read(f, schema, columns) for f in files]
    # a part without rows has no say in what the columns are: its lists may be of type null
    tables = [table for table in tables if table.num_rows] or tables[:1]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise ValueError(
            f"source: the columns of {files[:5]} must be of one type in all files; {error}"
        ) from None


def from_frame(frame: pd.DataFrame, schema: Schema | None = None) -> pa.Table:
    """Returns a DataFrame as an Arrow table; columns of mixed objects become text, or lists of it.

    Raises:
        ValueError: if two columns have one name, or a column that the schema names (without one:
            any) holds what has no text.
    """
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(
            f"source: columns must have names of their own, received {twice!r} twice;\n"
            "rename one, or leave it out"
        )
    if not any(is_mixed(values) for _, values in frame.items()):
        try:
            return pa.Table.from_pandas(frame, preserve_index=False)
        except (pa.ArrowException, OverflowError):
            pass
    made = {}
    for name, values in frame.items():
        column = as_arrow(str(name), values, schema)
        if column is not None:
            made[str(name)] = column
    return pa.table(made)


def iterate_tables(
    files: Sequence[str], schema: Schema | None = None, rows: int = 131_072
) -> Iterator[pa.Table]:
    """Yields the files' rows in order, at most `rows` (or 16 megabytes of CSV) at a time."""
    for file in files:
        with object_store.explained(file):
            if file.endswith(".parquet"):
                with pq.ParquetFile(object_store.opened(file)) as parquet:
                    marks = event_streams.marks_of(parquet.schema_arrow)
                    for batch in parquet.iter_batches(batch_size=rows):
                        table = pa.Table.from_batches([batch])
                        yield event_streams.with_lists(table, file, marks)
            else:
                for batch in csv_files.batches(file, schema):
                    if batch.num_rows:
                        yield pa.Table.from_batches([batch])


def iterate_span(
    files: Sequence[str], start: int, end: int, rows: int = 131_072
) -> Iterator[pa.Table]:
    """Yields rows `start` to `end` of Parquet files in order, reading no group of rows beyond."""
    at = 0  # of the file's first row
    for file in files:
        with object_store.explained(file), pq.ParquetFile(object_store.opened(file)) as parquet:
            marks = event_streams.marks_of(parquet.schema_arrow)
            sizes = [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)]
            for group, size in enumerate(sizes):
                if at < end and at + size > start:
                    inside = at
                    for batch in parquet.iter_batches(rows, row_groups=[group]):
                        first, last = max(start - inside, 0), min(end - inside, len(batch))
                        if first < last:
                            some = pa.Table.from_batches([batch.slice(first, last - first)])
                            yield event_streams.with_lists(some, file, marks)
                        inside += len(batch)
                at += size
        if at >= end:
            return


def count_rows(files: Sequence[str]) -> int | None:
    """Returns the number of rows, where the files' footers tell it (Parquet)."""
    if any(not f.endswith(".parquet") for f in files):
        return None
    rows = 0
    for file in files:
        with object_store.explained(file):
            rows += pq.read_metadata(object_store.opened(file)).num_rows
    return rows


def _read(file: str, schema: Schema | None, columns: Sequence[str] | None) -> pa.Table:
    names = None if columns is None else list(columns)
    with object_store.explained(file):
        if file.endswith(".parquet"):
            opened = object_store.opened(file)
            marks = event_streams.marks_of(pq.read_schema(opened))
            held = event_streams.asked(names, marks)
            table = pq.read_table(object_store.opened(file), columns=held, partitioning=None)
            return event_streams.with_lists(table, file, marks, names) if marks else table
        table = pa.Table.from_batches(csv_files.batches(file, schema))
        return table if names is None else table.select(names)


def column_values(table: pa.Table, name: str) -> Any:
    """Returns a column as one Arrow array, categories spelled out."""
    column = table.column(name).combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column
