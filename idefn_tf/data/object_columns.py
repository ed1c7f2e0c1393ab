"""Columns of objects of several types, as pandas holds them: text, or lists of text, for Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from idefn_tf.schema import CLICK, CONVERSION, Feature, Schema, cells, lists


def is_mixed(values: pd.Series) -> bool:
    """Whether cells are objects of several types, which Arrow may read as something else.

    Beside an integer it makes 0 of NumPy's float16(0.5), a number of a UUID or a time, and it ends
    the process where a NumPy time stands beside another type.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(values.dtype.categories)
    if values.dtype != object:
        return False
    there = values.dropna()
    types = set(map(type, there))
    if types and types <= {list, tuple, np.ndarray}:
        return len(types) > 1 or _mixed_lists(there)
    return not _alike(types)


def _mixed_lists(found: Iterable[Any]) -> bool:
    """Whether entries are of several types, of columns that are all lists or all arrays."""
    found = list(found)
    if any(getattr(one, "ndim", 1) == 0 for one in found):
        return True
    dtypes = {one.dtype for one in found if isinstance(one, np.ndarray)}
    if dtypes and dtypes != {np.dtype(object)}:
        return len(dtypes) > 1
    return not _alike(set(map(type, chain.from_iterable(found))))


def _alike(types: set[type]) -> bool:
    return len(types - {type(None)}) <= 1 or types <= {int, float, type(None)}


def as_arrow(name: str, values: pd.Series, schema: Schema | None) -> pa.Array | None:
    """Returns a column as Arrow, None for one that cannot be and that no feature names.

    Args:
        name: of the column.
        values: its cells, of any types.
        schema: says how text of a cell is read again; without it every cell must have a text.

    Raises:
        ValueError: naming column and row, for a cell that has no text.
    """
    if not is_mixed(values):
        try:
            return pa.array(values, from_pandas=True)
        except (pa.ArrowException, OverflowError):
            pass
    feature = None if schema is None else _feature(schema, name)
    if schema is not None and feature is None and name not in _labels(schema):
        return None
    dtype = "string" if feature is None and schema is None else "int64"
    if feature is not None:
        dtype = feature.dtype if name in (feature.name, feature.source) else "float32"
    if name == "sample_weight":
        dtype = "float32"
    read: Callable[[Any], Any] = lambda value: _text(value, dtype)  # noqa: E731
    kind = pa.large_string()
    if feature is not None and feature.multi_valued:
        kind = pa.large_list(pa.large_string())
        read = lambda value: _entries(value, dtype, lists.separator_of(feature))  # noqa: E731
    made = []
    for row, value in enumerate(values):
        try:
            made.append(read(value))
        except ValueError as error:
            raise ValueError(f"source: column {name!r}, row {row}: {error}") from None
    return pa.array(made, kind)


def _feature(schema: Schema, name: str) -> Feature | None:
    named = (f for f in schema.features if name in (f.name, f.source, f.weights, f.weights_name))
    return next(named, None)


def _labels(schema: Schema) -> set[str]:
    return {*schema.labels.columns, CLICK, CONVERSION, "sample_weight"}


def _text(value: Any, dtype: str) -> str | None:
    """Returns what a cell of that dtype is read from; None where it is missing."""
    value = cells.plain(value)
    if cells.is_null(value):
        return None
    if dtype == "string":
        return cells.text_of(value)
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, str | bytes | bytearray):
        return cells.text_of(value)
    raise ValueError(
        f"must be {dtype}, received a {type(value).__name__}: {cells.shown(value)}; write a "
        "number, or leave the cell blank where there is none"
    )


def _entries(value: Any, dtype: str, separator: str) -> Sequence[str | None]:
    """Returns the entries of a list, whether it is one, text, or a single value."""
    if isinstance(value, bytes):
        value = cells.text_of(value)
    if isinstance(value, str):
        if cells.in_brackets(value):
            raise ValueError(
                f"must be a list or separated text, received {cells.shown(value)}; write a list, "
                "or the entries without brackets and quotes"
            )
        return lists.split(value, separator)
    listed = cells.listed(value)
    if listed is None:
        value = cells.plain(value)
        return [] if cells.is_null(value) else [_text(value, dtype)]
    return [_text(entry, dtype) for entry in listed]
