"""Held rows: encoded rows in memory; padded sequences are held without their padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf


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
        values = np.concatenate([piece.values for piece in pieces])
        return cls(values, np.concatenate([p.lengths for p in pieces]), pieces[0].length)


def trimmed(tensor: tf.Tensor) -> np.ndarray | Trimmed:
    """Returns encoded rows as they are held."""
    array = tensor.numpy()
    return Trimmed.of(array) if array.ndim == 3 else array


def joined(*pieces: Any) -> Any:
    """Puts pieces of held rows one after the other."""
    return Trimmed.joined(pieces) if isinstance(pieces[0], Trimmed) else np.concatenate(pieces)


class HeldRows:
    """Encoded rows as TensorFlow picks them.

    Args:
        encoded: arrays [n, ...] and `Trimmed` ones, dicts in dicts.

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
            self._parts = tf.nest.map_structure(_constant, encoded)

    def pick(self, at: tf.Tensor) -> Any:
        """Returns the rows at some numbers, padded as they were encoded."""
        return tf.nest.map_structure(lambda part: part.pick(at), self._parts)


@dataclass(frozen=True)
class _Plain:
    values: tf.Tensor

    def pick(self, at: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.values, at)


@dataclass(frozen=True)
class _Lists:
    values: tf.RaggedTensor
    shape: list[int | None]

    def pick(self, at: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.values, at).to_tensor(0, shape=self.shape)


def _constant(part: np.ndarray | Trimmed) -> _Plain | _Lists:
    if not isinstance(part, Trimmed):
        return _Plain(tf.constant(part))
    lists = tf.RaggedTensor.from_row_lengths(
        tf.constant(part.values), tf.constant(part.lengths, tf.int64), validate=False
    )
    return _Lists(lists, [None, part.length, part.values.shape[1]])
