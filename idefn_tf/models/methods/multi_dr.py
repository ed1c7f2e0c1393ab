"""Multi-DR: a doubly robust CVR loss, with a tower that predicts the loss itself."""

from __future__ import annotations

from typing import Any, Literal

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import OpenShare, Positive
from idefn_tf.losses import cross_entropy, inverse_probability
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.entire_space_model import EntireSpaceModel


@register("method", "multi_dr")
class MultiDR(EntireSpaceModel):
    """Multi-task doubly robust learning.

    Formula, with d = phi(r, r^), the imputation tower's d^ = softplus(its logit) >= 0 and the
    residual e = d - d^::

        L = mean_D phi(o, o^) + cvr_weight * (L_err + L_imp)
        L_err = (1/|D|) sum_D d^ + (1/|D|) sum_O w e
        L_imp = (1/|D|) sum_O w e^2
        w = 1 / max(sg(o^), propensity_floor)

    Everything divides by |D|. The propensity carries a stop-gradient. How the two towers learn is
    `imputation`::

        "alternate"   L_err with sg(d^) trains the CVR tower, L_imp with sg(d) the imputation
                      tower, as if in turns
        "joint"       no stop-gradient between them

    Two consequences are worth knowing. As d^ does not depend on r^, the gradient of L_err in the
    CVR tower is that of inverse propensity weighting; under "alternate" the imputation therefore
    acts through the shared embeddings alone. Under "joint" L_err also pulls d^ down on unclicked
    rows and up on clicked ones, and L_imp pulls d towards d^.

    Under a label likelihood (`feedback`) e and e^2 are functions of the label, weighed by shares of
    one click: a e(1) + b e(0), and the same of e^2.

    Args:
        cvr_weight: weight of L_err + L_imp.
        propensity_floor: least propensity divided by, in (0, 1).
        imputation: "alternate" or "joint".
        **kwargs: of `EntireSpaceModel`.

    Raises:
        ValueError: if the weight is not positive, the floor is outside (0, 1) or `imputation` is
            unknown.

    Source: Zhang et al., WWW 2020 (arXiv 1910.09337); L_imp as in Wang et al., SIGIR 2022.

    Example:
        >>> from idefn_tf.models import MultiDR
        >>> model = MultiDR(features, MLP((8,)))
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'cvr_loss': 0.6931, 'imputation_loss': 0.0}
    """

    tasks = ("ctr", "cvr", "imputation")
    loss_names: tuple[str, ...] = ("ctr_loss", "cvr_loss", "imputation_loss")
    monitors = {"clipped_share": "mean"}
    carries_feedback = True

    def __init__(
        self,
        *args: Any,
        cvr_weight: Positive = 1.0,
        propensity_floor: OpenShare = 0.05,
        imputation: Literal["alternate", "joint"] = "alternate",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.cvr_weight, self.propensity_floor = cvr_weight, propensity_floor
        self.imputation = imputation

    def compute_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns ctr_loss, cvr_loss (L_err) and imputation_loss (L_imp), all of divisor |D|."""
        ctr = outputs.logits["ctr"]
        weight = tf.stop_gradient(inverse_probability(ctr, self.propensity_floor))
        clipped = tf.cast(outputs.probability("ctr") < self.propensity_floor, tf.float32)
        outputs.monitor["clipped_share"] = batch.mean_within(clipped, batch.click)
        apart = tf.stop_gradient if self.imputation == "alternate" else tf.identity
        samples, cvr = self.samples(outputs, batch), outputs.logits["cvr"]
        imputed = tf.nn.softplus(outputs.logits["imputation"])
        clicked = batch.click * weight
        error = samples.expected(lambda r: cross_entropy(r, cvr) - apart(imputed))
        squared = samples.expected(lambda r: tf.square(apart(cross_entropy(r, cvr)) - imputed))
        residual = samples.mean_exposures(squared, clicked)
        error = batch.mean_exposures(apart(imputed)) + samples.mean_exposures(error, clicked)
        return {
            "ctr_loss": batch.mean_exposures(cross_entropy(batch.click, ctr)),
            "cvr_loss": self.cvr_weight * error,
            "imputation_loss": self.cvr_weight * residual,
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "cvr_weight": self.cvr_weight,
            "propensity_floor": self.propensity_floor,
            "imputation": self.imputation,
        }
