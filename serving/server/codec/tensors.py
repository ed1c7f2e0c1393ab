"""JSON values to arrays: the rules and messages of TensorFlow Serving's predict requests.

Each input is read twice at most. The quick reading handles whole columns with NumPy and gives up at
the first oddity; the exact reading then walks the values one by one, in TensorFlow Serving's order,
to find the message it would send. What the exact reading accepts is served all the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from serving.server import json_text
from serving.server.codec.exact_tensors import (
    INT_RANGES,
    MAX_RANK,
    exact,
    exact_rows,
    is_object,
    narrow,
)
from serving.server.errors import StatusError, invalid_argument
from serving.server.runtime.signature import Arrays, TensorSpec
from serving.server.runtime.stacked_arrays import StackedArrays

Alike = Sequence[tuple[str, ...]]

_NUMBER_TYPES = ({int}, {float}, {int, float})


def from_request(
    document: dict[str, Any],
    inputs: Mapping[str, TensorSpec],
    alike: Alike | None = None,
    stacked: bool = False,
) -> tuple[Arrays, bool]:
    """Reads the arrays of a predict request.

    Args:
        document: The request.
        inputs: The signature's inputs by name.
        alike: The inputs' names in groups of one type and shape; without it each by itself.
        stacked: Whether the session is fed by these groups, rows first in every input.

    Returns:
        One array per input, stacked where that is asked for and they have one number of rows; and
        whether the request was in row form.

    Raises:
        StatusError: INVALID_ARGUMENT with TensorFlow Serving's message; UNIMPLEMENTED for a type
            that JSON cannot feed.
    """
    alike = [(name,) for name in inputs] if alike is None else alike
    rows, columns = "instances" in document, "inputs" in document
    if rows and columns:
        raise _format_error(
            document,
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        )
    if rows:
        listed = document["instances"]
        if type(listed) is not list:
            raise _format_error(document, "Expecting 'instances' to be an list/array")
        if not listed:
            raise _format_error(document, "No values in 'instances' array")
        return _from_rows(listed, inputs, alike, stacked), True
    if columns:
        return _from_columns(document["inputs"], inputs, alike, stacked), False
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def row_count(document: dict[str, Any]) -> int:
    """How many rows a request carries, before anything is converted (for the limit on rows)."""
    listed = document.get("instances", document.get("inputs", document.get("examples")))
    if type(listed) is dict:
        return max([len(v) for v in listed.values() if type(v) is list], default=1)
    return len(listed) if type(listed) is list else 1


def _format_error(document: Any, text: str) -> StatusError:
    return invalid_argument(f"JSON Value: {json_text.quote(document)} {text}")


def _from_rows(
    listed: list[Any], inputs: Mapping[str, TensorSpec], alike: Alike, stacked: bool
) -> Arrays:
    first = listed[0]
    if type(first) is not dict and len(inputs) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    quick = None
    if not is_object(first):
        if len(inputs) == 1:
            quick = _quick_columns(dict.fromkeys(inputs, listed), inputs, alike, stacked)
    elif all(type(row) is dict and len(row) == len(inputs) for row in listed):
        names = tuple(inputs)
        try:
            by_row = list(map(_getter(names), listed))
        except KeyError:
            by_row = None
        if by_row is not None:
            columns = dict(zip(names, map(list, zip(*by_row, strict=True)), strict=True))
            quick = _quick_columns(columns, inputs, alike, stacked)
    return exact_rows(listed, inputs) if quick is None else quick


def _from_columns(
    value: Any, inputs: Mapping[str, TensorSpec], alike: Alike, stacked: bool
) -> Arrays:
    if not is_object(value):
        if len(inputs) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        value = dict.fromkeys(inputs, value)
    quick = _quick_columns(value, inputs, alike, stacked)
    if quick is not None:
        return quick
    arrays = {}
    for name, spec in inputs.items():
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        arrays[name] = exact(value[name], spec)
    return arrays


def _quick_columns(
    columns: Mapping[str, Any], inputs: Mapping[str, TensorSpec], alike: Alike, stacked: bool
) -> Arrays | None:
    """Every input's column at once, those of one type and shape in one array."""
    groups = []
    rows = 0
    for names in alike:
        try:
            lists = _getter(names)(columns)
        except KeyError:
            return None
        group = _quick(lists, inputs[names[0]])
        if group is None or group.ndim < 2:  # a column is a list
            return None
        groups.append(group)
        rows = rows or group.shape[1]
        stacked = stacked and group.shape[1] == rows
        stacked = stacked and inputs[names[0]].accepts(group.shape[1:])
    if stacked:
        feeds = [g if len(names) > 1 else g[0] for names, g in zip(alike, groups, strict=True)]
        return StackedArrays(alike, feeds, rows)
    arrays: dict[str, np.ndarray] = {}
    for names, group in zip(alike, groups, strict=True):
        arrays.update(zip(names, group, strict=True))
    return arrays


@functools.lru_cache(1024)
def _getter(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """What takes these columns out of a request."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda columns: (columns[names[0]],)


def _quick(values: Sequence[Any], spec: TensorSpec) -> np.ndarray | None:
    """A rectangular list of lists as an array; None if anything needs the exact reading."""
    shape = [len(values)]
    types = set(map(type, values))
    while types == {list}:
        lengths = set(map(len, values))
        if len(lengths) != 1 or len(shape) >= MAX_RANK:
            return None
        shape.append(lengths.pop())
        values = list(chain.from_iterable(values))
        types = set(map(type, values))
    name = spec.type
    if not values:
        return None
    if name in ("float32", "float64"):
        if types not in _NUMBER_TYPES:
            return None
        if len(values) < 16:
            flat = np.array([float(v) for v in values])
        else:
            flat = np.array(values, np.float64)
        return narrow(flat, name).reshape(shape)
    if name in INT_RANGES:
        if types != {int}:
            return None
        if name == "uint64" and min(values) < 0:  # NumPy 1 would let it wrap
            return None
        try:
            flat = np.array(values, np.uint64 if name == "uint64" else np.int64)
        except OverflowError:
            return None
        if name not in ("int64", "uint64"):
            low, high = INT_RANGES[name]
            if flat.min() < low or flat.max() > high:
                return None
            flat = flat.astype(spec.dtype.as_numpy_dtype)
        return flat.reshape(shape)
    if name == "string" and types == {str}:
        flat = np.empty(len(values), object)
        flat[:] = [v.encode("utf-8", "surrogateescape") for v in values]
        return flat.reshape(shape)
    if name == "bool" and types == {bool}:
        return np.array(values, np.bool_).reshape(shape)
    return None
