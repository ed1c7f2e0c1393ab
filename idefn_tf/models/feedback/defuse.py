"""DEFUSE: importance weights for four kinds of samples, fake negatives corrected to positives."""

from __future__ import annotations

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.models.feedback.es_dfm import ESDFMFeedback
from idefn_tf.models.feedback.likelihood import LATE, Clicks, Weights, as_number


@register("feedback", "defuse")
class DEFUSEFeedback(ESDFMFeedback):
    """DElayed Feedback modeling with UnbiaSed Estimation.

    Formula, with the samples and heads of `es_dfm`: an observed negative is a fake one with
    probability z = 1 - p_rn, and then counts as a positive::

        immediate positive  1 + p_dp              fake negative  z p_dp, as a positive
        delayed positive    1                     real negative  (1 - z) (1 + p_dp)

    A delayed conversion is a sample twice, as a fake negative and as a delayed positive, and the
    two weights are 1 + p_dp together: in expectation positives weigh (1 + p_dp) p and negatives
    (1 + p_dp) (1 - p). As shares of one click, over the 1 + p_dp samples, all are divided by that.

    Args:
        wait: days until a click is a sample; the default is a quarter of an hour.
        window: of the attribution, days; default that of the schema.
        **kwargs: of `HeadedLikelihood` (units, head_weight).

    Raises:
        ValueError: if a model is made without a window.

    Source: Chen et al., WWW 2022 (arXiv 2202.06472), the unbiased loss by label correction. The
    authors' code gives immediate and delayed positives the sum of both weights; here each has its
    own, as the derivation wants. Their second model (Bi-DEFUSE) is not here.

    Example:
        >>> from idefn_tf.models import feedback
        >>> heads = {"delayed_positive": tf.zeros(2), "real_negative": tf.zeros(2)}  # both one half
        >>> labels = {"elapsed": tf.fill([2], 9.0), "conversion_delay": tf.constant([0.01, 0.0])}
        >>> clicks = feedback.Clicks(tf.constant([1.0, 0.0]), tf.zeros(2), labels, heads)
        >>> a, b, samples = feedback.DEFUSEFeedback(wait=0.1, window=7).label_weights(clicks)
        >>> (samples * a).numpy().tolist(), (samples * b).numpy().tolist()
        ([1.5, 0.25], [0.0, 0.75])
    """

    def label_weights(self, clicks: Clicks) -> Weights:
        """Returns the samples' weights, of 1 + p_dp samples."""
        sampled = as_number(clicks.elapsed >= self.wait)
        immediate = self.immediate(clicks)
        real = tf.sigmoid(clicks.heads["real_negative"])
        fake = tf.sigmoid(-clicks.heads["real_negative"])
        delayed = tf.sigmoid(clicks.heads["delayed_positive"])
        negative = (1.0 - immediate) * (1.0 - clicks.arrived_as(LATE))  # samples observed as such
        positive = clicks.conversion - immediate
        share = (positive + negative * fake * delayed) / (1.0 + delayed)
        return Weights(sampled * (immediate + share), sampled * negative * real, 1.0 + delayed)
