"""Waiting: clicks count once their attribution window is over."""

from __future__ import annotations

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.models.feedback.likelihood import FIRST, LATE, REVISIT, Clicks, Weights
from idefn_tf.models.feedback.windowed import WindowedLikelihood
from idefn_tf.schema import ELAPSED


@register("feedback", "wait")
class WaitFeedback(WindowedLikelihood):
    """Labels are waited for: a = y, b = 1 - y where the window is over, 0 and 0 elsewhere.

    With e the days since the click and W the window, a row counts where e >= W. Converted rows of
    an open window are left out, too: they alone would lift the rate. The rate is right, and as old
    as the window is long.

    In a stream a click counts once, when its label is certain: a conversion when it comes (first
    or late), a negative at its second look.

    For methods that learn from unclicked rows too, fewer clicks count beside all of those, and the
    rate is too low by that. `labels.immature: drop` in the schema leaves out both.

    Args:
        window: W, days; default that of the schema.

    Raises:
        ValueError: if a model is made without a window.

    Source: the control of Chapelle, KDD 2014, and of the papers since.

    Example:
        >>> from idefn_tf.models import feedback
        >>> clicks = feedback.Clicks(
        ...     tf.constant([1.0, 1.0, 0.0]), tf.zeros(3), {"elapsed": tf.constant([8.0, 2.0, 7.0])}
        ... )
        >>> found = feedback.WaitFeedback(window=7).label_weights(clicks)
        >>> found.positive.numpy().tolist(), found.negative.numpy().tolist()
        ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0])
    """

    labels = (ELAPSED,)
    arrivals = (FIRST, LATE, REVISIT)

    def label_weights(self, clicks: Clicks) -> Weights:
        """Returns y and 1 - y of rows whose label is final."""
        y, closed = clicks.conversion, self.closed(clicks)
        if clicks.streamed:
            once = 1.0 - clicks.arrived_as(REVISIT)  # a conversion has counted by then
            return Weights(y * once, (1.0 - y) * tf.maximum(closed, 1.0 - once))
        return Weights(y * closed, (1.0 - y) * closed)
