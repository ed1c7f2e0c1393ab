"""TensorProtos to the arrays that a session is fed with, a group of inputs at a time.

The quick reading: inputs of one type and shape, written alike, are read together. Anything else,
faults included, is left to the exact reading (`serving.common.tensor_protos`), which has the words.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from idefn_tf.export.serving_protos import message_class
from serving.common.tensor_protos import TYPES
from serving.server.runtime.signature import Signature
from serving.server.runtime.stacked_arrays import StackedArrays

# Tags of TensorProto's fields: dtype (a varint), tensor_shape, tensor_content; and typed values of
# fixed size, packed, which lie in the message as NumPy has them.
_DTYPE, _SHAPE, _CONTENT, _PACKED = 0x08, 0x12, 0x22, {"float_val": 0x2A, "double_val": 0x32}
#: DataType numbers by the type's name.
DATA_TYPES = {
    "string" if kind is object else np.dtype(kind).name: number
    for number, (kind, _) in TYPES.items()
}
_HALF = 19


def read_stacked(inputs: Mapping[str, bytes], signature: Signature) -> StackedArrays | None:
    """Reads all inputs of a signature.

    Args:
        inputs: Serialized TensorProtos by name, the signature's names and no others.
        signature: What they are for.

    Returns:
        The arrays, of the types and shapes that the signature takes, and with one number of rows;
        None if that cannot be said so quickly.
    """
    if not signature.stackable:
        return None
    feeds, rows = [], 0
    for names in signature.groups:
        spec = signature.inputs[names[0]]
        number = DATA_TYPES.get(spec.type)
        if number is None:
            return None
        messages = [inputs[name] for name in names]
        found = _fixed(messages, number)
        if found is None:
            found = _typed(messages, number)
        if found is None or not spec.accepts(found.shape[1:]):
            return None
        rows = rows or found.shape[1]
        if rows == 0 or found.shape[1] != rows:
            return None
        feeds.append(found if len(names) > 1 else found[0])
    return StackedArrays(signature.groups, feeds, rows)


def _fixed(messages: Sequence[bytes], number: int) -> np.ndarray | None:
    """Values of fixed size behind equal heads: [messages, ...]; None if they are not so."""
    kind, field = TYPES[number]
    first, size = messages[0], len(messages[0])
    if kind is object or size < 6 or first[0] != _DTYPE or first[1] != number:
        return None
    end = 4 + first[3]  # a shape of 128 bytes is left to the exact reading
    if first[2] != _SHAPE or first[3] > 127 or end + 2 > size:
        return None
    if first[end] != _CONTENT and first[end] != _PACKED.get(field):
        return None
    length = shift = 0
    at = end + 1
    while at < size and shift < 35:
        byte = first[at]
        at += 1
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    shape, count = _shape(first[4:end]), len(messages)
    if shape is None or at + length != size or length != math.prod(shape) * kind().itemsize:
        return None
    whole = b"".join(messages)
    if len(whole) != count * size or not length:
        return None
    table = np.frombuffer(whole, np.uint8).reshape(count, size)
    if table[:, :at].tobytes() != first[:at] * count:
        return None
    return np.frombuffer(table[:, at:].tobytes(), kind).reshape(count, *shape)


def _typed(messages: Sequence[bytes], number: int) -> np.ndarray | None:
    """Values in the field of their type, as many as the shape has: [messages, ...]; else None."""
    kind, field = TYPES[number]
    read = message_class("Tensor").FromString
    try:
        tensors = [read(message) for message in messages]
    except DecodeError:
        return None
    form = tensors[0].tensor_shape
    shape = _shape(form.SerializeToString())
    if shape is None or number == _HALF:
        return None
    count = math.prod(shape)
    lists: list[Any] = []
    for tensor in tensors:
        values = getattr(tensor, field)
        if tensor.dtype != number or tensor.tensor_content or len(values) != count:
            return None
        if tensor.tensor_shape != form:
            return None
        lists.append(values)
    flat = list(chain.from_iterable(lists))
    if kind is object:
        found = np.empty(len(flat), object)
        found[:] = flat
    else:
        whole = "int64" if field in ("int_val", "int64_val") else None
        found = np.array(flat, np.uint64 if kind is np.uint64 else whole).astype(kind)
    return found.reshape(len(messages), *shape)


@functools.lru_cache(1024)
def _shape(message: bytes) -> tuple[int, ...] | None:
    """The sizes in a serialized TensorShapeProto; None if it is no shape of an array."""
    try:
        read = message_class("TensorShape").FromString(message)
    except DecodeError:
        return None
    sizes = tuple(dim.size for dim in read.dim)
    if read.unknown_rank or len(sizes) > 8 or any(size < 0 for size in sizes):
        return None
    return sizes
