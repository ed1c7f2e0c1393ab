"""Multi-IPW: the CVR from clicked rows, weighted by the inverse of their click propensity."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import OpenShare, Positive
from idefn_tf.losses import cross_entropy, inverse_probability
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.entire_space_model import EntireSpaceModel


@register("method", "multi_ipw")
class MultiIPW(EntireSpaceModel):
    """Multi-task inverse propensity weighting; the CTR tower is the propensity model.

    Formula::

        L = mean_D phi(o, o^) + cvr_weight * (1/|D|) sum_O w phi(r, r^)
        w = 1 / max(sg(o^), propensity_floor)

    The sum divides by |D|, or by the sum of the weights w over O if `self_normalized`. The
    propensity carries a stop-gradient sg: the CVR term leaves the CTR tower alone. A label
    likelihood (`feedback`) weighs phi(r, r^) as published.

    Args:
        cvr_weight: weight of the CVR term.
        propensity_floor: least propensity divided by, in (0, 1); the share of clicked rows below
            it is reported as ``clipped_share``.
        self_normalized: whether the weights are scaled to sum to 1.
        **kwargs: of `EntireSpaceModel`.

    Raises:
        ValueError: if the weight is not positive or the floor is outside (0, 1).

    Source: Zhang et al., WWW 2020 (arXiv 1910.09337).

    Example:
        >>> from idefn_tf.models import MultiIPW
        >>> model = MultiIPW(features, MLP((8,)))
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'cvr_loss': 0.6931}
    """

    loss_names: tuple[str, ...] = ("ctr_loss", "cvr_loss")
    monitors = {"clipped_share": "mean"}
    carries_feedback = True
    clicks_alone = True

    def __init__(
        self,
        *args: Any,
        cvr_weight: Positive = 1.0,
        propensity_floor: OpenShare = 0.05,
        self_normalized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.cvr_weight, self.propensity_floor = cvr_weight, propensity_floor
        self.self_normalized = self_normalized

    def compute_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns ctr_loss (divisor |D|) and cvr_loss (|D| or the sum of the weights)."""
        ctr, cvr = outputs.logits["ctr"], outputs.logits["cvr"]
        weight = tf.stop_gradient(inverse_probability(ctr, self.propensity_floor))
        clipped = tf.cast(outputs.probability("ctr") < self.propensity_floor, tf.float32)
        outputs.monitor["clipped_share"] = batch.mean_within(clipped, batch.click)
        samples = self.samples(outputs, batch)
        mean = samples.mean_within if self.self_normalized else samples.mean_exposures
        values = samples.sampled(lambda r: cross_entropy(r, cvr))
        conversion = mean(values, batch.click * weight)
        return {
            "ctr_loss": batch.mean_exposures(cross_entropy(batch.click, ctr)),
            "cvr_loss": self.cvr_weight * conversion,
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "cvr_weight": self.cvr_weight,
            "propensity_floor": self.propensity_floor,
            "self_normalized": self.self_normalized,
        }
