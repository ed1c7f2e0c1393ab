"""Encoding of one field: raw values to rows of its table, each with its coefficient.

A field's part of z is linear in the rows that it touches, so the combiner and absent values fold
into one coefficient per id: 1 or 0 for a single value, w_i / sum(w) for a weighted mean, and so
on. What remains for the device is one gather, one product and one sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.features.field import Field
from idefn_tf.schema.cells import GREATEST, LEAST

#: A look-up array is used in place of a hash table when it stays below this many entries.
_ARRAY_LIMIT = 4_000_000
_ARRAY_RATIO = 64


def look_up_array(field: Field) -> np.ndarray | None:
    """Returns the position of every small integer in the field's vocabulary, -1 where unknown.

    Returns:
        int32 [greatest value + 1]; None where the values are no small non-negative integers.
    """
    if field.kind != "vocabulary" or field.dtype != "int64" or not field.values:
        return None
    span = max(field.values) + 1
    if min(field.values) < 0 or span > min(_ARRAY_LIMIT, _ARRAY_RATIO * len(field.values) + 65_536):
        return None
    array = np.full(span, -1, np.int32)
    array[np.asarray(field.values)] = np.arange(len(field.values), dtype=np.int32)
    return array


class FieldEncoder(tf.Module):
    """Turns one field's raw values into row numbers and coefficients.

    Args:
        field: the field.
        offset: first row that the field's table owns in the fused table.
    """

    def __init__(self, field: Field, offset: int) -> None:
        super().__init__()
        self.field, self.offset = field, offset
        self._array: np.ndarray | None = None
        self._table: tf.lookup.StaticHashTable | None = None
        if field.kind == "vocabulary" and field.values:
            self._build_vocabulary()

    def _build_vocabulary(self) -> None:
        values = self.field.values
        self._array = look_up_array(self.field)
        if self._array is not None:
            return
        keys = tf.constant(values, tf.int64 if self.field.dtype == "int64" else tf.string)
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, tf.range(len(values), dtype=tf.int64)), -1
        )

    def __call__(self, values: tf.Tensor, weights: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Encodes a batch.

        Args:
            values: raw values [B], or [B, L] for a list.
            weights: [B, L] or None.

        Returns:
            rows int32 [B, L] and coefficients float32 [B, L] (L = 1 for a single value); an absent
            value has row 0 and coefficient 0.
        """
        field = self.field
        if not field.max_length:
            values = tf.reshape(values, [-1, 1])
        present = self._present(values)
        rows, known = self._rows(values)
        present = tf.logical_and(present, known)
        rows = tf.where(present, rows + self.offset, 0)
        return rows, self._coefficients(present, weights)

    def _present(self, values: tf.Tensor) -> tf.Tensor:
        if values.dtype == tf.string:
            return tf.not_equal(values, "")
        if self.field.kind == "bucketized":
            return tf.ones_like(values, tf.bool)
        return tf.not_equal(values, tf.constant(-1, values.dtype))

    def _rows(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns rows within the field (unknown values first) and whether there is one."""
        field = self.field
        if field.kind == "bucketized":
            return self._buckets(values), tf.ones_like(values, tf.bool)
        if field.kind == "identity":
            known = tf.logical_and(values >= 0, values < field.known)
            return tf.cast(tf.where(known, values, 0), tf.int32), known
        if field.kind == "hash":
            return _bucket(values, field.known), tf.ones_like(values, tf.bool)
        ids = self._look_up(values)
        known = ids >= 0
        if not field.oov_buckets:
            return tf.where(known, ids, 0), known
        unknown = tf.zeros_like(ids)
        if field.oov_buckets > 1:
            unknown = _bucket(values, field.oov_buckets)
        return tf.where(known, ids + field.oov_buckets, unknown), tf.ones_like(known)

    def _buckets(self, values: tf.Tensor) -> tf.Tensor:
        """Returns how many boundaries a number has reached; integers are compared as integers."""
        cuts: Any = self.field.boundaries
        flat = tf.reshape(values, [-1])
        if values.dtype.is_integer:  # float32 has no room for milliseconds since 1970
            flat = tf.cast(flat, tf.int64)
            cuts = [min(max(math.ceil(cut), LEAST), GREATEST) for cut in cuts]
        else:
            flat = tf.cast(flat, tf.float32)
            flat = tf.where(tf.math.is_nan(flat), float(self.field.missing or 0.0), flat)
        ids = tf.searchsorted(tf.constant(cuts, flat.dtype), flat, side="right")
        return tf.reshape(ids, tf.shape(values))

    def _look_up(self, values: tf.Tensor) -> tf.Tensor:
        if self._array is not None:
            span = len(self._array)
            inside = tf.logical_and(values >= 0, values < span)
            safe = tf.where(inside, values, 0)
            return tf.where(inside, tf.gather(tf.constant(self._array), safe), -1)
        if self._table is not None:
            return tf.cast(self._table.lookup(values), tf.int32)
        return tf.fill(tf.shape(values), tf.constant(-1, tf.int32))

    def _coefficients(self, present: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
        field = self.field
        mass = tf.cast(present, tf.float32)
        if not field.max_length and weights is None:
            return mass
        if weights is not None:
            weights = tf.reshape(tf.cast(weights, tf.float32), tf.shape(mass))
            if field.combiner != "sum":  # a weight of 0 or less counts as absent, as in TensorFlow
                weights = tf.maximum(weights, 0.0)
            mass = mass * weights
        if field.combiner == "mean":
            return tf.math.divide_no_nan(mass, tf.reduce_sum(mass, 1, keepdims=True))
        if field.combiner == "sqrtn":
            norm = tf.sqrt(tf.reduce_sum(tf.square(mass), 1, keepdims=True))
            return tf.math.divide_no_nan(mass, norm)
        return mass


def _bucket(values: tf.Tensor, size: int) -> tf.Tensor:
    text = values if values.dtype == tf.string else tf.strings.as_string(values)
    return tf.cast(tf.strings.to_hash_bucket_fast(text, size), tf.int32)


def normalize(fields: Sequence[Field], values: Sequence[tf.Tensor]) -> tf.Tensor:
    """Normalizes numeric fields' values, [B] each, to float32 [B, K].

    What is not finite becomes `missing` before that, or the mean where a field has none.
    """
    numbers = tf.stack([tf.reshape(tf.cast(v, tf.float32), [-1]) for v in values], 1)
    raw = [math.nan if f.missing is None else f.missing for f in fields]
    numbers = tf.where(tf.math.is_finite(numbers), numbers, tf.constant(raw, tf.float32))
    there = tf.math.is_finite(numbers)
    if any(f.log1p for f in fields):
        logs = tf.math.log1p(tf.maximum(numbers, 0.0))
        numbers = tf.where([f.log1p for f in fields], logs, numbers)
    # a product, because graphs replace a division by a constant by one, and eager code does not
    numbers = (numbers - [f.mean for f in fields]) * [1.0 / f.std for f in fields]
    there = tf.logical_and(there, tf.math.is_finite(numbers))
    return tf.where(there, numbers, tf.constant([f.normalized_mean for f in fields], tf.float32))


def get_feature(features: Mapping[str, Any], name: str, fields: tuple[Field, ...]) -> Any:
    """Returns `features[name]`, a dense, sparse or ragged tensor.

    Raises:
        ValueError: naming the missing feature and all those expected.
    """
    if name not in features:
        raise ValueError(
            f"features: {name!r} is missing from the batch, received {sorted(features)}; the model "
            f"reads {sorted(f.name for f in fields)}."
        )
    value = features[name]
    if isinstance(value, (tf.SparseTensor, tf.RaggedTensor)):
        return value
    return tf.convert_to_tensor(value)


def padded(values: Any, field: Field, padding: Any) -> tf.Tensor:
    """Returns sparse or ragged values as dense ones, padded or cut to the field's length.

    A sequence that is too long keeps its newest events, another list its first entries.
    """
    shape = [None, field.slots]
    if isinstance(values, tf.SparseTensor) and field.sequence is not None:
        values = tf.RaggedTensor.from_sparse(values)
    if isinstance(values, tf.RaggedTensor) and field.sequence is not None:
        values = values[:, -field.slots :]
    if isinstance(values, tf.SparseTensor):
        values = tf.sparse.to_dense(values, tf.cast(padding, values.dtype))
        missing = tf.maximum(field.slots - tf.shape(values)[1], 0)
        values = tf.pad(values, [[0, 0], [0, missing]], constant_values=padding)
        return tf.ensure_shape(values[:, : field.slots], shape)
    if isinstance(values, tf.RaggedTensor):
        return values.to_tensor(tf.cast(padding, values.dtype), shape=shape)
    return values
