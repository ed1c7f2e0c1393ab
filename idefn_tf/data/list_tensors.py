"""List tensors: `idefn_tf.schema.lists` said in TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from idefn_tf.schema import Feature
from idefn_tf.schema import lists as meaning


def fill_empty(
    values: tf.Tensor, weights: tf.Tensor | None, padding: Any, missing: Any
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Puts `missing`, with weight 1, into padded lists [B, L] that hold no entry."""
    if missing is None or missing == padding:
        return values, weights
    empty = tf.reduce_all(tf.equal(values, tf.constant(padding, values.dtype)), 1, keepdims=True)
    first = tf.equal(tf.range(tf.shape(values)[1]), 0)
    place = tf.logical_and(empty, first)
    values = tf.where(place, tf.constant(missing, values.dtype), values)
    if weights is not None:
        weights = tf.where(empty, tf.cast(first, weights.dtype), weights)
    return values, weights


def densify(
    feature: Feature, values: tf.RaggedTensor, weights: tf.RaggedTensor | None
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Drops absent entries of ragged lists, then pads or cuts them to the feature's length.

    Raises:
        InvalidArgumentError: if entries and weights differ in number, or the weight of an entry is
            no finite number, naming both and the row.
    """
    padding = tf.constant(meaning.PADDING[feature.dtype], values.dtype)
    present = values.with_flat_values(tf.not_equal(values.flat_values, padding))
    shape = [None, feature.max_length]
    dense = None
    if weights is not None:
        with tf.control_dependencies([_equal_lengths(feature, values, weights)]):
            flat = tf.identity(weights.flat_values)
        with tf.control_dependencies([_finite(feature, values, present, flat)]):
            flat = tf.identity(flat)
        weights = values.with_flat_values(flat)
        dense = tf.ragged.boolean_mask(weights, present).to_tensor(0.0, shape=shape)
    kept = tf.ragged.boolean_mask(values, present).to_tensor(padding, shape=shape)
    missing = meaning.stand_in(feature)
    return fill_empty(kept, dense, meaning.PADDING[feature.dtype], missing)


def densify_events(
    parts: Sequence[Feature], lists: Mapping[str, tf.RaggedTensor]
) -> dict[str, tf.Tensor]:
    """Pads the lists of a sequence, or cuts them to their newest events.

    An event that lacks a part is left out whole.

    Raises:
        InvalidArgumentError: if the lists of a row differ in length.
    """
    first = lists[parts[0].name]
    with tf.control_dependencies([_side_by_side(parts, lists, part) for part in parts[1:]]):
        splits = tf.identity(first.row_splits)
    there = [tf.not_equal(lists[part.name].flat_values, _padding(part, lists)) for part in parts]
    present = tf.RaggedTensor.from_row_splits(tf.reduce_all(there, 0), splits, validate=False)
    made = {}
    for part in parts:
        values = tf.RaggedTensor.from_row_splits(
            lists[part.name].flat_values, splits, validate=False
        )
        kept = tf.ragged.boolean_mask(values, present)[:, -(part.max_length or 1) :]
        padding = _padding(part, lists)
        dense = kept.to_tensor(padding, shape=[None, part.max_length])
        made[part.name], _ = fill_empty(dense, None, padding, meaning.stand_in(part))
    return made


def _padding(part: Feature, lists: Mapping[str, tf.RaggedTensor]) -> tf.Tensor:
    return tf.constant(meaning.PADDING[part.dtype], lists[part.name].dtype)


def _side_by_side(
    parts: Sequence[Feature], lists: Mapping[str, tf.RaggedTensor], part: Feature
) -> tf.Operation | None:
    first, own = (lists[found.name].row_lengths() for found in (parts[0], part))
    row = _first(tf.where(tf.not_equal(first, own))[:, 0])
    rule, cure = meaning.uneven((parts[0].name, part.name))
    counts = [tf.concat([lengths, [0]], 0)[row] for lengths in (own, first)]
    return tf.debugging.Assert(
        tf.reduce_all(tf.equal(first, own)),
        [rule + ", received", counts[0], "beside", counts[1], "in row", row, "; " + cure],
    )


def _equal_lengths(
    feature: Feature, values: tf.RaggedTensor, weights: tf.RaggedTensor
) -> tf.Operation | None:
    wrong = tf.not_equal(values.row_lengths(), weights.row_lengths())
    row = _first(tf.where(wrong)[:, 0])
    rule = f"{feature.weights_name}: must hold one weight for each entry of {feature.name}, "
    return tf.debugging.Assert(
        tf.logical_not(tf.reduce_any(wrong)),
        [rule + "received", _row(weights, row), "for", _row(values, row), "in row", row],
    )


def _finite(
    feature: Feature, values: tf.RaggedTensor, present: tf.RaggedTensor, flat: tf.Tensor
) -> tf.Operation | None:
    wrong = tf.logical_and(present.flat_values, tf.logical_not(tf.math.is_finite(flat)))
    row = _first(tf.boolean_mask(values.value_rowids(), wrong))
    rule = f"{feature.weights_name}: every weight of an entry of {feature.name} must be a finite "
    weights = values.with_flat_values(flat)
    return tf.debugging.Assert(
        tf.logical_not(tf.reduce_any(wrong)),
        [rule + "number, received", _row(weights, row), "for", _row(values, row), "in row", row],
    )


def _first(rows: tf.Tensor) -> tf.Tensor:
    return tf.concat([tf.cast(rows, tf.int64), tf.zeros([1], tf.int64)], 0)[0]


def _row(lists: tf.RaggedTensor, row: tf.Tensor) -> tf.Tensor:
    """Returns one row, and nothing where there is none."""
    splits = lists.row_splits
    end = splits[tf.minimum(row + 1, tf.size(splits, tf.int64) - 1)]
    return lists.flat_values[splits[row] : end]
