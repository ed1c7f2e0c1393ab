"""Costs between positives and unclicked rows, and the scale that makes epsilon comparable.

M_ij is the cost of matching positive i to unclicked row j (the paper uses the squared Euclidean
distance between their representations z). Embeddings grow by orders of magnitude during training,
so epsilon is always stated relative to a scale of the batch's own costs.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from idefn_tf._rules import OneOf, checked
from idefn_tf.transport.reductions import fold_all, fold_columns, order_statistic

SCALES = ("median", "mean", "none")
_MEDIAN_SAMPLE = 16_384


def squared_euclidean(x: Any, y: Any) -> tf.Tensor:
    """Squared Euclidean distances M_ij = |x_i - y_j|^2.

    Uses the Gram identity |x|^2 + |y|^2 - 2 x.y after both sides are centred on the mean of `y`
    (which changes no distance but keeps the digits when the norms are large), clamped at 0.

    Args:
        x: Float tensor [P, d], one row per positive.
        y: Float tensor [U, d], one row per unclicked exposure.

    Returns:
        Float tensor [P, U] of distances >= 0.

    Example:
        >>> from idefn_tf.transport import squared_euclidean
        >>> squared_euclidean([[0.0, 0.0]], [[3.0, 4.0], [1.0, 0.0]]).numpy().tolist()
        [[25.0, 1.0]]
    """
    x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    centre = _mean_row(y)
    x, y = x - centre, y - centre
    x_norm = fold_columns(tf.add, tf.square(x), 0)
    y_norm = fold_columns(tf.add, tf.square(y), 0)
    return tf.maximum(
        x_norm[:, None] + y_norm[None, :] - 2.0 * tf.matmul(x, y, transpose_b=True), 0
    )


def cosine(x: Any, y: Any) -> tf.Tensor:
    """Cosine distances M_ij = 1 - x_i . y_j / (|x_i| |y_j|); a zero vector is at distance 1.

    Args:
        x: Float tensor [P, d].
        y: Float tensor [U, d].

    Returns:
        Float tensor [P, U] in [0, 2].

    Example:
        >>> from idefn_tf.transport import cosine
        >>> cosine([[1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]]).numpy().tolist()
        [[0.0, 1.0]]
    """
    x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    similarity = tf.matmul(_unit(x), _unit(y), transpose_b=True)
    return tf.maximum(1.0 - similarity, 0)


COSTS = {"squared_euclidean": squared_euclidean, "cosine": cosine}


def cost_scale(
    cost: tf.Tensor, row_mask: tf.Tensor, column_mask: tf.Tensor, how: str = "median"
) -> tf.Tensor:
    """The typical size of the costs of real rows against real columns, without gradient.

    Args:
        cost: Float tensor [P, U].
        row_mask: Boolean tensor [P], False at padding.
        column_mask: Boolean tensor [U], False at padding.
        how: "median" (robust against far outliers; the lower median, over about 16,384 evenly
            spaced entries), "mean", or "none" (1, that is raw costs).

    Returns:
        Scalar > 0. Where the median is 0 (more than half of the costs vanish) the mean serves;
        where that is 0 too, 1. Infinite costs (forbidden pairs) are left out.

    Raises:
        ValueError: If `how` is not one of the three.

    Example:
        >>> from idefn_tf.transport import cost_scale
        >>> cost = tf.constant([[1.0, 2.0, 9.0]])
        >>> float(cost_scale(cost, tf.constant([True]), tf.constant([True, True, True]), "mean"))
        4.0
    """
    checked("scale", OneOf(SCALES), how)
    one = tf.ones([], cost.dtype)
    if how == "none":
        return one
    cost = tf.stop_gradient(cost)
    entries = row_mask[:, None] & column_mask[None, :] & tf.math.is_finite(cost)

    def mean() -> tf.Tensor:
        count = fold_all(tf.add, tf.cast(entries, cost.dtype), 0)
        share = tf.abs(cost) / tf.maximum(count, 1)  # the sum of costs may not be a number
        return fold_all(tf.add, tf.where(entries, share, tf.zeros_like(cost)), 0)

    if how == "mean":
        scale = mean()
    else:
        rows, columns = cost.shape
        known = rows is not None and columns is not None
        stride = max(1, -(-rows * columns // _MEDIAN_SAMPLE)) if known else 1
        sample = entries[:, ::stride]
        middle = (fold_all(tf.add, tf.cast(sample, tf.int32), 0) + 1) // 2
        median = order_statistic(tf.abs(cost[:, ::stride]), sample, middle)
        scale = tf.cond(median > 0, lambda: median, mean)
    return tf.where((scale > 0) & tf.math.is_finite(scale), scale, one)


def _mean_row(y: tf.Tensor) -> tf.Tensor:
    """The mean over rows as a product, which compilers vectorise; a sum over rows they do not."""
    count = tf.cast(tf.maximum(tf.shape(y)[0], 1), y.dtype)
    return tf.linalg.matvec(y, tf.fill([tf.shape(y)[0]], 1 / count), transpose_a=True)


def _unit(x: tf.Tensor) -> tf.Tensor:
    length = tf.norm(x, axis=1, keepdims=True)
    return tf.math.divide_no_nan(x, length)
