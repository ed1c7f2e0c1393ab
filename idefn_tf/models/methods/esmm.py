"""ESMM: click rate and its product with the conversion rate, both on all exposures."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Positive
from idefn_tf.losses import cross_entropy, product_cross_entropy
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.entire_space_model import EntireSpaceModel


@register("method", "esmm")
class ESMM(EntireSpaceModel):
    """Entire Space Multi-task Model: the CVR is trained only through the CTCVR.

    Formula::

        L = ctr_weight * mean_D phi(o, o^) + ctcvr_weight * mean_D phi(o r, o^ r^)

    Both means divide by |D|. No stop-gradient unless asked for: the CTCVR term trains the CTR
    tower too.

    A label likelihood (`feedback`) acts on the product: on clicked rows phi(o r, o^ r^) becomes
    -a log(o^ r^) - b log(1 - o^ r^) with its weights as shares of one click. Their expectations
    being p and 1 - p, the term is stationary where o^ r^ is the rate of click and conversion; the
    published weights, which count more than one sample a click, would lift it.

    Args:
        ctcvr_weight: weight of the CTCVR term; the paper's is 1. At 30 it has the scale of the
            Eq. 15 family's conversion loss (gamma), so that one L2 coefficient means the same.
        ctr_weight: weight of the CTR term; the paper's is 1.
        stop_ctr_gradient: whether the CTCVR term leaves the CTR tower alone.
        **kwargs: of `EntireSpaceModel`.

    Raises:
        ValueError: if the weight is not positive.

    Source: Ma et al., SIGIR 2018 (arXiv 1804.07931).

    Example:
        >>> from idefn_tf.models import ESMM
        >>> model = ESMM(features, MLP((8,)))
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'ctcvr_loss': 0.5694}
    """

    loss_names = ("ctr_loss", "ctcvr_loss")
    carries_feedback = True

    def __init__(
        self,
        *args: Any,
        ctcvr_weight: Positive = 1.0,
        ctr_weight: Positive = 1.0,
        stop_ctr_gradient: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ctcvr_weight, self.ctr_weight = ctcvr_weight, ctr_weight
        self.stop_ctr_gradient = stop_ctr_gradient

    def compute_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns ctr_loss and ctcvr_loss, both with divisor |D|."""
        ctr, cvr = outputs.logits["ctr"], outputs.logits["cvr"]
        factor = tf.stop_gradient(ctr) if self.stop_ctr_gradient else ctr
        samples = self.samples(outputs, batch)
        ctcvr = samples.expected(lambda r: product_cross_entropy(batch.click * r, factor, cvr))
        return {
            "ctr_loss": self.ctr_weight * batch.mean_exposures(cross_entropy(batch.click, ctr)),
            "ctcvr_loss": self.ctcvr_weight * samples.mean_exposures(ctcvr),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "ctcvr_weight": self.ctcvr_weight,
            "ctr_weight": self.ctr_weight,
            "stop_ctr_gradient": self.stop_ctr_gradient,
        }
