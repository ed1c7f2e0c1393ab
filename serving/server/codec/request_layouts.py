"""A PredictRequest's layout: where values lie in a request that is written in the usual way.

Clients of every language write a tensor in protobuf's own order: the input's name, its type, its
shape, then its values. So a signature and a number of rows say beforehand what each byte but the
values must be, and how long an input is. Where a request is so, its values are cut out. Anything
else, faults included, is left to the general reading (`serving.server.codec.stacked_tensors`).

The bytes to compare with are protobuf's: those that it writes for zeros and for empty texts.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from idefn_tf.export.serving_protos import message_class
from serving.common.tensor_protos import to_proto
from serving.server.codec.stacked_tensors import DATA_TYPES
from serving.server.runtime.signature import Signature, TensorSpec
from serving.server.runtime.stacked_arrays import StackedArrays

# Longer inputs are left to the general reading: there the values are what costs.
_LONGEST, _LONGEST_TEXTS = 16_384, 127
_KEPT = 256  # layouts of a signature
_TEXT = 0x42  # the tag of string_val


@dataclasses.dataclass(frozen=True)
class _Numbers:
    """Inputs of one type and shape, as raw tensor content: what stands before it, and all else."""

    places: list[int]
    heads: list[bytes]
    lengths: list[int]
    kind: Any
    shape: tuple[int, ...]

    def read(self, ordered: Sequence[bytes]) -> np.ndarray | None:
        entries = [ordered[place] for place in self.places]
        if list(map(len, entries)) != self.lengths:
            return None
        if not all(map(bytes.startswith, entries, self.heads)):
            return None
        values = [entry[len(head) :] for entry, head in zip(entries, self.heads, strict=True)]
        return np.frombuffer(b"".join(values), self.kind).reshape(self.shape)


@dataclasses.dataclass(frozen=True)
class _Texts:
    """Inputs of text of one shape: what stands before a tensor's length, how it begins."""

    places: list[int]
    heads: list[bytes]
    start: bytes
    count: int
    shape: tuple[int, ...]

    def read(self, ordered: Sequence[bytes]) -> np.ndarray | None:
        found: list[bytes] = []
        for place, head in zip(self.places, self.heads, strict=True):
            entry, at = ordered[place], len(head) + 1
            length = len(entry) - at
            if not (0 < length <= _LONGEST_TEXTS and entry[at - 1] == length):
                return None
            if not (entry.startswith(head) and entry.startswith(self.start, at)):
                return None
            values = _texts(entry, at + len(self.start))
            if len(values) != self.count:
                return None
            found += values
        array = np.empty(len(found), object)
        array[:] = found
        return array.reshape(self.shape)


def _texts(entry: bytes, at: int) -> list[bytes]:
    """The texts from a place on to the end; none if there is something else."""
    found, end = [], len(entry)
    while at + 1 < end and entry[at] == _TEXT:
        stop = at + 2 + entry[at + 1]  # beyond the end where the length has a second byte
        found.append(entry[at + 2 : stop])
        at = stop
    return found if at == end else []


class RequestLayouts:
    """The layouts of a signature, by the length of its first input that is not text.

    Args:
        signature: The signature, bound.
    """

    def __init__(self, signature: Signature) -> None:
        self._groups = signature.groups
        self._inputs = signature.inputs
        # an entry begins with its name's length, then the name: sorted, entries are in this order
        names = sorted(signature.inputs, key=lambda name: (len(name.encode()), name.encode()))
        self._places = {name: place for place, name in enumerate(names)}
        numbers = [name for name in names if signature.inputs[name].type != "string"]
        usual = signature.stackable and all(map(_is_usual, signature.inputs.values()))
        self._first = numbers[0] if numbers and usual else None
        self._least = sum(_least(spec) for spec in signature.inputs.values()) if usual else 0
        texts = [spec for spec in signature.inputs.values() if spec.type == "string"]
        self._most = min((_LONGEST_TEXTS // _least(spec) for spec in texts if usual), default=None)
        self._known: dict[int, tuple[int, list[_Numbers | _Texts]] | None] = {}

    def read(self, entries: Sequence[bytes]) -> StackedArrays | None:
        """Reads the inputs of a request.

        Args:
            entries: The entries of PredictRequest.inputs, each as its bytes.

        Returns:
            The arrays; None if the request is not written in the usual way.
        """
        if self._first is None or len(entries) != len(self._places):
            return None
        ordered = sorted(entries)
        length = len(ordered[self._places[self._first]])
        if length > _LONGEST:
            return None
        if length not in self._known:
            rows = _rows(self._inputs[self._first], length)
            # to make a layout costs as much as to write its request: a shorter one has none, yet
            # another request whose first input is so long may
            if rows * self._least > sum(map(len, entries)):
                return None
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[length] = self._layout(rows)
        layout = self._known[length]
        if layout is None:
            return None
        feeds = []
        for group in layout[1]:
            feed = group.read(ordered)
            if feed is None:
                return None
            feeds.append(feed)
        return StackedArrays(self._groups, feeds, layout[0])

    def _layout(self, rows: int) -> tuple[int, list[_Numbers | _Texts]] | None:
        """The rows, and how groups of so many are read; None if they are never read so."""
        if not rows or (self._most is not None and rows > self._most):
            return None
        return rows, [self._group(names, rows) for names in self._groups]

    def _group(self, names: Sequence[str], rows: int) -> _Numbers | _Texts:
        specs = [self._inputs[name] for name in names]
        places = [self._places[name] for name in names]
        inner = (rows, *(specs[0].shape or ())[1:])
        shape = (len(names), *inner) if len(names) > 1 else inner
        entries = [_entry(spec, rows) for spec in specs]
        if specs[0].type == "string":
            empty = to_proto(np.full(inner, b"", object))
            count = math.prod(inner)
            heads = [entry[: len(entry) - len(empty) - 1] for entry in entries]
            return _Texts(places, heads, empty[: len(empty) - 2 * count], count, shape)
        size = _size(specs[0], rows)
        kind = specs[0].dtype.as_numpy_dtype
        heads = [entry[: len(entry) - size] for entry in entries]
        return _Numbers(places, heads, list(map(len, entries)), kind, shape)


#: The layouts of a signature, made once.
layouts_of = functools.lru_cache(64)(RequestLayouts)


def holds_once(entries: Sequence[bytes], inputs: Mapping[str, bytes]) -> bool:
    """Whether the entries say each input once, with one name, one tensor and nothing else.

    Of a map protobuf keeps the last entry of a name, and of bytes the last that came. What went
    before has then not been looked into, or is a piece of the tensor.

    Args:
        entries: The entries of PredictRequest.inputs, each as its bytes.
        inputs: The same as protobuf's map of them, tensors as bytes.
    """
    whole = sum(_field(len(key.encode())) + _field(len(value)) for key, value in inputs.items())
    return len(entries) == len(inputs) and sum(map(len, entries)) == whole


def _is_usual(spec: TensorSpec) -> bool:
    return spec.type in DATA_TYPES and all(size > 0 for size in (spec.shape or ())[1:])


def _size(spec: TensorSpec, rows: int) -> int:
    """The bytes of an input's values."""
    itemsize: int = np.dtype(spec.dtype.as_numpy_dtype).itemsize
    return rows * math.prod((spec.shape or ())[1:]) * itemsize


def _least(spec: TensorSpec) -> int:
    """The bytes that a row's values take at least: an empty text has a tag and a length."""
    if spec.type == "string":
        return 2 * math.prod((spec.shape or ())[1:])
    return _size(spec, 1)


def _rows(spec: TensorSpec, length: int) -> int:
    """The rows with which an input of numbers is so long; 0 if there is no such number."""
    shortest = len(spec.key.encode()) + 10 + 4 * len(spec.shape or ())  # all but the values
    rows = max(0, length - shortest) // _size(spec, 1)
    while rows and _length(spec, rows) > length:
        rows -= 1
    return rows if rows and _length(spec, rows) == length else 0


def _length(spec: TensorSpec, rows: int) -> int:
    """The length of `_entry` for an input of numbers, which is not made for it."""
    sizes = (rows, *(spec.shape or ())[1:])
    shape = sum(_field(1 + _varint(size)) for size in sizes)
    tensor = 2 + _field(shape) + _field(_size(spec, rows))
    return _field(len(spec.key.encode())) + _field(tensor)


def _field(length: int) -> int:
    """The bytes of a field of so many bytes: tag, length, value."""
    return 1 + _varint(length) + length


def _varint(number: int) -> int:
    return max(1, (number.bit_length() + 6) // 7)


def _entry(spec: TensorSpec, rows: int) -> bytes:
    """The entry of an input whose values are zero or empty, as protobuf writes it."""
    shape = (rows, *(spec.shape or ())[1:])
    values = np.full(shape, b"", object) if spec.type == "string" else np.zeros(shape, spec.type)
    request = message_class("PredictRequest")(inputs={spec.key: to_proto(values, content=True)})
    entries = message_class("PredictEntries").FromString(request.SerializeToString()).inputs
    found: bytes = entries[0]
    return found
