"""DEFER: every click comes twice, once early and once with its certain label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import NonNegative, PositiveOrNone
from idefn_tf.losses import cross_entropy
from idefn_tf.models.feedback.headed import HeadedLikelihood
from idefn_tf.models.feedback.likelihood import FIRST, LATE, REVISIT, Clicks, Weights, as_number
from idefn_tf.schema import CONVERSION_DELAY, ELAPSED

#: The least divisor.
_LEAST = 1e-20


@register("feedback", "defer")
class DEFERFeedback(HeadedLikelihood):
    """DElayed FEedback modeling with Real negatives.

    Formula. A click is a sample when w days are over, by what is known then, and a second one by
    its certain label: a delayed positive when it converts, every other click when its window is
    over. So features are distributed as they are, and with p = sg(r^) and the probability p_dp of
    a delayed positive::

        positive sample  p / (p - p_dp / 2)        negative sample  (1 - p) / (1 - p + p_dp / 2)

    p_dp is an auxiliary head, at most p where it is used, so that the first is within 1 and 2. One
    row a click stands for the samples that have come by now. As shares of one click each sample
    counts half.

    The head learns by its cross-entropy from clicks whose kind is known: one row a click with its
    window over; in a stream late rows and second looks.

    Args:
        wait: w, days; the default is a quarter of an hour.
        window: of the attribution, days; default that of the schema.
        **kwargs: of `HeadedLikelihood` (units, head_weight).

    Raises:
        ValueError: if a model is made without a window.

    Source: Gu et al., KDD 2021 (arXiv 2104.14121), "Importance sampling".

    Example:
        >>> from idefn_tf.models import feedback
        >>> heads = {"delayed_positive": tf.fill([3], -1.0)}  # p_dp = .2689
        >>> delay = tf.constant([0.01, 0.0, 0.0])
        >>> labels = {"elapsed": tf.constant([9.0, 1.0, 9.0]), "conversion_delay": delay}
        >>> clicks = feedback.Clicks(tf.constant([1.0, 0.0, 0.0]), tf.zeros(3), labels, heads)
        >>> a, b, samples = feedback.DEFERFeedback(wait=0.1, window=7).label_weights(clicks)
        >>> (samples * a).numpy().astype(float).round(4).tolist()  # twice .5 / (.5 - .1345)
        [2.7358, 0.0, 0.0]
        >>> (samples * b).numpy().astype(float).round(4).tolist()  # .5 / (.5 + .1345) once, twice
        [0.0, 0.7881, 1.5761]
    """

    labels = (ELAPSED, CONVERSION_DELAY)
    arrivals = (FIRST, LATE, REVISIT)
    heads = {"delayed_positive": -3.0}

    def __init__(
        self, wait: NonNegative = 1.0 / 96.0, window: PositiveOrNone = None, **kwargs: Any
    ) -> None:
        super().__init__(window=window, **kwargs)
        self.wait = float(wait)

    def label_weights(self, clicks: Clicks) -> Weights:
        """Returns the weights of the samples that have come, of two samples."""
        y, p = clicks.conversion, clicks.rate
        immediate = y * as_number(clicks.delay <= self.wait)
        delayed = tf.minimum(tf.sigmoid(clicks.heads["delayed_positive"]), p)
        of_positive = p / tf.maximum(p - 0.5 * delayed, _LEAST)
        of_negative = (1.0 - p) / tf.maximum(1.0 - p + 0.5 * delayed, _LEAST)
        early = as_number(clicks.elapsed >= self.wait)
        certain = tf.maximum(self.closed(clicks), y - immediate) * early
        if clicks.streamed:
            early = clicks.arrived_as(FIRST)
            certain = clicks.arrived_as(LATE) + clicks.arrived_as(REVISIT)
        positive = early * immediate + certain * y
        negative = early * (1.0 - immediate) + certain * (1.0 - y)
        two = tf.fill(tf.shape(p), 2.0)
        return Weights(0.5 * of_positive * positive, 0.5 * of_negative * negative, two)

    def head_losses(
        self, clicks: Clicks, logits: Mapping[str, tf.Tensor]
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Returns the head's cross-entropy on clicks whose kind is known."""
        known = self.closed(clicks)
        if clicks.streamed:
            known = clicks.arrived_as(LATE) + clicks.arrived_as(REVISIT)
        label = clicks.conversion * as_number(clicks.delay > self.wait)
        return [(cross_entropy(label, logits["delayed_positive"]), known)]

    def get_config(self) -> dict[str, Any]:
        """Returns the settings."""
        return {**super().get_config(), "wait": self.wait}
