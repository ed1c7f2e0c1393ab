"""Cross-entropies on logits: the phi of every method's formula, safe at any logit."""

from __future__ import annotations

import tensorflow as tf

from idefn_tf._registry import register


@register("function")
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


def log_product(ctr_logit: tf.Tensor, cvr_logit: tf.Tensor) -> tf.Tensor:
    """log(o^ r^), the logarithm of the CTCVR, from both logits [B]."""
    return tf.math.log_sigmoid(ctr_logit) + tf.math.log_sigmoid(cvr_logit)


def log1m_product(ctr_logit: tf.Tensor, cvr_logit: tf.Tensor) -> tf.Tensor:
    """log(1 - o^ r^) from both logits [B], exact at either end, and so is its gradient.

    Where o^ r^ is small, log1p(-o^ r^) keeps the digits; where it is near 1,
    1 - o^ r^ = (e^-a + e^-b + e^-(a + b)) o^ r^ with logits a and b does.
    """
    log_p = log_product(ctr_logit, cvr_logit)
    small = log_p < -0.6931472
    far = tf.math.log1p(-tf.exp(tf.where(small, log_p, -1.0)))
    # the branch that is not taken must have a finite gradient, too
    a, b = (tf.where(small, 1.0, logit) for logit in (ctr_logit, cvr_logit))
    near = tf.reduce_logsumexp(tf.stack([-a, -b, -a - b]), 0) + log_product(a, b)
    return tf.where(small, far, near)


def product_cross_entropy(
    label: tf.Tensor, ctr_logit: tf.Tensor, cvr_logit: tf.Tensor
) -> tf.Tensor:
    """phi(o r, o^ r^) of the CTCVR, in log space.

    A float32 product of two small probabilities loses digits; here log(o^ r^) is a sum of
    log-sigmoids, and log(1 - o^ r^) is computed as `log1m_product` says.

    Args:
        label: o r, float32 [B].
        ctr_logit: of o^, float32 [B].
        cvr_logit: of r^, float32 [B].

    Returns:
        float32 [B].
    """
    log_p = log_product(ctr_logit, cvr_logit)
    return -label * log_p - (1.0 - label) * log1m_product(ctr_logit, cvr_logit)


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
