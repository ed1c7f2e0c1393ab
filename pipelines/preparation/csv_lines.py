"""The head of a CSV file, and the line at which one that cannot be read goes wrong."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

#: What may separate the columns of a CSV file.
DELIMITERS = ",;\t|"
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


def delimiter_of(path: Path) -> str:
    """Returns the character that separates the columns of a CSV file, by its first line."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    return max(DELIMITERS, key=first.count)


def head(path: Path) -> Head:
    """Reads a CSV file's first line.

    Raises:
        ValueError: if there is none, it is not UTF-8, or a name stands in it twice.
    """
    delimiter = delimiter_of(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next(csv.reader(file, delimiter=delimiter), [])
    except UnicodeDecodeError:
        raise ValueError(_not_utf8(path) or f"{path.name}: not UTF-8; convert it") from None
    names = tuple(name.strip() for name in first)
    if not any(names):
        raise ValueError(f"{path.name}: must begin with a line of column names, received none")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{path.name}: names the columns {repeated} twice; rename one")
    return Head(delimiter, names)


def odd_quotes(path: Path) -> bool:
    """Whether a file holds an odd number of quotes, as it does where one is not closed."""
    odd = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            odd ^= block.count(b'"') & 1
    return bool(odd)


def explain(path: Path, first: Head) -> str | None:
    """Says which line of a CSV file cannot be read, and why; None where all lines can."""
    if said := _not_utf8(path):
        return said
    before, limit = 0, csv.field_size_limit(_LONGEST)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=first.delimiter, strict=True)
            for row in reader:
                if row and len(row) != len(first.names):
                    return (
                        f"{path.name} line {before + 1}: {len(row)} fields, the header has "
                        f"{len(first.names)}; correct the line, or put quotes around a field that "
                        f"holds {first.delimiter!r}"
                    )
                before = reader.line_num
    except csv.Error as error:
        what = "a quote is not closed" if "end of data" in str(error) else str(error)
        return f"{path.name} line {before + 1}: {what}; correct the line"
    finally:
        csv.field_size_limit(limit)
    return None


def _not_utf8(path: Path) -> str | None:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"{path.name} line {number}: not UTF-8; convert it"
    return None
