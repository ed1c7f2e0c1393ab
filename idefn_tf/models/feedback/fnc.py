"""FNC: duplicates are learned as they come, and the prediction is put right afterwards."""

from __future__ import annotations

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.models.feedback.likelihood import Clicks, LabelLikelihood, Weights


@register("feedback", "fnc")
class FNCFeedback(LabelLikelihood):
    """Fake Negative Calibration: no weights, but a correction of what is predicted.

    Formula. Every click is a negative sample and once more a positive when it converts, each of
    weight 1. The tower then learns q = p / (1 + p), and the rate is ::

        p = q / (1 - q) = exp(s),       at most 1

    with s the tower's logit. One row a click that has converted is both samples: a = 1, b = 1.
    Metrics, scores and exports show p. Stationary at the true rate after this correction once
    every conversion has come; meant for streams, as `fnw` is.

    Only for methods whose clicked rows stand alone (click_only, mmoe, ple, multi_ipw): beside
    unclicked rows, or in a product, duplicates shift more than this corrects.

    Source: Ktena et al., RecSys 2019 (arXiv 1907.06558), "Fake negative calibration".

    Example:
        >>> from idefn_tf.models import feedback
        >>> rate = feedback.get("fnc").corrected(tf.math.log([0.25, 1.5]))
        >>> rate.numpy().astype(float).round(4).tolist()  # a tower that says .2 means .25
        [0.25, 1.0]
    """

    corrects = True

    def label_weights(self, clicks: Clicks) -> Weights:
        """Returns y and 1: a converted click is a negative sample, too."""
        return Weights(clicks.conversion, tf.ones_like(clicks.conversion))

    def corrected(self, logit: tf.Tensor) -> tf.Tensor:
        """Returns exp(s), at most 1."""
        return tf.exp(tf.minimum(logit, 0.0))
