"""Oracle labels: the control that is told every label before it is known."""

from __future__ import annotations

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.models.feedback.likelihood import FIRST, Clicks, LabelLikelihood, Weights
from idefn_tf.schema import CONVERSION_FINAL


@register("feedback", "oracle")
class OracleFeedback(LabelLikelihood):
    """The final label y*: a = y*, b = 1 - y*.

    The ceiling of every correction, on logs that are long over; never a method to deploy. Batches
    carry the label ``conversion_final``. In a stream the first row of a click is its only one.

    Source: the upper bound of the papers on delayed feedback, such as Yang et al., AAAI 2021
    (arXiv 2012.03245).

    Example:
        >>> from idefn_tf.models import feedback
        >>> y, final = tf.constant([0.0, 0.0]), tf.constant([1.0, 0.0])
        >>> clicks = feedback.Clicks(y, tf.zeros(2), {"conversion_final": final})
        >>> feedback.get("oracle").label_weights(clicks).positive.numpy().tolist()
        [1.0, 0.0]
    """

    labels = (CONVERSION_FINAL,)
    arrivals = (FIRST,)

    def known(self, clicks: Clicks) -> tf.Tensor:
        """Returns the final conversions."""
        return clicks.final

    def label_weights(self, clicks: Clicks) -> Weights:
        """Returns y* and 1 - y*."""
        return Weights(clicks.final, 1.0 - clicks.final)
