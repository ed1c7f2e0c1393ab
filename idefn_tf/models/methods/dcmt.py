"""DCMT: a second CVR tower learns the opposite label on unclicked rows."""

from __future__ import annotations

from typing import Any, Literal

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import NonNegative, OpenShare
from idefn_tf.losses import cross_entropy, inverse_probability, product_cross_entropy
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.entire_space_model import EntireSpaceModel
from idefn_tf.models.methods.escm2_ips import NISE_CODE_FLOOR


@register("method", "dcmt")
class DCMT(EntireSpaceModel):
    """Direct Counterfactual Multi-Task learning.

    Formula, with r*^ the counterfactual tower's output, whose label 1 - r is 1 on unclicked rows::

        L = mean_D phi(o, o^) + mean_D phi(o r, o^ r^)
            + (1/|D|) sum_O phi(r, r^) / max(sg(o^), floor)
            + (1/|D|) sum_N phi(1 - r, r*^) / max(1 - sg(o^), floor)
            + prior_weight * mean_D |1 - (r^ + r*^)|

    Every sum divides by |D|; with `self_normalized` the third and fourth divide by the sum of their
    weights over O and over N instead. Both propensities carry stop-gradients; the prior trains both
    CVR towers.

    Args:
        prior_weight: lambda_1 of the last term.
        propensity_floor: of o^ and of 1 - o^; default 0.05, or 1e-15 under "nise_code".
        self_normalized: the paper's variant of the weights.
        compatibility: "nise_code" takes the floor of the published comparison's code.
        **kwargs: of `EntireSpaceModel`.

    Raises:
        ValueError: if `prior_weight` is negative, the floor is outside (0, 1) or `compatibility` is
            unknown.

    Source: Zhu et al., ICDE 2023 (arXiv 2302.06141); losses of Huang et al., RecSys 2024, Eq. 6.
    The paper's towers share a wide-and-deep trunk; here only the embeddings are shared, as in the
    published comparison.

    Example:
        >>> from idefn_tf.models import DCMT
        >>> model = DCMT(features, MLP((8,)))
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'cvr_loss': 0.6931, 'counterfactual_loss': 0.6931, 'prior_loss':
        0.0001, 'ctcvr_loss': 0.5694}
    """

    tasks = ("ctr", "cvr", "counterfactual")
    loss_names = ("ctr_loss", "cvr_loss", "counterfactual_loss", "prior_loss", "ctcvr_loss")
    carries_feedback = True

    def __init__(
        self,
        *args: Any,
        prior_weight: NonNegative = 1e-3,
        propensity_floor: OpenShare | None = None,
        self_normalized: bool = False,
        compatibility: Literal["nise_code"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if propensity_floor is None:
            propensity_floor = NISE_CODE_FLOOR if compatibility else 0.05
        self.prior_weight, self.propensity_floor = prior_weight, propensity_floor
        self.self_normalized, self.compatibility = self_normalized, compatibility

    def compute_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the five terms, in the order of the formula's lines."""
        ctr, cvr = outputs.logits["ctr"], outputs.logits["cvr"]
        click = tf.stop_gradient(inverse_probability(ctr, self.propensity_floor))
        no_click = tf.stop_gradient(inverse_probability(-ctr, self.propensity_floor))
        samples = self.samples(outputs, batch)
        factual = samples.expected(lambda r: cross_entropy(r, cvr))
        opposite = cross_entropy(1.0 - batch.conversion, outputs.logits["counterfactual"])
        total = outputs.probability("cvr") + outputs.probability("counterfactual")
        ctcvr = samples.expected(lambda r: product_cross_entropy(batch.click * r, ctr, cvr))
        mean = samples.mean_within if self.self_normalized else samples.mean_exposures
        return {
            "ctr_loss": batch.mean_exposures(cross_entropy(batch.click, ctr)),
            "cvr_loss": mean(factual, batch.click * click),
            "counterfactual_loss": mean(opposite, batch.unclicked * no_click),
            "prior_loss": self.prior_weight * batch.mean_exposures(tf.abs(1.0 - total)),
            "ctcvr_loss": samples.mean_exposures(ctcvr),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "prior_weight": self.prior_weight,
            "propensity_floor": self.propensity_floor,
            "self_normalized": self.self_normalized,
            "compatibility": self.compatibility,
        }
