"""What every streaming metric does with a batch: flatten, bring to float64, read the logit."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf._rules import MOST, Number, checked


def flat_batch(
    y_true: Any, y_pred: Any, sample_weight: Any = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Flattens one batch to float64 vectors.

    Args:
        y_true: [batch] or [batch, 1], labels in [0, 1].
        y_pred: [batch] or [batch, 1], probabilities or logits.
        sample_weight: [batch], [batch, 1] or a scalar; None for one each.

    Returns:
        (labels, predictions, weights), each [batch], float64.

    Raises:
        ValueError: Where the known sizes differ.
    """
    y = tf.reshape(tf.cast(y_true, tf.float64), [-1])
    s = tf.reshape(tf.cast(y_pred, tf.float64), [-1])
    if not y.shape.is_compatible_with(s.shape):
        raise ValueError(
            "y_pred: must have one entry per label, received "
            f"{s.shape[0]} for {y.shape[0]} labels; pass one output, not a stack of outputs"
        )
    if sample_weight is None:
        return y, s, tf.ones_like(y)
    w = tf.reshape(tf.cast(sample_weight, tf.float64), [-1])
    if w.shape[0] not in (None, 1) and not w.shape.is_compatible_with(y.shape):
        raise ValueError(
            "sample_weight: must be a scalar or have one entry per label, received "
            f"{w.shape[0]} for {y.shape[0]} labels; take both from the same rows"
        )
    return y, s, tf.broadcast_to(w, tf.shape(y))


def to_logit(scores: tf.Tensor, from_logits: bool) -> tf.Tensor:
    """ln(p / (1 - p)), infinite at 0 and 1, NaN outside [0, 1]."""
    return scores if from_logits else tf.math.log(scores) - tf.math.log1p(-scores)


def to_probability(scores: tf.Tensor, from_logits: bool) -> tf.Tensor:
    """The score as a probability, NaN outside [0, 1]."""
    if from_logits:
        return tf.math.sigmoid(scores)
    inside = tf.logical_and(scores >= 0, scores <= 1)
    return tf.where(inside, scores, tf.constant(np.nan, scores.dtype))


def logit_bin(logits: tf.Tensor, low: float, high: float, bins: int) -> tf.Tensor:
    """Index [batch] of the equal-width bin on [low, high]; the end bins take what lies outside."""
    position = (logits - low) * (bins / (high - low))
    position = tf.clip_by_value(position, 0.0, float(bins - 1))
    return tf.cast(tf.where(tf.math.is_nan(logits), tf.zeros_like(position), position), tf.int32)


def spoil(values: tf.Tensor, invalid: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Puts NaN into rows that are `invalid`, so that the metric shows it, and 0 where w = 0.

    Args:
        values: [batch] or [batch, columns].
        invalid: [batch], bool.
        weights: [batch].
    """
    absent = tf.equal(weights, 0)
    if values.shape.rank == 2:
        invalid, absent = invalid[:, None], absent[:, None]
    values = tf.where(invalid, tf.constant(np.nan, values.dtype), values)
    return tf.where(absent, tf.zeros_like(values), values)


def divide_or_nan(numerator: tf.Tensor, denominator: tf.Tensor) -> tf.Tensor:
    """The quotient, and NaN (without a warning) where the denominator is 0."""
    zero = tf.equal(denominator, 0)
    safe = tf.where(zero, tf.ones_like(denominator), denominator)
    return tf.where(zero, tf.constant(np.nan, safe.dtype), numerator / safe)


def check_bins(bins: int, low: float, high: float) -> None:
    """Raises ValueError unless there are two bins or more on a finite, non-empty logit range."""
    checked("bins", Number(least=2, most=MOST, whole=True), bins)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(
            "logits: must have a finite range that is not empty, "
            f"received one from {low} to {high}; use for example -16 to 16"
        )
