"""What a column holds: its type, its distinct values, how much is missing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from idefn_tf.schema import cells

Type = Literal["integer", "float", "boolean", "text", "time", "list", "other"]

_ABSENT = pa.array(("", *cells.MISSING_WORDS))
_INTEGER = r"^[+-]?(0|[1-9][0-9]*)$"
_LEADING_ZERO = r"^0[0-9]"


@dataclass(frozen=True)
class Profile:
    """A column of the sample.

    Attributes:
        name: the raw column.
        type: what its values are.
        values: typed: int64, float64, bool, string, timestamp or list; nulls where absent.
        zoned: whether every time says its offset from UTC.
        exact: whether its numbers were written exactly: float32 is too coarse for times.
    """

    name: str
    type: Type
    values: pa.Array
    zoned: bool = False
    exact: bool = True

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> float:
        """The share of rows without a value."""
        return self.values.null_count / max(len(self.values), 1)

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """A number for every distinct value, -1 where absent [rows]."""
        if self.type in ("list", "other"):
            raise ValueError(f"codes: {self.name!r} holds {self.type} values, which have none")
        encoded = self.values.dictionary_encode()
        return np.asarray(pc.fill_null(encoded.indices, -1)).astype(np.int64)

    @cached_property
    def distinct(self) -> int:
        """Distinct values, absent ones aside."""
        return int(self.codes.max(initial=-1)) + 1

    @cached_property
    def numbers(self) -> NDArray[np.float64] | None:
        """The values as numbers, nan where absent; None for text and lists."""
        if self.type not in ("integer", "float", "boolean"):
            return None
        floats = self.values.cast(pa.float64(), safe=False)  # beyond 2**53 the nearest ones
        return np.asarray(pc.fill_null(floats, np.nan))

    @property
    def present(self) -> NDArray[np.bool_]:
        """Rows with a value [rows]."""
        return np.asarray(self.values.is_valid())


def profile(name: str, column: pa.ChunkedArray | pa.Array) -> Profile:
    """Guesses a column's type from its values.

    Text that only holds whole numbers is an integer, unless a number begins with 0 (a code such as
    007); text that only holds "true" and "false" is a boolean; text such as 2024-05-01 10:00:00 a
    time, with or without an offset from UTC.

    Args:
        name: the raw column.
        column: its values.

    Returns:
        The profile.
    """
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _text(name, values.cast(pa.string()))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        try:  # what some writers make of text
            return _text(
                name, values.cast(pa.large_binary()).cast(pa.large_string()).cast("string")
            )
        except pa.ArrowInvalid:
            return Profile(name, "other", values)
    if pa.types.is_boolean(kind):
        return Profile(name, "boolean", values)
    if isinstance(kind, pa.UuidType):
        texts = [None if value is None else str(value) for value in values.to_pylist()]
        return Profile(name, "text", pa.array(texts, pa.string()))
    if pa.types.is_integer(kind):
        if pa.types.is_uint64(kind) and (pc.max(values).as_py() or 0) > cells.GREATEST:
            return Profile(name, "text", values.cast(pa.string()))  # no int64: a code
        return Profile(name, "integer", values.cast(pa.int64()))
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        exact = not (pa.types.is_float16(kind) or pa.types.is_float32(kind))
        found = _floating(name, values.cast(pa.float64()), exact)
        return found or Profile(name, "other", values)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        zoned = pa.types.is_timestamp(kind) and kind.tz is not None
        return Profile(name, "time", values.cast(pa.timestamp("us"), safe=False), zoned=zoned)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return Profile(name, "list", values)
    return Profile(name, "other", values)


def _text(name: str, values: pa.Array) -> Profile:
    trimmed = pc.utf8_trim(values, characters=cells.BLANKS)
    nothing = pa.scalar(None, pa.string())
    text = Profile(name, "text", pc.if_else(pc.equal(trimmed, ""), nothing, values))
    trimmed = pc.if_else(pc.is_in(trimmed, _ABSENT), nothing, trimmed)
    distinct = pc.drop_null(pc.unique(trimmed))
    if len(distinct) == 0:
        return Profile(name, "text", trimmed)
    if pc.all(pc.is_in(pc.utf8_lower(distinct), pa.array(["true", "false"]))).as_py():
        truth = pc.equal(pc.utf8_lower(trimmed), "true")
        return Profile(name, "boolean", truth)
    if _all(distinct, _INTEGER):
        try:
            return Profile(name, "integer", trimmed.cast(pa.int64()))
        except pa.ArrowInvalid:  # more digits than a number holds: a code
            return text
    if (
        _all(distinct, cells.NUMBER)
        and not pc.any(pc.match_substring_regex(distinct, _LEADING_ZERO + r"[0-9]*$")).as_py()
    ):
        return _floating(name, trimmed.cast(pa.float64())) or text
    return _times(name, trimmed) or text


def _times(name: str, text: pa.Array) -> Profile | None:
    """Reads texts as times; None where one of them is none."""
    encoded = text.dictionary_encode()
    moments = []
    for written in encoded.dictionary.to_pylist():
        moment = cells.read_time(written)
        if moment is None:
            return None
        moments.append(moment)
    microseconds = pa.array([m.nanoseconds // 1000 for m in moments], pa.int64())
    values = microseconds.cast(pa.timestamp("us")).take(encoded.indices)
    return Profile(name, "time", values, all(m.zoned for m in moments))


def _floating(name: str, values: pa.Array, exact: bool = True) -> Profile | None:
    """Whole numbers among floats are integers that had nulls among them; None beyond float32."""
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    there = np.asarray(pc.drop_null(values))
    if there.size and np.abs(there).max() > cells.LARGEST_FLOAT32:
        return None
    if there.size and np.all(there == np.floor(there)) and np.abs(there).max() <= cells.EXACT:
        return Profile(name, "integer", values.cast(pa.int64()), exact=exact)
    return Profile(name, "float", values, exact=exact)


def _all(distinct: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(distinct, pattern)).as_py())
