"""JSON values to arrays: the rules and messages of TensorFlow Serving's predict requests.

Each input is read twice at most. The quick reading handles whole columns with NumPy and gives up at
the first oddity; the exact reading then walks the values one by one, in TensorFlow Serving's order,
to find the message it would send. What the exact reading accepts is served all the same.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from serving.server import jsontext
from serving.server.errors import StatusError, invalid_argument
from serving.server.signature import TensorSpec

_INT32 = (-(2**31), 2**31 - 1)
_INT_RANGES = {
    "int8": _INT32,  # TensorFlow Serving checks the small types against int32 and lets them wrap
    "int16": _INT32,
    "uint8": _INT32,
    "int32": _INT32,
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
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


def _is_base64(value: Any) -> bool:
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def _is_object(value: Any) -> bool:
    return type(value) is dict and not _is_base64(value)


def _from_rows(listed: list[Any], inputs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    first = listed[0]
    if type(first) is not dict and len(inputs) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    if not _is_object(first):
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
    return _exact_rows(listed, inputs)


def _from_columns(value: Any, inputs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    if not _is_object(value):
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
        arrays[name] = _exact(given, spec) if quick is None else quick
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
        return _narrow(flat, name).reshape(shape)
    if name in _INT_RANGES:
        if types != {int}:
            return None
        low, high = _INT_RANGES[name]
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


def _narrow(values: np.ndarray, name: str) -> np.ndarray:
    if name == "float64":
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _exact_rows(listed: list[Any], inputs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    objects = _is_object(listed[0])
    gathered: dict[str, list[Any]] = {}
    shapes: dict[str, tuple[int, ...]] = {}

    def add(value: Any, name: str) -> None:
        if name not in inputs:
            raise invalid_argument(f"JSON object: does not have named input: {name}")
        shape = _leading_shape(value)
        leaves: list[Any] = []
        _fill(value, 0, shape, inputs[name], leaves)
        expected = shapes.setdefault(name, shape)
        if shape != expected:
            size, wanted = len(leaves), int(np.prod(expected, dtype=np.int64))
            if size != wanted:
                raise invalid_argument(f"Expecting tensor size: {wanted} but got: {size}")
            raise invalid_argument(f"Expecting shape {_brief(expected)} but got: {_brief(shape)}")
        gathered.setdefault(name, []).extend(leaves)

    for index, element in enumerate(listed):
        if not objects:
            if _is_object(element):
                raise invalid_argument(
                    f"Expecting value/list but got object at item {index} of input list"
                )
            try:
                add(element, next(iter(inputs)))
            except StatusError as error:
                raise invalid_argument(
                    f"Failed to process element: {index} of 'instances' list. Error: {error}"
                ) from None
            continue
        if not _is_object(element):
            raise invalid_argument(f"Expecting object but got list at item {index} of input list")
        for name, value in element.items():
            try:
                add(value, name)
            except StatusError as error:
                raise invalid_argument(
                    f"Failed to process element: {index} key: {name} of 'instances' list. "
                    f"Error: {error}"
                ) from None
        if element.keys() != inputs.keys():
            raise invalid_argument(
                f"Failed to process element: {index} of 'instances' list. "
                f"JSON object: {jsontext.quote(element)} keys must be equal to: {','.join(inputs)}"
            )
    if gathered.keys() != inputs.keys():
        missing = [name for name in inputs if name not in gathered]
        raise invalid_argument(
            f"input size does not match signature: {len(gathered)}!={len(inputs)} "
            f"len({{{','.join(sorted(gathered))}}}) != len({{{','.join(inputs)}}}). "
            f"Sent extra: {{}}. Missing but required: {{{','.join(missing)}}}."
        )
    return {
        name: _array(gathered[name], (len(listed), *shapes[name]), spec)
        for name, spec in inputs.items()
    }


def _exact(value: Any, spec: TensorSpec) -> np.ndarray:
    shape = _leading_shape(value)
    leaves: list[Any] = []
    _fill(value, 0, shape, spec, leaves)
    return _array(leaves, shape, spec)


def _array(leaves: list[Any], shape: tuple[int, ...], spec: TensorSpec) -> np.ndarray:
    if len(shape) > 254:  # more than a TensorFlow shape can have
        raise invalid_argument(f"tensor parsing error: {spec.key}")
    name = spec.dtype.name
    if name == "string":
        flat = np.empty(len(leaves), object)
        flat[:] = leaves
    elif name in _INT_RANGES:
        wide = np.uint64 if name == "uint64" else np.int64
        flat = np.array(leaves, wide).astype(spec.dtype.as_numpy_dtype)
    elif name == "bool":
        flat = np.array(leaves, np.bool_)
    else:
        flat = _narrow(np.array([float(v) for v in leaves], np.float64), name)
    if flat.ndim != len(shape) or flat.shape != shape:
        flat = np.reshape(flat, shape) if len(shape) <= 32 else _too_many(spec)
    return flat


def _too_many(spec: TensorSpec) -> np.ndarray:
    raise invalid_argument(f"tensor parsing error: {spec.key}")


def _leading_shape(value: Any) -> tuple[int, ...]:
    """The shape along the first elements: what TensorFlow Serving expects of all the others."""
    shape = []
    while type(value) is list:
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _brief(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _fill(
    value: Any, level: int, shape: tuple[int, ...], spec: TensorSpec, leaves: list[Any]
) -> None:
    """Walks a value depth first, with its own stack, and appends its leaves in order."""
    stack: list[tuple[Any, int]] = [(value, level)]
    while stack:
        item, level = stack.pop()
        if type(item) is not list:
            if level != len(shape):
                raise invalid_argument(
                    f"JSON Value: {jsontext.quote(item)} found at incorrect level: {level + 1} "
                    f"in the JSON DOM. Expected at level: {len(shape)}"
                )
            leaves.append(_leaf(item, spec))
            continue
        if level >= len(shape):
            raise invalid_argument(
                f"Encountered list at unexpected level: {level} expected < {len(shape)}"
            )
        if len(item) != shape[level]:
            raise invalid_argument(
                f"Encountered list at unexpected size: {len(item)} at level: {level} "
                f"expected size: {shape[level]}"
            )
        stack.extend((inner, level + 1) for inner in reversed(item))


def _leaf(value: Any, spec: TensorSpec) -> Any:
    name, kind = spec.dtype.name, type(value)
    if kind is dict:
        if name != "string":
            raise _type_error(value, spec)
        return decode_base64(value)
    if name in ("float32", "float64"):
        accepted = kind is int or kind is float
    elif name in _INT_RANGES:
        low, high = _INT_RANGES[name]
        accepted = kind is int and low <= value <= high
    elif name == "string":
        if kind is str:
            return value.encode("utf-8")
        accepted = False
    elif name == "bool":
        accepted = kind is bool
    else:
        raise StatusError(
            "UNIMPLEMENTED",
            f"Conversion of JSON Value: {jsontext.quote(value)} to type: {spec.type_name}",
        )
    if not accepted:
        raise _type_error(value, spec)
    return value


def _type_error(value: Any, spec: TensorSpec) -> StatusError:
    return invalid_argument(
        f"JSON Value: {jsontext.quote(value)} Type: {jsontext.type_name(value)} "
        f"is not of expected type: {spec.type_name}"
    )


def decode_base64(value: dict[str, Any]) -> bytes:
    """The bytes of {"b64": text}; the padding may be left out.

    Raises:
        StatusError: The object has another form, or the text is not base64.
    """
    if not _is_base64(value):
        raise invalid_argument(
            f"JSON Value: {jsontext.quote(value)} not formatted correctly for base64 data"
        )
    text = "".join(value["b64"].split())
    stripped = text.rstrip("=")
    padding = len(text) - len(stripped)
    needed = -len(stripped) % 4
    try:
        if needed == 3 or padding not in (0, needed):
            raise ValueError
        return binascii.a2b_base64(stripped + "=" * needed, strict_mode=True)
    except (binascii.Error, ValueError):
        raise invalid_argument("Unable to base64 decode") from None
