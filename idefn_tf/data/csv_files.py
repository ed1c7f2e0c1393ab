"""CSV files: every column as text, until the schema says what it is; errors that name the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from idefn_tf.data import object_store
from idefn_tf.schema import Schema, cells

#: What may separate the columns of a CSV file.
DELIMITERS = ",;\t|"
#: Bytes read at a time: no cell may be longer.
_BLOCK = 1 << 24
_LONGEST = 1 << 30


@dataclass(frozen=True)
class Head:
    """The first line of a CSV file.

    Attributes:
        delimiter: what separates its columns.
        names: of the columns, without blanks around them.
    """

    delimiter: str
    names: tuple[str, ...]


def delimiter_of(path: str | Path) -> str:
    """Returns the character that separates the columns of a CSV file, by its first line."""
    with _bytes(str(path)) as file:
        first = file.readline().decode("utf-8-sig", errors="replace")
    return max(DELIMITERS, key=first.count)


def head(path: str | Path) -> Head:
    """Reads a CSV file's first line.

    Raises:
        ValueError: if there is none, it is not UTF-8, or a name stands in it twice.
    """
    delimiter = delimiter_of(path)
    try:
        with _text(str(path)) as file:
            first = next(csv.reader(file, delimiter=delimiter), [])
    except UnicodeDecodeError:
        raise ValueError(f"source: {_not_utf8(str(path))}") from None
    names = tuple(name.strip(cells.BLANKS) for name in first)
    if not any(names):
        raise ValueError(
            f"source: {_name(path)} must begin with a line of column names, received none; write it"
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"source: {_name(path)} must name every column once, received {repeated} twice; "
            "rename one"
        )
    return Head(delimiter, names)


def batches(path: str | Path, schema: Schema | None = None) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a CSV file in order, every column as text.

    Args:
        path: the file.
        schema: says which columns hold numbers: there a decimal comma becomes a point, where the
            file's separator is no comma.

    Raises:
        ValueError: naming the line, if it has more or fewer fields than the header, a quote stays
            open, or the text is not UTF-8.
    """
    path = str(path)
    first = head(path)
    places = [str(i) for i in range(len(first.names))]
    read = pyarrow.csv.ReadOptions(
        column_names=places, skip_rows_after_names=1, block_size=_BLOCK, use_threads=False
    )
    parse = pyarrow.csv.ParseOptions(delimiter=first.delimiter, newlines_in_values=True)
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False
    )
    form = pa.schema([(name, pa.string()) for name in first.names])
    yield pa.RecordBatch.from_arrays([pa.array([], pa.string()) for _ in places], schema=form)
    if _odd_quotes(path) and (said := explain(path, first)):
        raise ValueError(f"source: {said}")
    points = () if first.delimiter == "," or schema is None else _numbers(schema)
    try:
        with pyarrow.csv.open_csv(object_store.opened(path), read, parse, convert) as reader:
            for batch in reader:
                columns = [
                    _decimal_points(column) if name in points else column
                    for name, column in zip(first.names, batch.columns, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=form)
    except pa.ArrowInvalid as error:
        if "Empty CSV file" not in str(error):  # no line but the header's
            said = explain(path, first) or f"{_name(path)} cannot be read; {error}"
            raise ValueError(f"source: {said}") from None


def explain(path: str | Path, first: Head) -> str | None:
    """Says which line of a CSV file cannot be read, and why; None where all lines can."""
    if said := _not_utf8(str(path)):
        return said
    before, limit = 0, csv.field_size_limit(_LONGEST)
    try:
        with _text(str(path)) as file:
            reader = csv.reader(file, delimiter=first.delimiter, strict=True)
            for row in reader:
                if row and len(row) != len(first.names):
                    return (
                        f"{_name(path)} line {before + 1}: {len(row)} fields, the header has "
                        f"{len(first.names)}; correct the line, or put quotes around a field that "
                        f"holds {first.delimiter!r}"
                    )
                before = reader.line_num
    except csv.Error as error:
        what = "a quote is not closed" if "end of data" in str(error) else str(error)
        return f"{_name(path)} line {before + 1}: {what}; correct the line"
    finally:
        csv.field_size_limit(limit)
    return None


def _name(path: str | Path) -> str:
    return str(path).rpartition("/")[2]


def _numbers(schema: Schema) -> set[str]:
    """Returns the names of columns that hold one number a row."""
    names = {schema.labels.click, schema.labels.conversion, "click", "conversion", "sample_weight"}
    for feature in schema.features:
        if feature.dtype != "string" and not feature.multi_valued:
            names |= {feature.name, feature.source}
    return names


def _decimal_points(column: pa.Array) -> pa.Array:
    """Returns "1.234,5" as "1234.5", and other text as it is."""
    trimmed = pc.utf8_trim(column, characters=cells.BLANKS)
    found = pc.match_substring_regex(trimmed, cells.DECIMAL_COMMA)
    pointed = pc.replace_substring(pc.replace_substring(trimmed, ".", ""), ",", ".")
    return pc.if_else(found, pointed, column)


def _odd_quotes(path: str) -> bool:
    """Whether a file holds an odd number of quotes, as it does where one is not closed."""
    odd = 0
    with _bytes(path) as file:
        while block := file.read(1 << 20):
            odd ^= block.count(b'"') & 1
    return bool(odd)


def _not_utf8(path: str) -> str | None:
    with _bytes(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"{_name(path)} line {number}: not UTF-8; convert it"
    return None


def _bytes(path: str) -> BinaryIO:
    if not object_store.is_remote(path):
        return Path(path).open("rb")
    return cast(BinaryIO, io.BufferedReader(object_store.opened(path)))


def _text(path: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(_bytes(path), encoding="utf-8-sig", newline="")
