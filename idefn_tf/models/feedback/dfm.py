"""DFM: silence is explained by a negative or by a delay that is learned beside the rate."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.models.feedback.headed import HeadedLikelihood
from idefn_tf.models.feedback.likelihood import (
    FIRST,
    LATE,
    REVISIT,
    Clicks,
    Weights,
    as_number,
    beside_a_certain_row,
)
from idefn_tf.schema import CONVERSION_DELAY, ELAPSED

#: |log| of the greatest hazard a day: mean delays between half a second and 450 years.
_LIMIT = 12.0


@register("feedback", "dfm")
class DFMFeedback(HeadedLikelihood):
    """Delayed Feedback Model: the likelihood of a delay and of silence.

    Formula, with l(x) the hazard a day, d the delay of a conversion, e the days of silence, W the
    window in which conversions count, p = r^ and all in days::

        converted  log p + log l - l d - log(1 - exp(-l W))
        silent     log(1 - p + p S(e)),     S(e) = (exp(-l e) - exp(-l W)) / (1 - exp(-l W))

    Chapelle's is W without end, S(e) = exp(-l e); labels here count conversions within the window
    alone, so the delay is cut off there and silence past it is certain. The gradient of the silent
    row in the logit is p - q with the posterior of a conversion that is still to come ::

        q = p S(e) / (1 - p + p S(e)) = sigmoid(s + log S(e))

    (Fisher's identity), hence a = q, b = 1 - q without gradient, and a = 1, b = 0 where a
    conversion is known. The hazard is an auxiliary head, exp of its bounded logit, and its term
    (`feedback_loss`) is minus the likelihood above at the model's own p. Everything is computed
    from logarithms, so that no logit gives an infinity.

    In a stream a first row weighs by its posterior, and late rows and second looks by their certain
    label: both alone and together they are stationary at the true rate if the second look is given
    to every click that has none of the late rows. Each is half a click beside unclicked rows.

    Args:
        window: W, days; default that of the schema.
        **kwargs: of `HeadedLikelihood` (units, head_weight).

    Raises:
        ValueError: if a model is made without a window.

    Source: Chapelle, KDD 2014 (10.1145/2623330.2623634): the delay Eq. 5, the two likelihoods Eq. 6
    and 9, their sum Eq. 15 with its gradients Eq. 16 and 17. q is the posterior of the expectation
    step, Eq. 10 divided by Eq. 9.

    Example:
        >>> from idefn_tf.models import feedback
        >>> heads = {"hazard": tf.zeros(3)}  # one a day
        >>> labels = {"elapsed": tf.constant([0.0, 1, 7]), "conversion_delay": tf.zeros(3)}
        >>> clicks = feedback.Clicks(tf.zeros(3), tf.zeros(3), labels, heads)
        >>> found = feedback.DFMFeedback(window=7).label_weights(clicks)
        >>> found.positive.numpy().astype(float).round(4).tolist()
        [0.5, 0.2686, 0.0]
    """

    labels = (ELAPSED, CONVERSION_DELAY)
    arrivals = (FIRST, LATE, REVISIT)
    heads = {"hazard": 0.0}

    def label_weights(self, clicks: Clicks) -> Weights:
        """Returns the posterior of a conversion, and of none."""
        silent_log, silent = self._silence(clicks, self._log_hazard(clicks.heads["hazard"]))
        still = tf.where(silent > 0.0, tf.sigmoid(clicks.logit + silent_log), 0.0)
        positive = tf.where(clicks.conversion > 0.0, 1.0, still)
        return beside_a_certain_row(clicks, positive, 1.0 - positive)

    def head_losses(
        self, clicks: Clicks, logits: Mapping[str, tf.Tensor]
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Returns minus the log-likelihood of delays and of silence, in the hazard."""
        log_hazard = self._log_hazard(logits["hazard"])
        hazard = tf.exp(log_hazard)
        cut_off = _log1m_exp(hazard * self.days)
        of_delay = hazard * clicks.delay - log_hazard + cut_off
        silent_log, silent = self._silence(clicks, log_hazard)
        s = clicks.logit
        of_silence = tf.nn.softplus(s) - tf.nn.softplus(s + silent_log)
        loss = clicks.conversion * of_delay + silent * of_silence
        return [(loss, 1.0 - clicks.arrived_as(REVISIT))]

    @staticmethod
    def _log_hazard(logit: tf.Tensor) -> tf.Tensor:
        """Returns log l, bounded and with a gradient everywhere."""
        return _LIMIT * tf.tanh(logit / _LIMIT)

    def _silence(self, clicks: Clicks, log_hazard: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns log S(e) and 1 where an open window is silent, 0 and 0 elsewhere."""
        silent = (1.0 - clicks.conversion) * as_number(clicks.elapsed < self.days)
        elapsed = tf.where(silent > 0.0, clicks.elapsed, 0.0)  # a finite gradient elsewhere, too
        hazard = tf.exp(log_hazard)
        log_share = _log1m_exp(hazard * (self.days - elapsed)) - _log1m_exp(hazard * self.days)
        return tf.where(silent > 0.0, log_share - hazard * elapsed, 0.0), silent


def _log1m_exp(x: tf.Tensor) -> tf.Tensor:
    """log(1 - exp(-x)) of x above 0."""
    return tf.math.log(-tf.math.expm1(-x))
