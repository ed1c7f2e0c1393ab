"""ESCIM (ratio): unclicked rows with the greatest counterfactual CVR become positives."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import NonNegative, OpenShare
from idefn_tf.losses import cross_entropy, inverse_probability, product_cross_entropy
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.entire_space_model import EntireSpaceModel
from idefn_tf.models.top_rows import top_rows


@register("method", "escim_ratio")
class ESCIMRatio(EntireSpaceModel):
    """Entire Space Counterfactual Inference Model with labels by the ratio rule.

    Formula, with q a prior model of the conversion rate had the row been clicked::

        L = mean_D phi(o, o^) + mean_D phi(o r, o^ r^)
            + factual_weight * (1/|D|) sum_O phi(r, r^) / max(sg(o^), floor)
            + counterfactual_weight * (1/|N|) sum_N phi(r~, r^) / max(sg(o^), floor)
            + (1/|O|) sum_O phi(r, q)
        r~ = 1 on the unclicked among the k rows of the batch with the greatest q
        k = conversions * floor(rows / clicks), 0 without a click

    The last term trains the prior alone: its tower reads z behind a stop-gradient, and nothing else
    reaches it. Both propensities carry stop-gradients (the authors' code has none). Rows of weight
    0 count neither as rows nor as candidates.

    Simplified: the authors train the prior first, on clicked rows, as an ESMM with tables of its
    own and a variational autoencoder's noise as a further input. Here it is a tower that learns
    along with the rest; the noise, drawn alike for every row, is left out. The intervention
    do(click = 1) is a constant input for a model that has seen clicked rows only.

    Args:
        factual_weight: of the CVR term on clicked rows.
        counterfactual_weight: of the CVR term on unclicked rows.
        propensity_floor: least propensity divided by, in (0, 1).
        **kwargs: of `EntireSpaceModel`.

    Raises:
        ValueError: if a weight is negative or the floor is outside (0, 1).

    Source: the authors' code of ESCIM (ICDM 2025), rule "ratio" and its published weights.

    Example:
        >>> from idefn_tf.models import ESCIMRatio
        >>> model = ESCIMRatio(features, MLP((8,)))
        >>> losses = model.compute_losses(outputs, batch)
        >>> {name: round(float(loss), 4) for name, loss in losses.items()}
        {'ctr_loss': 0.6931, 'ctcvr_loss': 0.5694, 'cvr_clicked_loss': 0.0693, 'cvr_unclicked_loss':
        0.0002, 'prior_loss': 0.6931}
    """

    tasks = ("ctr", "cvr", "prior")
    detached_tasks = ("prior",)
    loss_names = ("ctr_loss", "ctcvr_loss", "cvr_clicked_loss", "cvr_unclicked_loss", "prior_loss")
    monitors = {"pseudo_positives": "sum", "pseudo_positive_rate": "mean"}
    carries_feedback = True

    def __init__(
        self,
        *args: Any,
        factual_weight: NonNegative = 0.1,
        counterfactual_weight: NonNegative = 1e-4,
        propensity_floor: OpenShare = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.factual_weight = factual_weight
        self.counterfactual_weight = counterfactual_weight
        self.propensity_floor = propensity_floor

    def pseudo_labels(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        """Returns r~ [B], 0 on clicked rows, and reports how many there are."""
        present = tf.cast(batch.weight > 0.0, tf.float32)
        clicks = tf.reduce_sum(present * batch.click)
        ratio = tf.floor(tf.math.divide_no_nan(tf.reduce_sum(present), clicks))
        known = self.samples(outputs, batch).known
        count = tf.reduce_sum(present * batch.click * known) * ratio
        labels = batch.unclicked * top_rows(outputs.logits["prior"], present, count)
        chosen = tf.reduce_sum(labels)
        unclicked = tf.reduce_sum(present * batch.unclicked)
        outputs.monitor["pseudo_positives"] = chosen
        outputs.monitor["pseudo_positive_rate"] = tf.math.divide_no_nan(chosen, unclicked)
        return labels

    def compute_losses(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the five terms, in the order of the formula."""
        ctr, cvr = outputs.logits["ctr"], outputs.logits["cvr"]
        weight = tf.stop_gradient(inverse_probability(ctr, self.propensity_floor))
        samples = self.samples(outputs, batch)
        factual = samples.expected(lambda r: cross_entropy(r, cvr))
        counterfactual = weight * cross_entropy(self.pseudo_labels(outputs, batch), cvr)
        prior = samples.expected(lambda r: cross_entropy(r, outputs.logits["prior"]))
        ctcvr = samples.expected(lambda r: product_cross_entropy(batch.click * r, ctr, cvr))
        clicked = samples.mean_exposures(factual, batch.click * weight)
        unclicked = batch.mean_within(counterfactual, batch.unclicked)
        return {
            "ctr_loss": batch.mean_exposures(cross_entropy(batch.click, ctr)),
            "ctcvr_loss": samples.mean_exposures(ctcvr),
            "cvr_clicked_loss": self.factual_weight * clicked,
            "cvr_unclicked_loss": self.counterfactual_weight * unclicked,
            "prior_loss": samples.mean_within(prior, batch.click),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "factual_weight": self.factual_weight,
            "counterfactual_weight": self.counterfactual_weight,
            "propensity_floor": self.propensity_floor,
        }
