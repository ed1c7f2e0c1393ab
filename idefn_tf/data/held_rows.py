"""Held rows: encoded rows in memory; padded sequences are held without their padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.data.any_rows import any_rows

#: Where TensorFlow's kernels want memory to begin.
_ALIGNMENT = 64


@dataclass(frozen=True)
class Trimmed:
    """Padded rows [n, K, parts] without what is 0 at their end.

    Attributes:
        values: what is left, row after row, [m, parts].
        lengths: of each row, int64 [n].
        length: K.

    Example:
        >>> from idefn_tf.data.held_rows import Trimmed
        >>> trimmed = Trimmed.of(np.array([[[7], [0], [3], [0]], [[0], [0], [0], [0]]]))
        >>> trimmed.values.ravel().tolist(), trimmed.lengths.tolist()
        ([7, 0, 3], [3, 0])
    """

    values: np.ndarray
    lengths: np.ndarray
    length: int

    @classmethod
    def of(cls, padded: np.ndarray) -> Trimmed:
        """Takes the padding away."""
        length = padded.shape[1]
        some = np.any(padded != 0, axis=2)
        lengths = np.where(some.any(1), length - np.argmax(some[:, ::-1], 1), 0)
        return cls(padded[np.arange(length) < lengths[:, None]], lengths, length)

    @classmethod
    def joined(cls, pieces: Sequence[Trimmed]) -> Trimmed:
        """Puts the rows of several pieces one after the other."""
        values = joined(*(piece.values for piece in pieces))
        return cls(values, np.concatenate([p.lengths for p in pieces]), pieces[0].length)


def trimmed(tensor: tf.Tensor) -> np.ndarray | Trimmed:
    """Returns encoded rows as they are held."""
    array = tensor.numpy()
    return Trimmed.of(array) if array.ndim == 3 else array


def joined(*pieces: Any) -> Any:
    """Puts pieces of held rows one after the other."""
    if isinstance(pieces[0], Trimmed):
        return Trimmed.joined(pieces)
    rows = sum(map(len, pieces))
    return np.concatenate(pieces, out=aligned((rows, *pieces[0].shape[1:]), pieces[0].dtype))


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Returns an array without values that TensorFlow can read where it lies."""
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        return np.empty(shape, dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    room = np.empty(size + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)


class Filling:
    """Rows on their way into memory, piece by piece: each piece is copied once, to its place.

    Args:
        rows: how many there will be; None, where that is not known, keeps the pieces until the end.

    Example:
        >>> from idefn_tf.data.held_rows import Filling
        >>> filling = Filling(3)
        >>> for piece in ([7.0, 3.0], [5.0]):
        ...     filling.add(np.array(piece))
        >>> filling.whole().tolist()
        [7.0, 3.0, 5.0]
    """

    def __init__(self, rows: int | None) -> None:
        self._rows, self._end = rows, 0
        self._buffer: np.ndarray | None = None
        self._pieces: list[Any] = []

    def add(self, piece: Any) -> None:
        """Takes an array, or `Trimmed` rows."""
        if self._rows is None or isinstance(piece, Trimmed):
            self._pieces.append(piece)
            return
        if self._buffer is None:
            self._buffer = aligned((self._rows, *piece.shape[1:]), piece.dtype)
        self._buffer[self._end : self._end + len(piece)] = piece
        self._end += len(piece)

    def whole(self) -> Any:
        """Returns all rows, and lets the pieces go."""
        pieces, self._pieces = self._pieces, []
        return joined(*pieces) if self._buffer is None else self._buffer[: self._end]


class HeldRows:
    """Encoded rows as TensorFlow picks them.

    Args:
        encoded: arrays [n, ...] and `Trimmed` ones, dicts in dicts.

    Attributes:
        tensors: of each array, in the order of ``tf.nest.flatten``: itself, or what was trimmed and
            where each row's part of it begins.
        form: the structure of `encoded`, with how long a row is padded to in its leaves; 0 where
            it is no list.

    Example:
        >>> from idefn_tf.data.held_rows import HeldRows, Trimmed
        >>> clicks = Trimmed.of(np.array([[[7], [3]], [[0], [0]], [[5], [0]]]))
        >>> rows = HeldRows({"price": np.array([1.0, 2.0, 3.0]), "clicks": clicks})
        >>> picked = rows.pick(tf.constant([2, 0]))
        >>> picked["price"].numpy().tolist(), picked["clicks"].numpy()[:, :, 0].tolist()
        ([3.0, 1.0], [[5, 0], [7, 3]])
    """

    def __init__(self, encoded: Mapping[str, Any]) -> None:
        with tf.device("CPU"):
            self.tensors = tuple(_constants(part) for part in tf.nest.flatten(encoded))
        self.form = tf.nest.map_structure(_padded, encoded)

    def specification(self) -> Any:
        """Returns what `tensors` are, whatever the number of rows."""
        return tf.nest.map_structure(any_rows, self.tensors)

    def pick(self, at: tf.Tensor) -> Any:
        """Returns the rows at some numbers, padded as they were encoded."""
        return pick(self.tensors, self.form, at)


def pick(tensors: Any, form: Any, at: tf.Tensor) -> Any:
    """Returns some rows of what `HeldRows` holds; for a program, which takes it as an argument."""
    lengths = tf.nest.flatten(form)
    picked = [_rows(part, length, at) for part, length in zip(tensors, lengths, strict=True)]
    return tf.nest.pack_sequence_as(form, picked)


def _rows(part: Sequence[tf.Tensor], length: int, at: tf.Tensor) -> tf.Tensor:
    if not length:
        return tf.gather(part[0], at)
    lists = tf.RaggedTensor.from_row_splits(*part, validate=False)
    return tf.gather(lists, at).to_tensor(0, shape=[None, length, part[0].shape[-1]])


def _padded(part: np.ndarray | Trimmed) -> int:
    return part.length if isinstance(part, Trimmed) else 0


def _constants(part: np.ndarray | Trimmed) -> tuple[tf.Tensor, ...]:
    if not isinstance(part, Trimmed):
        return (_tensor(part),)
    return _tensor(part.values), tf.constant(np.append(0, np.cumsum(part.lengths)), tf.int64)


def _tensor(values: np.ndarray) -> tf.Tensor:
    """Returns an array as a tensor, in the array's own memory where TensorFlow can read it there.

    Nothing else may write to it: arrays from `aligned` have no other owner.
    """
    there = values.flags.c_contiguous and values.flags.writeable and values.size
    if there and values.dtype.kind in "iuf" and values.ctypes.data % _ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(values.__dlpack__())
    return tf.constant(values)
