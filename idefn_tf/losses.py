"""Cross-entropies on logits: the phi of every method's formula, safe at any logit."""

from __future__ import annotations

import tensorflow as tf


def cross_entropy(label: tf.Tensor, logit: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy phi(y, p) with p = sigmoid(logit).

    Formula: -y log p - (1 - y) log(1 - p), computed from the logit.

    Args:
        label: y in [0, 1], float32 [B].
        logit: float32 [B].

    Returns:
        float32 [B], natural-log units.
    """
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logit)


def log1m_exp(log_p: tf.Tensor) -> tf.Tensor:
    """log(1 - exp(log_p)) for log_p < 0, without loss of digits at either end."""
    # log_p -> 0 means 1 - p -> 0: keep it a float above zero
    log_p = tf.minimum(log_p, -1e-7)
    near_zero = tf.math.log(-tf.math.expm1(tf.maximum(log_p, -0.6931472)))
    far = tf.math.log1p(-tf.exp(tf.minimum(log_p, -0.6931472)))
    return tf.where(log_p > -0.6931472, near_zero, far)


def log_product(ctr_logit: tf.Tensor, cvr_logit: tf.Tensor) -> tf.Tensor:
    """log(o^ r^), the logarithm of the CTCVR, from both logits [B]."""
    return tf.math.log_sigmoid(ctr_logit) + tf.math.log_sigmoid(cvr_logit)


def product_cross_entropy(
    label: tf.Tensor, ctr_logit: tf.Tensor, cvr_logit: tf.Tensor
) -> tf.Tensor:
    """phi(o r, o^ r^) of the CTCVR, in log space.

    A float32 product of two small probabilities loses digits; here log(o^ r^) is a sum of
    log-sigmoids and log(1 - o^ r^) comes from it through expm1 and log1p.

    Args:
        label: o r, float32 [B].
        ctr_logit: of o^, float32 [B].
        cvr_logit: of r^, float32 [B].

    Returns:
        float32 [B].
    """
    log_p = log_product(ctr_logit, cvr_logit)
    return -label * log_p - (1.0 - label) * log1m_exp(log_p)


def entropy(logit: tf.Tensor) -> tf.Tensor:
    """Entropy H(p) of p = sigmoid(logit) [B]; its gradient in the logit is -logit p (1 - p)."""
    p = tf.sigmoid(logit)
    return tf.nn.softplus(logit) - p * logit


def inverse_probability(logit: tf.Tensor, floor: float) -> tf.Tensor:
    """1 / max(p, floor) with p = sigmoid(logit), from the logit: the weight of inverse propensity.

    Args:
        logit: of p, float32 [B]; pass ``-logit`` for 1 / max(1 - p, floor).
        floor: the least probability divided by, in (0, 1).

    Returns:
        float32 [B] in [1, 1/floor]; differentiable, so that a formula shows its stop-gradients.
    """
    # 1/p = 1 + exp(-logit); the inner minimum keeps the gradient finite where exp would overflow
    return tf.minimum(1.0 + tf.exp(tf.minimum(-logit, 80.0)), 1.0 / floor)
