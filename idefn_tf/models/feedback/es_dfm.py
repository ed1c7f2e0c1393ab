"""ES-DFM: a click is looked at after a short wait; what converts later comes again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import NonNegative, PositiveOrNone
from idefn_tf.losses import cross_entropy
from idefn_tf.models.feedback.headed import HeadedLikelihood
from idefn_tf.models.feedback.likelihood import FIRST, Clicks, Weights, as_number
from idefn_tf.schema import CONVERSION_DELAY, ELAPSED


@register("feedback", "es_dfm")
class ESDFMFeedback(HeadedLikelihood):
    """Elapsed-time Sampling Delayed Feedback Model.

    Formula. A click becomes a sample when w days are over: a positive if it has converted by then,
    else a negative, and once more a positive if it converts later. With p_dp the probability of
    such a delayed positive and p_rn that of a real negative among the negative samples::

        positive sample  1 + p_dp        negative sample  (1 + p_dp) p_rn

    Both are auxiliary heads, and their weights carry no gradient. A delayed positive of one row a
    click is both samples. As shares of one click, over the 1 + p_dp samples: a positive sample 1,
    a negative one p_rn. Rows younger than w are no sample yet.

    The heads learn, each by its cross-entropy, from clicks whose window is over, for of these the
    kind is known: p_dp from all of them, p_rn from those that were not positive after w. A log
    without closed windows leaves them at what they start with, p_dp .05 and p_rn .95: pretrain on
    older days first, as the authors do.

    Args:
        wait: w, days; the default is a quarter of an hour.
        window: of the attribution, days; default that of the schema.
        **kwargs: of `HeadedLikelihood` (units, head_weight).

    Raises:
        ValueError: if a model is made without a window.

    Source: Yang et al., AAAI 2021 (arXiv 2012.03245), "Importance weight of ES-DFM": the loss is
    Eq. 1 of the supplement, its stationary point Eq. 9 there and Eq. 18 of the paper. The authors'
    heads are two networks of the size of the model, trained before it.

    Example:
        >>> from idefn_tf.models import feedback
        >>> heads = {"delayed_positive": tf.fill([3], -1e9), "real_negative": tf.fill([3], 1e9)}
        >>> labels = {"elapsed": tf.fill([3], 9.0), "conversion_delay": tf.constant([0.01, 2, 0])}
        >>> clicks = feedback.Clicks(tf.constant([1.0, 1.0, 0.0]), tf.zeros(3), labels, heads)
        >>> a, b, samples = feedback.ESDFMFeedback(wait=0.1, window=7).label_weights(clicks)
        >>> a.numpy().tolist(), b.numpy().tolist()  # the second is a negative first
        ([1.0, 1.0, 0.0], [0.0, 1.0, 1.0])
    """

    labels = (ELAPSED, CONVERSION_DELAY)
    heads = {"delayed_positive": -3.0, "real_negative": 3.0}
    learns_in_streams = False

    def __init__(
        self, wait: NonNegative = 1.0 / 96.0, window: PositiveOrNone = None, **kwargs: Any
    ) -> None:
        super().__init__(window=window, **kwargs)
        self.wait = float(wait)

    def immediate(self, clicks: Clicks) -> tf.Tensor:
        """1 where the conversion came within the wait."""
        return clicks.conversion * as_number(clicks.delay <= self.wait)

    def label_weights(self, clicks: Clicks) -> Weights:
        """Returns the samples' weights, of 1 + p_dp samples."""
        sampled = as_number(clicks.elapsed >= self.wait)
        negative = tf.sigmoid(clicks.heads["real_negative"])
        delayed = tf.sigmoid(clicks.heads["delayed_positive"])
        return Weights(
            clicks.conversion * sampled,
            (1.0 - self.immediate(clicks)) * negative * sampled,
            1.0 + delayed,
        )

    def head_losses(
        self, clicks: Clicks, logits: Mapping[str, tf.Tensor]
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Returns the heads' cross-entropies on clicks whose window is over."""
        y, immediate = clicks.conversion, self.immediate(clicks)
        known = self.closed(clicks) * clicks.arrived_as(FIRST)
        delayed = cross_entropy(y - immediate, logits["delayed_positive"])
        negative = cross_entropy(1.0 - y, logits["real_negative"])
        return [(delayed, known), (negative, known * (1.0 - immediate))]

    def get_config(self) -> dict[str, Any]:
        """Returns the settings."""
        return {**super().get_config(), "wait": self.wait}
