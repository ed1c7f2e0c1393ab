"""Observed labels: what is not known yet counts as a negative; the default."""

from __future__ import annotations

from idefn_tf._registry import register
from idefn_tf.models.feedback.likelihood import Clicks, LabelLikelihood, Weights


@register("feedback", "observed")
class ObservedFeedback(LabelLikelihood):
    """The label as it is known: a = y, b = 1 - y.

    A control, and what every model did before there were others. A click whose conversion is still
    to come is a negative, so the rate is too low by the share that has not arrived. In a stream
    every click is a negative first, and its late conversion a positive beside it: the rate is then
    p / (1 + p).

    Source: the cross-entropy of every method; the control "vanilla" of the papers on delayed
    feedback.

    Example:
        >>> from idefn_tf.models import feedback
        >>> feedback.get(None).labels, type(feedback.get(None)).__name__
        ((), 'ObservedFeedback')
    """

    def label_weights(self, clicks: Clicks) -> Weights | None:
        """Returns y and 1 - y, of rows that stand for one sample each as they are."""
        if not clicks.streamed:
            return None
        return Weights(clicks.conversion, 1.0 - clicks.conversion)
