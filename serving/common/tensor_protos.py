"""TensorProto to NumPy and back, without TensorFlow.

Reading follows TensorFlow: raw `tensor_content`, or typed values of which the last one fills what
is missing and those beyond the shape are left out; no value at all is zero everywhere.

Source: tensorflow/core/framework/{tensor,tensor_shape,types}.proto.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from idefn_tf.export.serving_protos import message_class

#: By DataType number: NumPy's type, and the field of typed values.
TYPES: dict[int, tuple[Any, str]] = {
    1: (np.float32, "float_val"),
    2: (np.float64, "double_val"),
    3: (np.int32, "int_val"),
    4: (np.uint8, "int_val"),
    5: (np.int16, "int_val"),
    6: (np.int8, "int_val"),
    7: (object, "string_val"),
    9: (np.int64, "int64_val"),
    10: (np.bool_, "bool_val"),
    17: (np.uint16, "int_val"),
    19: (np.float16, "half_val"),
    22: (np.uint32, "uint32_val"),
    23: (np.uint64, "uint64_val"),
}
_NUMBERS = {np.dtype(kind): number for number, (kind, _) in TYPES.items()}
# NumPy 1.26 stops at 32 dimensions
_MAX_RANK = 32


class TensorError(ValueError):
    """A TensorProto that cannot be read."""


def to_array(serialized: bytes, most: int) -> np.ndarray:
    """Reads a serialized TensorProto; `from_message` says what is accepted.

    Raises:
        TensorError: if it is no TensorProto, or of a type or shape that cannot be.
    """
    proto = message_class("Tensor")()
    try:
        proto.ParseFromString(serialized)
    except DecodeError as error:
        raise TensorError("not a TensorProto") from error
    return from_message(proto, most)


def from_message(proto: Any, most: int) -> np.ndarray:
    """Reads a message with TensorProto's fields.

    Args:
        proto: the message.
        most: how many values are accepted at most.

    Returns:
        The array; text as objects of bytes.

    Raises:
        TensorError: if it is of a type or shape that cannot be.
    """
    if proto.dtype not in TYPES:
        raise TensorError(f"DataType {proto.dtype} is not read")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or len(shape) > _MAX_RANK or any(n < 0 for n in shape):
        raise TensorError(f"shape {list(shape)[:8]} is not that of a tensor")
    count = math.prod(shape)
    if count > most:
        raise TensorError(f"{count} values are more than the server accepts: {most}")
    if math.prod(n for n in shape if n) > most:  # empty, yet numpy multiplies the rest
        raise TensorError(f"shape {list(shape)} is more than the server accepts: {most}")
    kind, field = TYPES[proto.dtype]
    if proto.tensor_content:
        return _from_content(proto.tensor_content, kind, count).reshape(shape)
    return _from_values(getattr(proto, field), kind, count).reshape(shape)


def _from_content(content: bytes, kind: Any, count: int) -> np.ndarray:
    if kind is object:
        return _from_strings(content, count)
    if len(content) != count * np.dtype(kind).itemsize:
        raise TensorError(f"tensor_content has {len(content)} bytes for {count} values")
    return np.frombuffer(content, kind)


def _from_strings(content: bytes, count: int) -> np.ndarray:
    """Reads text: the lengths as varints, then all bytes."""
    lengths, at = [], 0
    for _ in range(count):
        value = shift = 0
        while True:
            if at >= len(content) or shift > 28:
                raise TensorError("tensor_content has no such lengths")
            byte = content[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        lengths.append(value)
    if at + sum(lengths) != len(content):
        raise TensorError("tensor_content has other lengths than it says")
    found = np.empty(count, object)
    for i, length in enumerate(lengths):
        found[i] = content[at : at + length]
        at += length
    return found


def _from_values(values: Any, kind: Any, count: int) -> np.ndarray:
    given = min(len(values), count)
    if kind is object:
        found = np.empty(count, object)
        found[:given] = list(values[:given])
        found[given:] = values[given - 1] if given else b""
        return found
    if kind is np.float16:
        halves = np.array(values[:given], np.int64).astype(np.uint16)
        read = halves.view(np.float16)
    else:
        # int_val has signs, those of unsigned kinds too; uint64_val goes beyond int64
        whole = np.uint64 if kind is np.uint64 else np.int64
        read = np.array(values[:given], whole if np.dtype(kind).kind in "iub" else None)
        read = read.astype(kind)
    if given == count:
        return read
    return np.concatenate([read, np.full(count - given, read[-1] if given else 0, kind)])


def to_proto(array: np.ndarray, content: bool = False) -> bytes:
    """Writes an array as a serialized TensorProto, as `fill` does a message."""
    proto = message_class("Tensor")()
    fill(proto, array, content)
    written: bytes = proto.SerializeToString()
    return written


def fill(proto: Any, array: np.ndarray, content: bool = False) -> None:
    """Writes an array into an empty message with TensorProto's fields.

    Args:
        proto: the message.
        array: numbers, booleans, or text as bytes or str.
        content: whether numbers are written as raw bytes; else as typed values.

    Raises:
        TensorError: if its type has no TensorProto here.
    """
    if array.dtype.kind in "SU":
        array = array.astype(object)
    number = _NUMBERS.get(array.dtype)
    if number is None:
        raise TensorError(f"{array.dtype} has no TensorProto here")
    proto.dtype = number
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    kind, field = TYPES[number]
    if kind is object:
        texts = (v.encode() if isinstance(v, str) else bytes(v) for v in array.ravel().tolist())
        proto.string_val.extend(texts)
    elif content:
        proto.tensor_content = np.ascontiguousarray(array).tobytes()
    elif kind is np.float16:
        proto.half_val.extend(np.ascontiguousarray(array).view(np.uint16).ravel().tolist())
    else:
        getattr(proto, field).extend(array.ravel().tolist())
