"""One flat Arrow column to a NumPy array of the schema's type, its nulls filled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_ARROW = {"int64": pa.int64(), "float32": pa.float32(), "string": pa.string()}


def convert(column: pa.Array, name: str, dtype: str, fill: Any) -> np.ndarray:
    """Casts a flat column and fills its nulls; text becomes an object array of bytes.

    Raises:
        ValueError: naming the column, if a value cannot be read as `dtype`.
    """
    try:
        if dtype == "string":
            text = pc.fill_null(column.cast(pa.string()), fill).cast(pa.binary())
            return np.asarray(text.to_numpy(zero_copy_only=False), dtype=object)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pc.utf8_trim_whitespace(column)
            column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
            column = column.cast(pa.float64()) if dtype != "int64" else _text_to_int(column)
        if pa.types.is_floating(column.type) and dtype == "int64":
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        converted = pc.fill_null(column.cast(_ARROW[dtype], safe=dtype == "int64"), fill)
        return np.ascontiguousarray(converted.to_numpy(zero_copy_only=False)).astype(dtype)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(
            f"source: column {name!r} must be {dtype}, received {column.type}; {error}"
        ) from None


def _text_to_int(column: pa.Array) -> pa.Array:
    """Text to int64, through float64 only where a value is written like 4.0."""
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.float64())
