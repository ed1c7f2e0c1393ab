"""ESCM2-DR: the doubly robust CVR loss beside ESMM's CTCVR loss."""

from __future__ import annotations

from typing import Any, Literal

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import OpenShare, Positive
from idefn_tf.losses import cross_entropy, inverse_probability, product_cross_entropy
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.methods.escm2_ips import NISE_CODE_FLOOR
from idefn_tf.models.methods.multi_dr import MultiDR


@register("method", "escm2_dr")
class ESCM2DR(MultiDR):
    """Entire Space Counterfactual Multi-task Model with a doubly robust CVR loss.

    Formula (L_err and L_imp as in `MultiDR`)::

        L = mean_D phi(o, o^) + cvr_weight * (L_err + L_imp) + ctcvr_weight * mean_D phi(o r, o^ r^)

    Everything divides by |D|. The propensity carries a stop-gradient; the CTCVR term trains both
    towers. `compatibility="nise_code"` reproduces the published comparison's code instead, whose
    ESCM2-DR is weak for reasons of its own::

        L = mean_D phi(o, o^) + (1/|D|) sum_O phi(r, r^) / sg(o^)
            + mean_D (1 - o/o^) d^ + mean_D phi(o r, o^ r^),   d^ = sigmoid(its logit)

    where o^ in the third term is not detached, that term trains the imputation tower as well, o^ is
    floored at 1e-15 only, and before each step the imputation tower alone moves by the first step
    of a fresh Adam (rate 1e-3, L2 1e-5) on the unweighted (1/|D|) sum_O (d^ - t)^2 with
    t = log(1 + exp(r^)) - r r^, a cross-entropy that mistakes the probability r^ for a logit.

    Args:
        ctcvr_weight: lambda_g.
        propensity_floor: least propensity divided by; default 0.05, or 1e-15 under "nise_code".
        compatibility: None or "nise_code".
        **kwargs: of `MultiDR` and `EntireSpaceModel`.

    Raises:
        ValueError: if a weight is not positive, the floor is outside (0, 1) or `compatibility` is
            unknown.

    Source: Wang et al., SIGIR 2022 (arXiv 2204.05125).

    Example:
        >>> from idefn_tf.models import ESCM2DR
        >>> model = ESCM2DR(features, MLP((8,)))
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'cvr_loss': 0.6931, 'imputation_loss': 0.0, 'ctcvr_loss': 0.5694}
    """

    loss_names = (*MultiDR.loss_names, "ctcvr_loss")
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
        """Returns `MultiDR`'s terms and ctcvr_loss, all of divisor |D|.

        Under "nise_code" cvr_loss holds the second and third term and imputation_loss is 0.
        """
        losses = super().compute_losses(outputs, batch)
        if self.compatibility == "nise_code":
            losses["cvr_loss"] = self.cvr_weight * self._published_error(outputs, batch)
            losses["imputation_loss"] = tf.zeros([])
        samples = self.samples(outputs, batch)
        ctr, cvr = outputs.logits["ctr"], outputs.logits["cvr"]
        ctcvr = samples.expected(lambda r: product_cross_entropy(batch.click * r, ctr, cvr))
        losses["ctcvr_loss"] = self.ctcvr_weight * samples.mean_exposures(ctcvr)
        return losses

    def _published_error(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        inverse = inverse_probability(outputs.logits["ctr"], self.propensity_floor)
        samples, cvr = self.samples(outputs, batch), outputs.logits["cvr"]
        actual = samples.expected(lambda r: cross_entropy(r, cvr))
        weighted = samples.mean_exposures(actual, batch.click * tf.stop_gradient(inverse))
        imputed = outputs.probability("imputation")
        return weighted + batch.mean_exposures((1.0 - batch.click * inverse) * imputed)

    def published_imputation_loss(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        """What the imputation tower alone minimizes before a step under "nise_code"."""
        cvr = tf.stop_gradient(outputs.probability("cvr"))
        imputed = outputs.probability("imputation")
        samples = self.samples(outputs, batch)
        squared = samples.expected(lambda r: tf.square(imputed - cross_entropy(r, cvr)))
        return samples.mean_exposures(squared, batch.click)

    def before_step(self, z: tf.Tensor, batch: Batch) -> None:
        """Under "nise_code", moves the imputation tower by one step of a fresh Adam."""
        if self.compatibility != "nise_code":
            return
        variables = self.towers["imputation"].trainable_variables
        with tf.GradientTape() as tape:
            loss = self.published_imputation_loss(self.forward(z, training=True), batch)
        gradients = tape.gradient(loss, [v.value for v in variables])
        for variable, gradient in zip(variables, gradients, strict=True):
            decayed = gradient + 1e-5 * variable.value
            # bias correction makes the first step of Adam g / (|g| + epsilon)
            variable.assign_sub(1e-3 * decayed / (tf.abs(decayed) + 1e-8))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "ctcvr_weight": self.ctcvr_weight,
            "compatibility": self.compatibility,
        }
