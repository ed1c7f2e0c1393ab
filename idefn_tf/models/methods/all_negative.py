"""AllNegative: Eq. 15 with every unclicked row a negative; the control of every claim."""

from __future__ import annotations

from typing import Any, Literal

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import NonNegative, OpenShare, Positive
from idefn_tf.losses import cross_entropy
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.entire_space_model import EntireSpaceModel
from idefn_tf.rates import click_space_cvr

#: The least rate after a click, and 1 less the greatest, that a label likelihood is told.
_LEAST = 1e-6


@register("method", "all_negative")
class AllNegative(EntireSpaceModel):
    """IdeFN's loss (Eq. 15) with pseudo-labels r~ = 0: no transport at all.

    Formula::

        L = mean_D phi(o, o^) + gamma (alpha S_O + (1 - alpha) S_N)
        S_O = (1/|D|) sum_O phi(r, r^)        S_N = (1/|D|) sum_N phi(r~, r^)

    Both sums divide by |D|, the number of exposures.

    The optimum is r^ = alpha c p / (alpha c + (1 - alpha) (1 - c)), with c the click rate and p the
    conversion rate after a click (`idefn_tf.rates`). So r^ holds a part of the
    click already, all of it at alpha .5, and the probability of click and conversion is ::

        c p = r^ (c + (1 - alpha) / alpha (1 - c)),     at most c,

    not c r^, which counts the click twice. Pseudo-labels lift r^, and this with it. A label
    likelihood (`feedback`) is told this rate after a click, and weighs phi(r, r^) by shares of one
    click, so that clicked rows keep their proportion to unclicked ones.

    Args:
        alpha: share of the clicked rows, in (0, 1); the paper's is .8.
        gamma: weight of the CVR part; the paper's is 30.
        ctr_weight: weight of the CTR term; 0 is the ablation IdeFN-T.
        ctcvr: "closed_form" (above), or "product" (o^ r^, as the paper multiplies).
        **kwargs: of `EntireSpaceModel`.

    Raises:
        ValueError: if alpha is not within (0, 1), gamma not positive, ctr_weight negative or
            `ctcvr` unknown.

    Source: Zhong et al., AAAI 2026, Eq. 15; TorchEasyRec's multi-task baseline is its kin.

    Example:
        >>> from idefn_tf.models import AllNegative
        >>> model = AllNegative(features, MLP((8,)))
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'cvr_clicked_loss': 8.3178, 'cvr_unclicked_loss': 2.511}
    """

    loss_names = ("ctr_loss", "cvr_clicked_loss", "cvr_unclicked_loss")
    carries_feedback = True

    def __init__(
        self,
        *args: Any,
        alpha: OpenShare = 0.8,
        gamma: Positive = 30.0,
        ctr_weight: NonNegative = 1.0,
        ctcvr: Literal["closed_form", "product"] = "closed_form",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.alpha, self.gamma, self.ctr_weight, self.ctcvr = alpha, gamma, ctr_weight, ctcvr

    def predictions(self, outputs: Outputs) -> dict[str, tf.Tensor]:
        """Returns {"ctr", "cvr", "ctcvr"} in the log's rows, float32 [B]."""
        scores = super().predictions(outputs)
        if self.ctcvr == "closed_form":
            scores["ctcvr"] = scores["ctr"] * click_space_cvr(
                scores["cvr"], scores["ctr"], self.alpha
            )
        return scores

    def click_logit(self, outputs: Outputs) -> tf.Tensor:
        """Returns the logit of the conversion rate after a click [B], by the closed form above."""
        cvr, ctr = outputs.probability("cvr"), outputs.probability("ctr")
        rate = tf.clip_by_value(click_space_cvr(cvr, ctr, self.alpha), _LEAST, 1.0 - _LEAST)
        return tf.math.log(rate) - tf.math.log1p(-rate)

    @property
    def label_floor(self) -> float:
        """What a pseudo-label must exceed for its row to be called relabelled in reports."""
        return 0.0

    def pseudo_labels(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        """Returns r~ [B], read on unclicked rows only; here 0 everywhere."""
        return tf.zeros_like(batch.click)

    def compute_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the three terms of Eq. 15, each with divisor |D|."""
        cvr = outputs.logits["cvr"]
        label = tf.stop_gradient(self.pseudo_labels(outputs, batch))
        samples = self.samples(outputs, batch)
        values = samples.expected(lambda r: cross_entropy(r, cvr))
        clicked = samples.mean_exposures(values, batch.click)
        unclicked = batch.mean_exposures(cross_entropy(label, cvr), batch.unclicked)
        ctr = batch.mean_exposures(cross_entropy(batch.click, outputs.logits["ctr"]))
        return {
            "ctr_loss": self.ctr_weight * ctr,
            "cvr_clicked_loss": self.gamma * self.alpha * clicked,
            "cvr_unclicked_loss": self.gamma * (1.0 - self.alpha) * unclicked,
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "gamma": self.gamma,
            "ctr_weight": self.ctr_weight,
            "ctcvr": self.ctcvr,
        }
