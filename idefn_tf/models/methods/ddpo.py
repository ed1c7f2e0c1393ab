"""DDPO: a conversion-propensity tower labels the unclicked rows softly."""

from __future__ import annotations

from typing import Any, Literal

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import OpenShare, Positive
from idefn_tf.losses import cross_entropy, inverse_probability, product_cross_entropy
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.entire_space_model import EntireSpaceModel
from idefn_tf.models.trunks import AttentionTransfer


@register("method", "ddpo")
class DDPO(EntireSpaceModel):
    """Direct Dual Propensity Optimization: click propensity and conversion propensity.

    Formula, with c the conversion-propensity tower, trained on clicked rows only::

        L = mean_D phi(o, o^) + mean_D phi(o r, o^ r^) + (1/|D|) sum_O phi(r, c)
            + cvr_weight * (L_O + L_N)
        L_O = sum_O w phi(min(r + sg(c), 1), r^) / sum_O w     w = 1 / max(sg(o^), floor)
        L_N = sum_N v phi(sg(c), r^) / sum_N v                 v = 1 / max(1 - sg(o^), floor)

    The first three divide by |D|, L_O and L_N by the sum of their weights. Both propensities and
    the soft labels carry stop-gradients. `compatibility="ddpo_code"` divides L_O and L_N by |D|
    once more and floors at 1e-6, as the authors' code does: at a batch of 2048 the CVR loss is
    then next to nothing and the CVR learns from the CTCVR term.

    Features of the CTR and conversion towers reach the CVR through attention. The authors place it
    between a bottom and a tower network; here it reads the towers' last hidden layers and adds its
    logit to the CVR tower's (a simplification that fits every backbone).

    Args:
        cvr_weight: weight of L_O + L_N.
        propensity_floor: default 0.05, or 1e-6 under "ddpo_code".
        transfer: whether to use the attention.
        compatibility: None or "ddpo_code".
        **kwargs: of `EntireSpaceModel`.

    Raises:
        ValueError: if the weight is not positive, the floor is outside (0, 1) or `compatibility` is
            unknown.

    Source: Su et al., SIGIR 2024 (10.1145/3626772.3657817).

    Example:
        >>> from idefn_tf.models import DDPO
        >>> model = DDPO(features, MLP((8,)))
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'ctcvr_loss': 0.5694, 'conversion_loss': 0.3466, 'cvr_clicked_loss':
        0.6931, 'cvr_unclicked_loss': 0.837}
    """

    tasks = ("ctr", "cvr", "conversion")
    loss_names = (
        "ctr_loss",
        "ctcvr_loss",
        "conversion_loss",
        "cvr_clicked_loss",
        "cvr_unclicked_loss",
    )
    carries_feedback = True

    def __init__(
        self,
        *args: Any,
        cvr_weight: Positive = 1.0,
        propensity_floor: OpenShare | None = None,
        transfer: bool = True,
        compatibility: Literal["ddpo_code"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if propensity_floor is None:
            propensity_floor = 1e-6 if compatibility else 0.05
        self.cvr_weight, self.propensity_floor = cvr_weight, propensity_floor
        self.compatibility = compatibility
        self.transfer = AttentionTransfer(senders=2, name="transfer") if transfer else None

    def build_method(self, z_shape: tuple[int | None, ...]) -> None:
        """Builds the attention on the towers' last hidden layers."""
        if self.transfer is not None:
            self.transfer.build((None, self.towers["cvr"].hidden_width))

    def forward(self, z: tf.Tensor, training: bool) -> Outputs:
        """Runs the towers, then lets the CVR hear the other two."""
        outputs = super().forward(z, training)
        if self.transfer is not None:
            hidden = outputs.hidden
            heard = self.transfer(hidden["cvr"], [hidden["ctr"], hidden["conversion"]])
            outputs.logits["cvr"] = outputs.logits["cvr"] + heard
        return outputs

    def click_logit(self, outputs: Outputs) -> tf.Tensor:
        """Returns the conversion tower's logit, which clicked rows alone have taught [B]."""
        return outputs.logits["conversion"]

    def compute_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the five terms, in the order of the formula."""
        ctr, cvr = outputs.logits["ctr"], outputs.logits["cvr"]
        click = tf.stop_gradient(inverse_probability(ctr, self.propensity_floor))
        no_click = tf.stop_gradient(inverse_probability(-ctr, self.propensity_floor))
        propensity = tf.stop_gradient(outputs.probability("conversion"))
        samples = self.samples(outputs, batch)
        clicked = samples.expected(lambda r: cross_entropy(tf.minimum(r + propensity, 1.0), cvr))
        unclicked = cross_entropy(propensity, cvr)
        conversion = samples.expected(lambda r: cross_entropy(r, outputs.logits["conversion"]))
        ctcvr = samples.expected(lambda r: product_cross_entropy(batch.click * r, ctr, cvr))
        scale = tf.constant(self.cvr_weight, tf.float32)
        if self.compatibility == "ddpo_code":
            scale = tf.math.divide_no_nan(scale, batch.exposures)
        return {
            "ctr_loss": batch.mean_exposures(cross_entropy(batch.click, ctr)),
            "ctcvr_loss": samples.mean_exposures(ctcvr),
            "conversion_loss": samples.mean_exposures(conversion, batch.click),
            "cvr_clicked_loss": scale * samples.mean_within(clicked, batch.click * click),
            "cvr_unclicked_loss": scale * batch.mean_within(unclicked, batch.unclicked * no_click),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "cvr_weight": self.cvr_weight,
            "propensity_floor": self.propensity_floor,
            "transfer": self.transfer is not None,
            "compatibility": self.compatibility,
        }
