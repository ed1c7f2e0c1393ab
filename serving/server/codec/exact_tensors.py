"""The exact reading of request values: one by one, in TensorFlow Serving's order and words."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.server import json_text
from serving.server.errors import StatusError, invalid_argument
from serving.server.runtime.signature import TensorSpec

_INT32 = (-(2**31), 2**31 - 1)
INT_RANGES = {
    "int8": _INT32,  # TensorFlow Serving checks the small types against int32 and lets them wrap
    "int16": _INT32,
    "uint8": _INT32,
    "int32": _INT32,
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
# NumPy 1.26 stops at 32 dimensions, TensorFlow at 254.
MAX_RANK = 32


def is_base64(value: Any) -> bool:
    """Whether a value is {"b64": text}: bytes."""
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def is_object(value: Any) -> bool:
    """Whether a value is an object that names inputs."""
    return type(value) is dict and not is_base64(value)


def narrow(values: np.ndarray, name: str) -> np.ndarray:
    """Doubles as float64 or float32; what is too large for float32 becomes infinite."""
    if name == "float64":
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def exact_rows(listed: list[Any], inputs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
    """Reads the value of "instances".

    Args:
        listed: A list that is not empty.
        inputs: The signature's inputs.

    Returns:
        One array per input, its first dimension the length of the list.

    Raises:
        StatusError: The first thing TensorFlow Serving would complain about.
    """
    objects = is_object(listed[0])
    gathered: dict[str, list[Any]] = {}
    shapes: dict[str, tuple[int, ...]] = {}

    def add(value: Any, name: str) -> None:
        if name not in inputs:
            shown = json_text.echo(name)
            raise invalid_argument(f"JSON object: does not have named input: {shown}")
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
            if is_object(element):
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
        if not is_object(element):
            raise invalid_argument(f"Expecting object but got list at item {index} of input list")
        for name, value in element.items():
            try:
                add(value, name)
            except StatusError as error:
                shown = name if name in inputs else json_text.echo(name)
                raise invalid_argument(
                    f"Failed to process element: {index} key: {shown} of 'instances' list. "
                    f"Error: {error}"
                ) from None
        if element.keys() != inputs.keys():
            raise invalid_argument(
                f"Failed to process element: {index} of 'instances' list. "
                f"JSON object: {json_text.quote(element)} keys must be equal to: {','.join(inputs)}"
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


def exact(value: Any, spec: TensorSpec) -> np.ndarray:
    """Reads one input's value of "inputs".

    Raises:
        StatusError: As above.
    """
    shape = _leading_shape(value)
    leaves: list[Any] = []
    _fill(value, 0, shape, spec, leaves)
    return _array(leaves, shape, spec)


def _array(leaves: list[Any], shape: tuple[int, ...], spec: TensorSpec) -> np.ndarray:
    if len(shape) > MAX_RANK:
        raise invalid_argument(f"tensor parsing error: {spec.key}")
    name = spec.type
    if name == "string":
        flat = np.empty(len(leaves), object)
        flat[:] = leaves
    elif name in INT_RANGES:
        wide = np.uint64 if name == "uint64" else np.int64
        flat = np.array(leaves, wide).astype(spec.dtype.as_numpy_dtype)
    elif name == "bool":
        flat = np.array(leaves, np.bool_)
    else:
        flat = narrow(np.array([float(v) for v in leaves], np.float64), name)
    return flat.reshape(shape)


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
                    f"JSON Value: {json_text.quote(item)} found at incorrect level: {level + 1} "
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
    name, kind = spec.type, type(value)
    if kind is dict:
        if name != "string":
            raise _type_error(value, spec)
        return decode_base64(value)
    if name in ("float32", "float64"):
        accepted = kind is int or kind is float
    elif name in INT_RANGES:
        low, high = INT_RANGES[name]
        accepted = kind is int and low <= value <= high
    elif name == "string":
        if kind is str:
            return value.encode("utf-8", "surrogateescape")
        accepted = False
    elif name == "bool":
        accepted = kind is bool
    else:
        raise StatusError(
            "UNIMPLEMENTED",
            f"Conversion of JSON Value: {json_text.quote(value)} to type: {spec.type_name}",
        )
    if not accepted:
        raise _type_error(value, spec)
    return value


def _type_error(value: Any, spec: TensorSpec) -> StatusError:
    return invalid_argument(
        f"JSON Value: {json_text.quote(value)} Type: {json_text.type_name(value)} "
        f"is not of expected type: {spec.type_name}"
    )


def decode_base64(value: dict[str, Any]) -> bytes:
    """The bytes of {"b64": text}; the padding may be left out.

    Raises:
        StatusError: The object has another form, or the text is not base64.
    """
    if not is_base64(value):
        raise invalid_argument(
            f"JSON Value: {json_text.quote(value)} not formatted correctly for base64 data"
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
