"""FNW: every click is a negative at once, and a positive beside it when it converts."""

from __future__ import annotations

from idefn_tf._registry import register
from idefn_tf.models.feedback.likelihood import Clicks, LabelLikelihood, Weights


@register("feedback", "fnw")
class FNWFeedback(LabelLikelihood):
    """Fake Negative Weighted loss: importance weights from the model's own prediction.

    Formula, with p = sg(r^), the model's own rate after a click. Every click enters as a negative
    and once more as a positive when it converts, so of 1 + p samples one is a negative::

        q(1) = p / (1 + p)        q(0) = 1 / (1 + p)
        positive sample  p / q(1) = 1 + p        negative sample  (1 - p) / q(0) = (1 - p) (1 + p)

    One row a click that has converted is both samples: a = 1 + p and b = (1 - p) (1 + p). As shares
    of one click, over the 1 + p samples: a = y, b = 1 - p.

    Stationary at the true rate once every conversion has come. Meant for streams: on a table of
    one row a click, known at one moment, conversions that are still to come are missing for good,
    and the stationary rate is that of `observed`.

    Needs no label beside click and conversion.

    Source: Ktena et al., RecSys 2019 (arXiv 1907.06558), "Fake negative weighted".

    Example:
        >>> from idefn_tf.models import feedback
        >>> clicks = feedback.Clicks(tf.constant([1.0, 0.0]), tf.constant([-1.0, -1.0]), {})
        >>> a, b, samples = feedback.get("fnw").label_weights(clicks)  # at p = .2689
        >>> (samples * a).numpy().astype(float).round(4).tolist()
        [1.2689, 0.0]
        >>> (samples * b).numpy().astype(float).round(4).tolist()
        [0.9277, 0.9277]
    """

    def label_weights(self, clicks: Clicks) -> Weights:
        """Returns y and 1 - p, of 1 + p samples."""
        p = clicks.rate
        return Weights(clicks.conversion, 1.0 - p, 1.0 + p)
