"""NISE: unclicked rows take the model's own prediction as their soft label."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import NonNegative, Positive
from idefn_tf.losses import cross_entropy, entropy
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.entire_space_model import EntireSpaceModel


@register("method", "nise")
class NISE(EntireSpaceModel):
    """Non-click samples Improved Semi-supErvised conversion rate prediction.

    Formula::

        L = L_CTR + w L_CVR,   L_CTR = mean_D phi(o, o^)
        L_CVR = (1/|D|) sum_O phi(r, r^) + (1/|D|) sum_N phi(r^, r^)
        w = scale * min(L_CTR / L_CVR, cap), a constant of the batch (stop-gradient)

    Both sums divide by |D|. phi(r^, r^) is the entropy of r^ and its gradient runs through both
    arguments: -s r^ (1 - r^) in the logit s, which pushes r^ away from one half. With a
    stop-gradient on the label the term would have no gradient at all, so the entropy is written
    out here. Where L_CVR vanishes w is scale * cap.

    The paper's ablations: ``ctr_weight=0`` with ``adaptive=False`` (NISE-1, no CTR task),
    ``unclicked_weight=0`` (NISE-2, clicked rows only), ``adaptive=False`` (NISE-3, w = scale).

    Args:
        scale: a_N; 1 in the published runs.
        cap: b_N, the greatest L_CTR / L_CVR; 50 in the published runs.
        adaptive: whether w follows the losses; otherwise it is `scale`.
        ctr_weight: weight of the CTR loss in L (not within w).
        unclicked_weight: weight of the entropy within L_CVR.
        **kwargs: of `EntireSpaceModel`.

    Raises:
        ValueError: if `scale` or `cap` is not positive or a weight is negative.

    Source: Huang et al., RecSys 2024 (10.1145/3640457.3688151), Eq. 8-11 and Algorithm 1.

    Example:
        >>> from idefn_tf.models import NISE
        >>> model = NISE(features, MLP((8,)))
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'cvr_clicked_loss': 0.3827, 'cvr_unclicked_loss': 0.3105}
    """

    loss_names = ("ctr_loss", "cvr_clicked_loss", "cvr_unclicked_loss")
    monitors = {"nise_weight": "mean"}
    carries_feedback = True

    def __init__(
        self,
        *args: Any,
        scale: Positive = 1.0,
        cap: Positive = 50.0,
        adaptive: bool = True,
        ctr_weight: NonNegative = 1.0,
        unclicked_weight: NonNegative = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        # a config may write whole numbers
        self.scale, self.cap, self.adaptive = float(scale), float(cap), adaptive
        self.ctr_weight, self.unclicked_weight = ctr_weight, unclicked_weight

    def compute_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the CTR loss and the two parts of w L_CVR, all of divisor |D|."""
        cvr = outputs.logits["cvr"]
        ctr = batch.mean_exposures(cross_entropy(batch.click, outputs.logits["ctr"]))
        samples = self.samples(outputs, batch)
        values = samples.expected(lambda r: cross_entropy(r, cvr))
        clicked = samples.mean_exposures(values, batch.click)
        unclicked = self.unclicked_weight * batch.mean_exposures(entropy(cvr), batch.unclicked)
        weight = tf.stop_gradient(self.weight(ctr, clicked + unclicked))
        outputs.monitor["nise_weight"] = weight
        return {
            "ctr_loss": self.ctr_weight * ctr,
            "cvr_clicked_loss": weight * clicked,
            "cvr_unclicked_loss": weight * unclicked,
        }

    def weight(self, ctr_loss: tf.Tensor, cvr_loss: tf.Tensor) -> tf.Tensor:
        """Returns w of the batch's two losses, a scalar."""
        if not self.adaptive:
            return tf.constant(self.scale, tf.float32)
        capped = ctr_loss >= self.cap * cvr_loss  # also where both vanish
        return self.scale * tf.where(capped, self.cap, tf.math.divide_no_nan(ctr_loss, cvr_loss))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "scale": self.scale,
            "cap": self.cap,
            "adaptive": self.adaptive,
            "ctr_weight": self.ctr_weight,
            "unclicked_weight": self.unclicked_weight,
        }
