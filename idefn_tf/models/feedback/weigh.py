"""Weighing: young silent clicks count as much as conversions would have arrived by now."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Positive, PositiveOrNone
from idefn_tf.models.feedback.likelihood import Clicks, Weights
from idefn_tf.models.feedback.windowed import WindowedLikelihood
from idefn_tf.schema import ELAPSED


@register("feedback", "weigh")
class WeighFeedback(WindowedLikelihood):
    """Silent clicks weigh F(e), the share of conversions that have arrived after e days.

    Formula, with an exponential delay of mean m that is cut off at the window W::

        a = y        b = (1 - y) F(e)        F(e) = (1 - exp(-e/m)) / (1 - exp(-W/m)), 1 at e >= W

    A control between `observed` and `wait`: it forgets no row, and believes silence as far as
    silence can be believed. Its rate has the odds p / (1 - p F) where the truth has p / (1 - p):
    close at small rates, not exact. The mean delay is that of all rows; `dfm` learns one for each.

    In a stream a first row has hardly any weight and no second one would make up for it, so rows
    with an arrival are refused.

    Args:
        mean_delay: m, days from a click to its conversion.
        window: W, days; default that of the schema.

    Raises:
        ValueError: if a model is made without a window, or rows carry an arrival.

    Source: the exponential delay is Eq. 5 of Chapelle, KDD 2014. A weighted loss is Eq. 6 of Yasui
    et al., WWW 2020 (arXiv 2002.02068); its exact weights (Eq. 8 and 9) are learned, and raise
    positives, too.

    Example:
        >>> from idefn_tf.models import feedback
        >>> clicks = feedback.Clicks(
        ...     tf.zeros(3), tf.zeros(3), {"elapsed": tf.constant([0.0, 1.0, 7.0])}
        ... )
        >>> found = feedback.WeighFeedback(mean_delay=1, window=7).label_weights(clicks)
        >>> found.negative.numpy().astype(float).round(4).tolist()  # (1 - 1/e) / (1 - e^-7)
        [0.0, 0.6327, 1.0]
    """

    labels = (ELAPSED,)
    arrivals = ()

    def __init__(
        self, mean_delay: Positive = 1.0, window: PositiveOrNone = None, **kwargs: Any
    ) -> None:
        super().__init__(window=window, **kwargs)
        self.mean_delay = float(mean_delay)

    def label_weights(self, clicks: Clicks) -> Weights:
        """Returns y and (1 - y) F(e)."""
        if clicks.streamed:
            raise ValueError(
                "arrival: must be left out for feedback 'weigh', which weighs one row a click, "
                "received it among the labels;\nchoose wait, es_dfm or defer for a stream"
            )
        rate = 1.0 / self.mean_delay
        arrived = tf.math.expm1(-rate * clicks.elapsed) / tf.math.expm1(-rate * self.days)
        share = tf.where(self.closed(clicks) > 0.0, 1.0, arrived)
        return Weights(clicks.conversion, (1.0 - clicks.conversion) * share)

    def get_config(self) -> dict[str, Any]:
        """Returns the settings."""
        return {**super().get_config(), "mean_delay": self.mean_delay}
