"""Reads a sample of a user's own table; text stays text, so that types are guessed in one place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from idefn_tf.data import find_files
from pipelines.preparation import text_forms

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
    other = any(f.suffix == ".csv" and text_forms.delimiter_of(f) != "," for f in map(Path, files))
    return _decimal_points(table) if other else table


def _decimal_points(table: pa.Table) -> pa.Table:
    """Rewrites columns of numbers with decimal commas; a column that holds anything else stays."""
    for i, name in enumerate(table.column_names):
        text = pc.utf8_trim_whitespace(table[name])
        there = pc.filter(text, pc.invert(pc.is_in(text, pa.array(text_forms.ABSENT))))
        distinct = pc.drop_null(pc.unique(there))
        comma = pc.match_substring_regex(distinct, text_forms.DECIMAL_COMMA)
        if len(distinct) and pc.any(comma).as_py():
            whole = pc.match_substring_regex(distinct, r"^[+-]?[0-9]+$")
            if pc.all(pc.or_(comma, whole)).as_py():
                changed = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
                table = table.set_column(i, name, changed)
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
        parse = pyarrow.csv.ParseOptions(
            delimiter=text_forms.delimiter_of(path), newlines_in_values=True
        )
        names = pyarrow.csv.open_csv(path, parse_options=parse).schema.names
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"FILE: {path} names the columns {repeated} twice; rename one")
        convert = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True
        )
        with pyarrow.csv.open_csv(path, parse_options=parse, convert_options=convert) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"FILE: {path} cannot be read; {error}") from None
