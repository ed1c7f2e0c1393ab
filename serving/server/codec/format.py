"""Arrays to JSON: TensorFlow Serving's answers to predict, in row and in columnar form.

Numbers are written as it writes them: a float with six digits (%g) where those give the same float
back, else with nine (a double: seventeen), marked by a point or an exponent; NaN and Infinity bare;
strings plain, or {"b64": ...} where the output's name ends in "_bytes".
"""

from __future__ import annotations

import base64
import functools
import math
from collections.abc import Mapping

import numpy as np

from serving.server import json_text
from serving.server.errors import invalid_argument

_SINGLE = np.dtype(np.float32)
_SMALL = 12  # below this many numbers plain Python is quicker than NumPy


def predictions(outputs: Mapping[str, np.ndarray]) -> bytes:
    """The answer in row form: {"predictions": [...]}, of objects if there are several outputs.

    Args:
        outputs: Arrays by name, all with the same first dimension.

    Returns:
        The body.

    Raises:
        StatusError: An output has no rows to go by, or the outputs disagree on their number.
    """
    size = 0
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if array.shape[0] < 1:
            raise invalid_argument(f"Tensor name: {name} has invalid batch size: {array.shape[0]}")
        if size not in (0, array.shape[0]):
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} "
                f"expecting: {size}"
            )
        size = array.shape[0]
    tokens = _tokens(outputs)
    rows = {
        name: tokens[name] if array.ndim == 1 else _grouped(tokens[name], array.shape[1:], size)
        for name, array in outputs.items()
    }
    if len(rows) == 1:
        text = ", ".join(next(iter(rows.values())))
        return f'{{\n    "predictions": [{text}\n    ]\n}}'.encode("utf-8", "surrogateescape")
    row = ",".join("\n            " + _key(name).replace("%", "%%") + ": %s" for name in rows)
    row = "\n        {" + row + "\n        }"
    text = ",".join([row % values for values in zip(*rows.values(), strict=True)])
    return f'{{\n    "predictions": [{text}\n    ]\n}}'.encode("utf-8", "surrogateescape")


def columns(outputs: Mapping[str, np.ndarray]) -> bytes:
    """The answer in columnar form: {"outputs": ...}, by name if there are several.

    Args:
        outputs: Arrays by name.

    Returns:
        The body.
    """
    texts = _short_texts(outputs)
    if texts is None:
        tokens = _tokens(outputs)
        texts = [_nested(tokens[name], array.shape) for name, array in outputs.items()]
    return (_form(tuple(outputs)) % tuple(texts)).encode("utf-8", "surrogateescape")


def _short_texts(outputs: Mapping[str, np.ndarray]) -> list[str] | None:
    """The texts of short lists of float32; None if there is anything else."""
    texts = []
    for array in outputs.values():
        if array.ndim != 1 or array.size >= _SMALL or array.dtype != _SINGLE:
            return None
        texts.append(f"[{', '.join([json_text.decimal(v, True) for v in array.tolist()])}]")
    return texts


@functools.lru_cache(256)
def _form(names: tuple[str, ...]) -> str:
    """The answer in columnar form, with %s for the text of each output."""
    if len(names) == 1:
        return '{\n    "outputs": %s\n}'
    fields = ",\n".join(["        " + _key(name).replace("%", "%%") + ": %s" for name in names])
    return '{\n    "outputs": {\n' + fields + "\n    }\n}"


def _tokens(outputs: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    """The JSON texts of every output's values; outputs of float32 are written in one go."""
    singles = [name for name, array in outputs.items() if array.dtype == _SINGLE]
    if len(singles) < 2 or sum([array.size for array in outputs.values()]) < _SMALL:
        return {name: leaves(name, array) for name, array in outputs.items()}
    joined = floats(np.concatenate([outputs[name].ravel() for name in singles]))
    found, start = {}, 0
    for name in singles:
        end = start + outputs[name].size
        found[name] = joined[start:end]
        start = end
    return {
        name: found[name] if name in found else leaves(name, array)
        for name, array in outputs.items()
    }


def _nested(tokens: list[str], shape: tuple[int, ...]) -> str:
    """Joins all tokens of an array."""
    if len(shape) == 1:
        return "[" + ", ".join(tokens) + "]"
    return _grouped(tokens, shape, 1)[0] if shape else tokens[0]


@functools.lru_cache(1024)
def _key(name: str) -> str:
    """An output's name as JSON."""
    return json_text.string(name)


def _grouped(tokens: list[str], shape: tuple[int, ...], count: int) -> list[str]:
    """Joins tokens into `count` nested lists of the given shape."""
    for axis in range(len(shape) - 1, -1, -1):
        width = shape[axis]
        groups = count * math.prod(shape[:axis])
        tokens = [
            "[" + ", ".join(tokens[start * width : (start + 1) * width]) + "]"
            for start in range(groups)
        ]
    return tokens


def leaves(name: str, array: np.ndarray) -> list[str]:
    """The JSON text of each value of an output, in order.

    Args:
        name: The output's name; "_bytes" at its end asks for base64.
        array: Its values.

    Raises:
        StatusError: The type cannot be written as JSON.
    """
    kind = array.dtype.kind
    values = array.ravel()
    if array.dtype == _SINGLE:
        return floats(values)
    if (kind == "f" and array.dtype.itemsize in (2, 4, 8)) or array.dtype.name == "bfloat16":
        wide = values if array.dtype.itemsize == 8 else values.astype(np.float32)
        return floats(wide)
    if kind in "iu":
        return list(map(str, values.tolist()))
    if kind == "b":
        return ["true" if value else "false" for value in values.tolist()]
    if kind in "OSU":
        return [_text(name, value) for value in values.tolist()]
    raise invalid_argument(f"Failed to write JSON value for tensor type: {array.dtype.name}")


def _text(name: str, value: bytes | str) -> str:
    raw = value.encode("utf-8") if isinstance(value, str) else value
    if name.endswith("_bytes"):
        return f'{{"b64": "{base64.b64encode(raw).decode()}"}}'
    return json_text.bytes_string(raw)


def floats(values: np.ndarray) -> list[str]:
    """The texts of many float32 or float64 numbers.

    Six digits suffice exactly if rounding to them and back to the type gives the same number;
    that is decided for all numbers at once, and one format string then writes them.

    Args:
        values: A flat array.

    Returns:
        One token per number.
    """
    single = values.dtype == _SINGLE
    if values.size < _SMALL:
        return [json_text.decimal(value, single) for value in values.tolist()]
    finite = np.isfinite(values)
    wide = np.where(finite, values, 1.5).astype(np.float64)
    size = np.abs(wide)
    with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
        power = np.floor(np.log10(size))
        digits = np.where(size > 0, power, 0.0)
        # 10**k is exact up to 22; beyond, the slower way below decides
        exact = np.abs(5 - digits) <= 22
        up, down = 10.0 ** np.clip(5 - digits, 0, 22), 10.0 ** np.clip(digits - 5, 0, 22)
        rounded = np.rint(wide * up / down) * down / up
        short = rounded.astype(values.dtype) == wide
    long = "%.9g" if single else "%.17g"
    pattern = " ".join(np.where(short, "%g", long).tolist())
    plain = wide.tolist()
    tokens = (pattern % tuple(plain)).split(" ")
    odd = ~finite | ~exact | (wide == np.rint(wide))
    if odd.any():
        source = values.tolist()
        for index in np.flatnonzero(odd).tolist():
            tokens[index] = json_text.decimal(source[index], single)
    return tokens
