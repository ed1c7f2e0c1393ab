"""Reads a sample of a user's own table; text stays text, so that types are guessed in one place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from idefn_tf.data import csv_files, find_files
from idefn_tf.schema import cells

#: Rows looked at, from the beginning of the table.
SAMPLE_ROWS = 500_000


def read_sample(source: str | Path, rows: int = SAMPLE_ROWS) -> pa.Table:
    """Reads the first rows of CSV or Parquet files.

    Args:
        source: a file, a folder or a glob.
        rows: at most so many.

    Returns:
        The rows; every column of a CSV file as text, numbers with a point before decimals.

    Raises:
        ValueError: if there is no file, it cannot be read, or it holds no row.
    """
    files = find_files(source)
    tables: list[pa.Table] = []
    count = 0
    for file in files:
        for table in _pieces(Path(file)):
            tables.append(table.slice(0, rows - count))
            count += tables[-1].num_rows
            if count >= rows:
                break
        if count >= rows:
            break
    if not count:
        raise ValueError(f"FILE: {source} must hold at least one row, received none")
    table = pa.concat_tables(tables, promote_options="permissive")
    other = any(f.suffix == ".csv" and csv_files.delimiter_of(f) != "," for f in map(Path, files))
    return _decimal_points(table) if other else table


def _decimal_points(table: pa.Table) -> pa.Table:
    """Rewrites columns of numbers with decimal commas; a column that holds anything else stays."""
    missing = pa.array(("", *cells.MISSING_WORDS))
    for i, name in enumerate(table.column_names):
        text = pc.utf8_trim(table[name], cells.BLANKS)
        there = pc.filter(text, pc.invert(pc.is_in(text, missing)))
        distinct = pc.drop_null(pc.unique(there))
        comma = pc.match_substring_regex(distinct, cells.DECIMAL_COMMA)
        if len(distinct) and pc.any(comma).as_py():
            number = pc.match_substring_regex(distinct, cells.NUMBER)
            if pc.all(pc.or_(comma, number)).as_py():
                changed = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
                is_comma = pc.match_substring_regex(text, cells.DECIMAL_COMMA)
                table = table.set_column(i, name, pc.if_else(is_comma, changed, text))
    return table


def _pieces(path: Path) -> Iterator[pa.Table]:
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as parquet:
                for batch in parquet.iter_batches():
                    yield pa.Table.from_batches([batch])
            return
        if path.suffix != ".csv":
            raise ValueError(f"FILE: {path} must be CSV or Parquet; convert it")
        for batch in csv_files.batches(path):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"FILE: {path} cannot be read; {error}") from None
