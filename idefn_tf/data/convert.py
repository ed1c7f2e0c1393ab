"""One flat Arrow column to a NumPy array of the schema's type: `schema.cells` said in Arrow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from idefn_tf.data.numbers_in_text import numbers_in_text
from idefn_tf.schema import cells

_EMPTY: dict[str, Any] = {"int64": 0, "float32": np.nan, "string": b""}
_CURES = {
    "int64": "write a whole number, or leave the cell blank where there is none",
    "float32": "write a number, or leave the cell blank where there is none",
    "string": "write it as text, or declare float32",
}
_INEXACT = "write it as a whole number or as text: a float does not hold it exactly"


@dataclass(frozen=True)
class Place:
    """Where cells stand, for errors, and how they are read.

    Attributes:
        name: of the column.
        dtype: of the feature.
        words: the schema's `missing_words`.
        rows: the row of each value, or the number of the first.
        rule: what a message says that the column must do.
        cure: what it says to do.
    """

    name: str
    dtype: str
    words: Sequence[str] = ()
    rows: int | np.ndarray = 0
    rule: str = ""
    cure: str = ""

    def refuse(self, at: int, value: Any, cure: str = "") -> NoReturn:
        """Raises a ValueError about the value at a place."""
        row = self.rows + at if isinstance(self.rows, int) else self.rows[at]
        raise ValueError(
            f"source: {self._rule}, received {cells.shown(value)} in row {row}; "
            f"{cure or self.cure or _CURES[self.dtype]}"
        )

    def refuse_type(self, kind: pa.DataType, cure: str) -> NoReturn:
        """Raises a ValueError about the type of the whole column."""
        raise ValueError(f"source: {self._rule}, received {kind!s:.80}; {cure}")

    def first(self, wrong: np.ndarray, column: pa.Array, cure: str = "") -> None:
        """Refuses the first value that is wrong, if any is."""
        if wrong.any():
            at = int(np.argmax(wrong))
            self.refuse(at, column[at].as_py(), cure)

    @property
    def _rule(self) -> str:
        return self.rule or f"column {self.name!r} must be {self.dtype}"


def convert(
    column: pa.Array,
    name: str,
    dtype: str,
    fill: Any,
    words: Sequence[str] = (),
    rows: int | np.ndarray = 0,
) -> np.ndarray:
    """Reads a flat column and fills what is missing; text becomes an object array of bytes.

    Args:
        column: flat, of any type.
        name: for errors.
        dtype: int64, float32 or string.
        fill: stands for a missing value.
        words: the schema's `missing_words`.
        rows: the row of each value, or the number of the first, for errors.

    Raises:
        ValueError: naming column, row and value, if one cannot be read as `dtype`.
    """
    values, missing = read(column, Place(name, dtype, words, rows))
    if missing.any():
        values[missing] = fill.encode() if isinstance(fill, str) else fill
    return values


def read(column: pa.Array, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Reads a flat column.

    Returns:
        The values, int64, float32 or bytes, and where one is missing.

    Raises:
        ValueError: naming column, row and value, if one cannot be read.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind, dtype = column.type, place.dtype
    if pa.types.is_null(kind):
        empty = np.full(len(column), _EMPTY[dtype], object if dtype == "string" else dtype)
        return empty, np.ones(len(column), bool)
    if pa.types.is_nested(kind):
        place.refuse_type(kind, "declare a list with max_length, or take one value of it")
    if pa.types.is_temporal(kind):
        place.refuse_type(
            kind, "write the time as text, or as whole seconds or milliseconds since 1970"
        )
    if _is_bytes(kind):
        column = _decoded(column, place)
    if _is_text(column.type):
        column = column.cast(pa.large_string())
        return _text(column, place) if dtype == "string" else _numbers(column, place)
    if pa.types.is_decimal(kind) or isinstance(kind, pa.UuidType):
        return _one_by_one(column, place)
    if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        place.refuse_type(kind, _CURES["string"])
    if dtype == "string":
        return _text_of(column, place)
    missing = _flags(column.is_null())
    if pa.types.is_floating(kind):
        return _from_floats(column, place)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    whole = pc.fill_null(column, pa.scalar(0, column.type)).to_numpy(zero_copy_only=False)
    if dtype == "int64" and whole.dtype == np.uint64:
        place.first(whole > np.uint64(cells.GREATEST), column)
    return np.array(whole, dtype), missing


def _is_text(kind: pa.DataType) -> bool:
    checks: Sequence[Callable[..., bool]] = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
    )
    return any(check(kind) for check in checks)


def _is_bytes(kind: pa.DataType) -> bool:
    checks: Sequence[Callable[..., bool]] = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_binary_view,
    )
    return any(check(kind) for check in checks)


def _flags(array: Any) -> np.ndarray:
    return np.asarray(array.to_numpy(zero_copy_only=False), bool)


def _decoded(column: pa.Array, place: Place) -> pa.Array:
    try:
        return column.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        for at, value in enumerate(column.to_pylist()):
            try:
                (value or b"").decode()
            except UnicodeDecodeError:
                place.refuse(at, value, "write it as text in UTF-8")
        raise


def _text(column: pa.Array, place: Place) -> tuple[np.ndarray, np.ndarray]:
    column = pc.fill_null(column, "")
    trimmed = pc.utf8_trim(column, characters=cells.BLANKS)
    missing = _flags(pc.is_in(trimmed, value_set=pa.array(["", *place.words], trimmed.type)))
    stored = column.cast(pa.large_binary()).to_numpy(zero_copy_only=False)
    return np.array(stored, object), missing


def _numbers(column: pa.Array, place: Place) -> tuple[np.ndarray, np.ndarray]:
    words = ("", *cells.MISSING_WORDS, *place.words)
    trimmed = pc.utf8_trim(pc.fill_null(column, ""), characters=cells.BLANKS)
    missing = pc.is_in(trimmed, value_set=pa.array(words, trimmed.type))
    values, wrong = numbers_in_text(pc.if_else(missing, "0", trimmed), place.dtype)
    place.first(wrong, column)
    return values, _flags(missing)


def _from_floats(column: pa.Array, place: Place) -> tuple[np.ndarray, np.ndarray]:
    wide = column.cast(pa.float32()) if pa.types.is_float16(column.type) else column
    numbers = pc.fill_null(wide.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    missing = np.isnan(numbers)
    size = np.abs(np.where(missing, 0.0, numbers))
    if place.dtype == "float32":
        place.first(size > cells.LARGEST_FLOAT32, column, "write a number that float32 holds")
        return numbers.astype(np.float32), missing
    whole = _whole(numbers, missing, size, column, place)
    return whole, missing


def _whole(
    numbers: np.ndarray, missing: np.ndarray, size: np.ndarray, column: pa.Array, place: Place
) -> np.ndarray:
    """Returns floats as the whole numbers that they are; 0 where one is missing."""
    given = np.where(missing, 0.0, numbers)
    place.first((given != np.trunc(given)) | np.isinf(given), column)
    place.first(size > cells.EXACT, column, _INEXACT)
    return given.astype(np.int64)


def _text_of(column: pa.Array, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Returns the text of booleans, integers and whole floats."""
    missing = _flags(column.is_null())
    if pa.types.is_floating(column.type):
        whole, missing = _from_floats(
            column,
            Place(
                place.name,
                "int64",
                (),
                place.rows,
                place.rule or f"column {place.name!r} must be text or whole numbers",
            ),
        )
        column = pa.array(whole)
    text = pc.fill_null(column.cast(pa.string()), "").cast(pa.binary())
    return np.array(text.to_numpy(zero_copy_only=False), object), missing


def _one_by_one(column: pa.Array, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Reads decimals and UUIDs, value by value."""
    missing = _flags(column.is_null())
    kind: Any = object if place.dtype == "string" else place.dtype
    values = np.full(len(column), _EMPTY[place.dtype], kind)
    for at in np.flatnonzero(~missing):
        value = column[int(at)].as_py()
        try:
            text = cells.text_of(value) if place.dtype == "string" else str(value)
        except ValueError:
            place.refuse(int(at), value)
        if place.dtype == "string":
            values[at] = text.encode()
            continue
        read_one = cells.read_whole if place.dtype == "int64" else cells.read_number
        number = read_one(text)
        if number is None or (place.dtype == "float32" and abs(number) > cells.LARGEST_FLOAT32):
            place.refuse(int(at), value)
        values[at] = number
    return values, missing
