"""ESCM2-IPS: inverse propensity weighting beside ESMM's CTCVR loss."""

from __future__ import annotations

from typing import Any, Literal

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import OpenShare, Positive
from idefn_tf.losses import product_cross_entropy
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.methods.multi_ipw import MultiIPW

#: Least propensity of the published runs, where only the logarithm is guarded.
NISE_CODE_FLOOR = 1e-15


@register("method", "escm2_ips")
class ESCM2IPS(MultiIPW):
    """Entire Space Counterfactual Multi-task Model with inverse propensity scores.

    Formula::

        L = mean_D phi(o, o^) + cvr_weight * (1/|D|) sum_O w phi(r, r^)
            + ctcvr_weight * mean_D phi(o r, o^ r^)
        w = 1 / max(sg(o^), propensity_floor)

    All three divide by |D| (the second by the sum of the weights if `self_normalized`). The
    propensity carries a stop-gradient; the CTCVR term, as in ESMM, trains both towers. The paper
    puts the towers on MMoE (``trunk="mmoe"``) and finds small `cvr_weight` best (0.1 to 1).

    Args:
        cvr_weight: lambda_c; 1 in the published comparison, 0.1 in the paper's own range.
        ctcvr_weight: lambda_g.
        propensity_floor: least propensity divided by; default 0.05, or 1e-15 under "nise_code".
        compatibility: "nise_code" takes the floor of the published comparison's code.
        **kwargs: of `MultiIPW` and `EntireSpaceModel`.

    Raises:
        ValueError: if a weight is not positive, the floor is outside (0, 1) or `compatibility` is
            unknown.

    Source: Wang et al., SIGIR 2022 (arXiv 2204.05125); settings of Huang et al., RecSys 2024.

    Example:
        >>> from idefn_tf.models import ESCM2IPS
        >>> model = ESCM2IPS(features, MLP((8,)))
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'cvr_loss': 0.6931, 'ctcvr_loss': 0.5694}
    """

    loss_names = (*MultiIPW.loss_names, "ctcvr_loss")
    carries_feedback = True

    def __init__(
        self,
        *args: Any,
        ctcvr_weight: Positive = 1.0,
        propensity_floor: OpenShare | None = None,
        compatibility: Literal["nise_code"] | None = None,
        **kwargs: Any,
    ) -> None:
        if propensity_floor is None:
            propensity_floor = NISE_CODE_FLOOR if compatibility else 0.05
        super().__init__(*args, propensity_floor=propensity_floor, **kwargs)
        self.ctcvr_weight, self.compatibility = ctcvr_weight, compatibility

    def compute_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns `MultiIPW`'s terms and ctcvr_loss (divisor |D|)."""
        samples = self.samples(outputs, batch)
        ctr, cvr = outputs.logits["ctr"], outputs.logits["cvr"]
        ctcvr = samples.expected(lambda r: product_cross_entropy(batch.click * r, ctr, cvr))
        return {
            **super().compute_losses(outputs, batch),
            "ctcvr_loss": self.ctcvr_weight * samples.mean_exposures(ctcvr),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "ctcvr_weight": self.ctcvr_weight,
            "compatibility": self.compatibility,
        }
