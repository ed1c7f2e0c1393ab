"""JSON values to arrays: the rules and messages of TensorFlow Serving's predict requests.

Each input is read twice at most. The quick reading handles whole columns with NumPy and gives up at
the first oddity; the exact reading then walks the values one by one, in TensorFlow Serving's order,
to find the message it would send. What the exact reading accepts is served all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from serving.server import jsontext
from serving.server.errors import StatusError, invalid_argument
from serving.server.exact import INT_RANGES, exact, exact_rows, is_object, narrow
from serving.server.signature import TensorSpec

_NUMBER_TYPES = ({int}, {float}, {int, float})


def from_request(
    document: dict[str, Any], inputs: Mapping[str, TensorSpec]
) -> tuple[dict[str, np.ndarray], bool]:
    """Reads the arrays of a predict request.

    Args:
        document: The request.
        inputs: The signature's inputs by name.

    Returns:
        One array per input, and whether the request was in row form.

    Raises:
        StatusError: INVALID_ARGUMENT with TensorFlow Serving's message; UNIMPLEMENTED for a type
            that JSON cannot feed.
    """
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
        return _from_rows(listed, inputs), True
    if columns:
        return _from_columns(document["inputs"], inputs), False
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def row_count(document: dict[str, Any]) -> int:
    """How many rows a request carries, before anything is converted (for the limit on rows)."""
    listed = document.get("instances", document.get("inputs", document.get("examples")))
    if type(listed) is dict:
        return max((len(v) for v in listed.values() if type(v) is list), default=1)
    return len(listed) if type(listed) is list else 1


def _format_error(document: Any, text: str) -> StatusError:
    return invalid_argument(f"JSON Value: {jsontext.quote(document)} {text}")


def _from_rows(listed: list[Any], inputs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    first = listed[0]
    if type(first) is not dict and len(inputs) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    if not is_object(first):
        name, spec = next(iter(inputs.items()))
        quick = _quick(listed, spec)
        if quick is not None and len(inputs) == 1:
            return {name: quick}
    elif len(first) == len(inputs):
        try:
            columns = {name: [row[name] for row in listed] for name in inputs}
        except (KeyError, TypeError):
            columns = {}
        if columns and all(type(r) is dict and len(r) == len(inputs) for r in listed):
            arrays = {name: _quick(columns[name], spec) for name, spec in inputs.items()}
            if all(array is not None for array in arrays.values()):
                return arrays  # type: ignore[return-value]
    return exact_rows(listed, inputs)


def _from_columns(value: Any, inputs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    if not is_object(value):
        if len(inputs) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        value = dict.fromkeys(inputs, value)
    arrays = {}
    for name, spec in inputs.items():
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        given = value[name]
        quick = _quick(given, spec) if type(given) is list else None
        arrays[name] = exact(given, spec) if quick is None else quick
    return arrays


def _quick(values: list[Any], spec: TensorSpec) -> np.ndarray | None:
    """A rectangular list of plain values as an array; None if anything needs the exact reading."""
    shape = [len(values)]
    types = set(map(type, values))
    while types == {list}:
        lengths = set(map(len, values))
        if len(lengths) != 1:
            return None
        shape.append(lengths.pop())
        values = list(chain.from_iterable(values))
        types = set(map(type, values))
    name = spec.dtype.name
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
        low, high = INT_RANGES[name]
        if min(values) < low or max(values) > high:
            return None
        wide = np.uint64 if name == "uint64" else np.int64
        return np.array(values, wide).astype(spec.dtype.as_numpy_dtype, copy=False).reshape(shape)
    if name == "string" and types == {str}:
        flat = np.empty(len(values), object)
        flat[:] = [v.encode("utf-8") for v in values]
        return flat.reshape(shape)
    if name == "bool" and types == {bool}:
        return np.array(values, np.bool_).reshape(shape)
    return None
