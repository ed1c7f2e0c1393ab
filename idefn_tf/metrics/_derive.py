"""What a histogram of scores says: pure functions of `counts`.

`counts` is [..., bins, 3], float64, bins ascending by score; its columns are the sums over a bin's
rows of w y (positives), w (1 - y) (negatives) and w p (predictions). Rows of one bin are tied.
"""

import numpy as np
import tensorflow as tf

from idefn_tf.metrics._stream import divide_or_nan


def auc_of(counts: tf.Tensor) -> tf.Tensor:
    """AUC = sum_b P_b (N_below_b + N_b / 2) / (P N); NaN without both classes. [...]."""
    positive, negative = counts[..., 0], counts[..., 1]
    below = tf.cumsum(negative, axis=-1) - 0.5 * negative
    pairs = tf.reduce_sum(positive * below, axis=-1)
    return divide_or_nan(pairs, tf.reduce_sum(positive, -1) * tf.reduce_sum(negative, -1))


def auc_bound_of(counts: tf.Tensor) -> tf.Tensor:
    """Largest possible |AUC of the bins - AUC of the rows| = sum_b P_b N_b / (2 P N). [...]."""
    positive, negative = counts[..., 0], counts[..., 1]
    tied = 0.5 * tf.reduce_sum(positive * negative, axis=-1)
    return divide_or_nan(tied, tf.reduce_sum(positive, -1) * tf.reduce_sum(negative, -1))


def ks_of(counts: tf.Tensor) -> tf.Tensor:
    """KS = max(0, max over bin edges of TPR - FPR); NaN without both classes. Scalar."""
    totals = tf.reduce_sum(counts[:, :2], axis=0)
    rates = divide_or_nan(tf.cumsum(counts[:, :2], axis=0, reverse=True), totals)
    gap = tf.maximum(tf.reduce_max(rates[:, 0] - rates[:, 1]), 0.0)
    # Whether a maximum passes NaN on differs between devices, so undefined is decided by the sums.
    return tf.where(totals[0] * totals[1] > 0, gap, tf.constant(np.nan, gap.dtype))


def ks_bound_of(counts: tf.Tensor) -> tf.Tensor:
    """Largest possible KS of the rows - KS of the bins = max_b min(P_b / P, N_b / N). Scalar."""
    shares = divide_or_nan(counts[:, :2], tf.reduce_sum(counts[:, :2], axis=0))
    return tf.reduce_max(tf.reduce_min(shares, axis=1))


def pcoc_of(counts: tf.Tensor) -> tf.Tensor:
    """PCOC = sum of predictions / sum of positives; NaN without positives. Scalar."""
    return divide_or_nan(tf.reduce_sum(counts[:, 2]), tf.reduce_sum(counts[:, 0]))


def ece_of(counts: tf.Tensor, ece_bins: int) -> tf.Tensor:
    """ECE over `ece_bins` bins of equal mass, as `exact.ece` with each bin a tie. Scalar."""
    mass = counts[:, 0] + counts[:, 1]
    total = tf.reduce_sum(mass)
    middle = divide_or_nan(tf.cumsum(mass) - 0.5 * mass, total)
    middle = tf.where(tf.math.is_nan(middle), tf.zeros_like(middle), middle)
    coarse = tf.minimum(tf.cast(middle * ece_bins, tf.int32), ece_bins - 1)
    gap = tf.math.unsorted_segment_sum(counts[:, 2] - counts[:, 0], coarse, ece_bins)
    return divide_or_nan(tf.reduce_sum(tf.abs(gap)), total)
