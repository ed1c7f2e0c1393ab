"""ClickOnly: the conversion rate from clicked rows alone."""

from __future__ import annotations

from typing import Any, Literal

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Positive
from idefn_tf.losses import cross_entropy
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.entire_space_model import EntireSpaceModel


@register("method", "click_only")
class ClickOnly(EntireSpaceModel):
    """CTR on all exposures, CVR on the clicked ones; the ablation IdeFN-R of the IdeFN paper.

    Formula::

        L = mean_D phi(o, o^) + weight * (1/divisor) sum_O phi(r, r^)

    with divisor |D| ("exposures", IdeFN-R, then weight = gamma alpha = 24) or |O| ("clicks"). A
    label likelihood (`feedback`) weighs phi(r, r^) as published.

    Args:
        cvr_weight: weight of the CVR term; 24 is gamma alpha of the paper's setting.
        divisor: "exposures" or "clicks".
        **kwargs: of `EntireSpaceModel`.

    Raises:
        ValueError: if `divisor` is neither, or the weight is not positive.

    Source: Zhong et al., AAAI 2026, ablation IdeFN-R.

    Example:
        >>> from idefn_tf.models import ClickOnly
        >>> model = ClickOnly(features, MLP((8,)))
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'cvr_loss': 8.3178}
    """

    loss_names = ("ctr_loss", "cvr_loss")
    carries_feedback = True
    clicks_alone = True

    def __init__(
        self,
        *args: Any,
        cvr_weight: Positive = 24.0,
        divisor: Literal["exposures", "clicks"] = "exposures",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.cvr_weight, self.divisor = cvr_weight, divisor

    def compute_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns ctr_loss (divisor |D|) and cvr_loss (the chosen divisor)."""
        samples = self.samples(outputs, batch)
        mean = samples.mean_exposures if self.divisor == "exposures" else samples.mean_within
        cvr = samples.sampled(lambda r: cross_entropy(r, outputs.logits["cvr"]))
        return {
            "ctr_loss": batch.mean_exposures(cross_entropy(batch.click, outputs.logits["ctr"])),
            "cvr_loss": self.cvr_weight * mean(cvr, batch.click),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "cvr_weight": self.cvr_weight, "divisor": self.divisor}
