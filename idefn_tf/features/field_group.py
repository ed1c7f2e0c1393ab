"""Encoding of all fields that share a table: most of them together, in a handful of operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.data.list_tensors import fill_empty
from idefn_tf.features.field import Field
from idefn_tf.features.lookup import FieldEncoder, get_feature, look_up_array, padded
from idefn_tf.schema.lists import PADDING

#: Row 0 of every fused table is the padding row; absent values point there.
FIRST_ROW = 1
#: Where `pool` puts all single-valued fields of a width, side by side.
SINGLES = "singles:{}"
#: Where all numeric fields are put.
NUMERIC = "numbers:"
#: The key of the numbers among what is encoded.
NUMBERS = "numbers"


class Block:
    """The fields of one embedding width (or all indicators): values in, rows of their table out.

    Single-valued fields come first, then the lists, each in the order of z. Integers that index
    (identity) or that a look-up array knows (vocabulary) are encoded together; hashes, strings,
    buckets and lists one by one.

    Args:
        fields: in the order of z; the parts of sequences are not among them.
        offsets: the first row of each field.

    Attributes:
        singles: the single-valued fields; a row of theirs counts once, or not at all if it is 0.
        lists: the others; each of their rows has a coefficient.
    """

    def __init__(self, fields: Sequence[Field], offsets: Mapping[str, int]) -> None:
        self.singles = [f for f in fields if not _is_list(f)]
        self.lists = [f for f in fields if _is_list(f)]
        arrays = {f.name: look_up_array(f) for f in self.singles if f.oov_buckets <= 1}
        self._indexed = [f for f in self.singles if f.kind == "identity"]
        self._looked_up = [f for f in self.singles if arrays.get(f.name) is not None]
        together = {f.name for f in (*self._indexed, *self._looked_up)}
        self._alone = [f for f in self.singles if f.name not in together]
        self.encoders = {
            f.name: FieldEncoder(f, offsets[f.name]) for f in (*self._alone, *self.lists)
        }
        made = [f.name for f in (*self._indexed, *self._looked_up, *self._alone)]
        order = [made.index(f.name) for f in self.singles]
        self._order = None if order == sorted(order) else order
        self._starts = [offsets[f.name] for f in self._indexed]
        self._sizes = [f.known for f in self._indexed]
        self._join(arrays, offsets)

    def _join(self, arrays: Mapping[str, np.ndarray | None], offsets: Mapping[str, int]) -> None:
        """Lays the look-up arrays end to end, holding rows of the table."""
        parts, self._unknown, self._spans = [], [], []
        for field in self._looked_up:
            array = np.asarray(arrays[field.name])
            unknown = offsets[field.name] if field.oov_buckets else 0
            known = array + offsets[field.name] + field.oov_buckets
            parts.append(np.where(array >= 0, known, unknown).astype(np.int32))
            self._unknown.append(unknown)
            self._spans.append(len(array))
        self._array = np.concatenate(parts) if parts else None
        self._bases = np.cumsum([0, *self._spans])[:-1]

    @property
    def slots(self) -> tuple[int, int]:
        """How many rows, and how many coefficients, an exposure has."""
        of_lists = sum(f.slots for f in self.lists)
        return len(self.singles) + of_lists, of_lists

    def __call__(
        self, features: Mapping[str, Any], fields: tuple[Field, ...]
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Encodes a batch.

        Args:
            features: raw values by name.
            fields: all fields of the layer, for error messages.

        Returns:
            Rows int32 [B, slots], 0 where absent, and the lists' coefficients float32, or None.
        """
        values = {
            f.name: typed(get_feature(features, f.name, fields), f)
            for f in (*self.singles, *self.lists)
        }
        parts = []
        if self._indexed:
            parts.append(self._index(_stack(self._indexed, values)))
        if self._looked_up:
            parts.append(self._look_up(_stack(self._looked_up, values)))
        parts += [self.encoders[f.name](values[f.name], None)[0] for f in self._alone]
        rows = [_joined(parts, self._order)] if parts else []
        coefficients = []
        for field in self.lists:
            weights = None
            if field.weights:
                weights = padded(get_feature(features, field.weights, fields), field, 0.0)
            entries = values[field.name]
            if field.max_length:
                entries, weights = fill_empty(entries, weights, PADDING[field.dtype], field.fill)
            encoded, coefficient = self.encoders[field.name](entries, weights)
            rows.append(encoded)
            coefficients.append(coefficient)
        if not rows:  # the parts of sequences alone read this table
            return tf.zeros([_batch(features, fields), 0], tf.int32), None
        return _joined(rows), _joined(coefficients) if coefficients else None

    def _index(self, values: tf.Tensor) -> tf.Tensor:
        known = tf.logical_and(values >= 0, values < tf.constant(self._sizes, tf.int64))
        rows = values + tf.constant(self._starts, tf.int64)
        return tf.cast(tf.where(known, rows, 0), tf.int32)

    def _look_up(self, values: tf.Tensor) -> tf.Tensor:
        inside = tf.logical_and(values >= 0, values < tf.constant(self._spans, tf.int64))
        at = tf.where(inside, values, 0) + tf.constant(self._bases, tf.int64)
        outside = tf.where(tf.equal(values, -1), 0, tf.constant(self._unknown, tf.int32))
        return tf.where(inside, tf.gather(tf.constant(self._array), at), outside)

    def pool(
        self,
        vectors: tf.Tensor,
        rows: tf.Tensor,
        coefficients: tf.Tensor | None,
        zeroed: bool = False,
    ) -> dict[str, tf.Tensor]:
        """Sums each field's slots; pure, fit for XLA.

        Args:
            vectors: the gathered rows, [B, slots, width].
            rows: what `__call__` gave, [B, slots].
            coefficients: of the lists' slots, as `__call__` gave them.
            zeroed: whether the vectors of row 0, which is the padding row, are 0 already.

        Returns:
            All single-valued fields side by side under `SINGLES`, each list under its name.
        """
        count, width = len(self.singles), vectors.shape[-1]
        singles = vectors[:, :count] if self.lists else vectors
        if not zeroed:
            singles *= tf.cast(rows[:, :count] > 0, vectors.dtype)[:, :, None]
        out = {}
        if count:
            out[SINGLES.format(width)] = tf.reshape(singles, [-1, count * width])
        if coefficients is not None:
            scaled = vectors[:, count:] * tf.cast(coefficients, vectors.dtype)[:, :, None]
            out |= {f.name: tf.reduce_sum(scaled[:, at], 1) for f, at in self._list_slots()}
        return out

    def multi_hot(self, rows: tf.Tensor, coefficients: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """Counts each indicator field's ids, [B, rows of the field] by name.

        Known ids come first, then unknown values, as feature columns order them.
        """
        singles, lists = rows[:, : len(self.singles)], rows[:, len(self.singles) :]
        out = {f.name: _one_hot(singles[:, i], f) for i, f in enumerate(self.singles)}
        if coefficients is not None:
            for field, at in self._list_slots():
                hot = _one_hot(lists[:, at], field) * coefficients[:, at, None]
                out[field.name] = tf.reduce_sum(hot, 1)
        return out

    def _list_slots(self) -> Iterator[tuple[Field, slice]]:
        start = 0
        for field in self.lists:
            yield field, slice(start, start + field.slots)
            start += field.slots


def _batch(features: Mapping[str, Any], fields: Sequence[Field]) -> Any:
    """Returns how many rows a batch has."""
    value = get_feature(features, fields[0].name, tuple(fields))
    return value.shape[0] if isinstance(value, tf.SparseTensor) else tf.shape(value)[0]


def _one_hot(rows: tf.Tensor, field: Field) -> tf.Tensor:
    place = tf.math.floormod(rows - FIRST_ROW - field.oov_buckets, field.rows)
    return tf.one_hot(tf.where(rows > 0, place, -1), field.rows)


def _is_list(field: Field) -> bool:
    return field.max_length is not None or field.weights is not None


def _stack(fields: Sequence[Field], values: Mapping[str, tf.Tensor]) -> tf.Tensor:
    return tf.stack([tf.reshape(values[f.name], [-1]) for f in fields], 1)


def _joined(parts: Sequence[tf.Tensor], order: Sequence[int] | None = None) -> tf.Tensor:
    whole = parts[0] if len(parts) == 1 else tf.concat(parts, 1)
    return whole if order is None else tf.gather(whole, order, axis=1)


def typed(values: Any, field: Field) -> tf.Tensor:
    """Pads lists and casts numbers to the field's dtype.

    Raises:
        ValueError: if text meets numbers.
    """
    if (values.dtype == tf.string) != (field.dtype == "string"):
        raise ValueError(
            f"features: {field.name!r} must be {field.dtype}, received {values.dtype.name}; "
            "convert the column."
        )
    values = padded(values, field, "" if field.dtype == "string" else -1)
    return values if values.dtype == field.dtype else tf.cast(values, field.dtype)


def find_runs(fields: Sequence[Field], blocks: Mapping[str, Block]) -> Iterator[tuple[str, slice]]:
    """Yields z's pieces in order: which part they come from, and which columns of it.

    Neighbours in z that are neighbours in their part are one piece.

    Args:
        fields: of the layer, in the order of z.
        blocks: by embedding width.
    """
    last: tuple[str, slice] | None = None
    taken: dict[str, int] = {}
    for field in fields:
        key = field.name
        if field.numeric:
            key = NUMERIC
        elif not field.indicator and field in blocks[str(field.width)].singles:
            key = SINGLES.format(field.width)
        start = taken.get(key, 0)
        end = taken[key] = start + field.output_width
        if last is not None and last[0] == key and last[1].stop == start:
            last = (key, slice(last[1].start, end))
            continue
        if last is not None:
            yield last
        last = (key, slice(start, end))
    if last is not None:
        yield last


def columns(part: tf.Tensor, at: slice) -> tf.Tensor:
    """Returns columns of a part of z; all of them cost nothing."""
    return part if (at.start, at.stop) == (0, part.shape[1]) else part[:, at]
