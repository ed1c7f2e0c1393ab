"""LabelSamples: a batch's clicked rows as positives and negatives, and means of terms over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import tensorflow as tf

from idefn_tf.models.batch import ARRIVAL, Batch
from idefn_tf.models.feedback.likelihood import Clicks, LabelLikelihood, Weights

#: A term of a loss as a function of the label [B].
Term = Callable[[tf.Tensor], tf.Tensor]


@dataclass
class LabelSamples:
    """What the label likelihood says of a batch.

    A method writes a term as a function f of the label, and every sum of it over clicked rows takes
    a f(1) + b f(0) with the likelihood's weights; unclicked rows have the label 0.

    Attributes:
        batch: labels and weights.
        known: rows that count as known conversions, 0 on duplicates, float32 [B].
        weights: the likelihood's; None for the label as it is.
        head_loss: what the likelihood's own heads minimize, a scalar, or None.
    """

    batch: Batch
    known: tf.Tensor
    weights: Weights | None = None
    head_loss: tf.Tensor | None = None

    def expected(self, term: Term) -> tf.Tensor:
        """Returns a f(1) + b f(0) [B], of one click."""
        if self.weights is None:
            return term(self.batch.conversion)
        one = tf.ones_like(self.batch.conversion)
        positive, negative, _ = self.weights
        return positive * term(one) + negative * term(tf.zeros_like(one))

    def sampled(self, term: Term) -> tf.Tensor:
        """Returns the same with the published method's weights, of all samples of a click."""
        values = self.expected(term)
        if self.weights is None or self.weights.samples is None:
            return values
        return self.weights.samples * values

    def mean_exposures(self, values: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """`Batch.mean_exposures`, duplicates included in the sum."""
        return self.batch.mean_exposures(values, mask, duplicates=self.weights is not None)

    def mean_within(self, values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """`Batch.mean_within`, duplicates included in the sum."""
        return self.batch.mean_within(values, mask, duplicates=self.weights is not None)


def label_samples(
    likelihood: LabelLikelihood, batch: Batch, logit: tf.Tensor, z: tf.Tensor
) -> LabelSamples:
    """Asks a likelihood about a batch; without the labels that it needs they are as observed.

    Training refuses such batches before; validation data need no times.

    Args:
        likelihood: built.
        batch: labels and weights.
        logit: of the model's own conversion rate after a click, [B].
        z: the representation [B, d], which the likelihood's heads read.
    """
    first = tf.where(batch.weight != 0.0, batch.conversion, 0.0)
    if not set(likelihood.labels) <= set(batch.extra):
        return LabelSamples(batch, first if ARRIVAL in batch.extra else batch.conversion)
    clicked = batch.click > 0.0
    names = [name for name in (*likelihood.labels, ARRIVAL) if name in batch.extra]
    labels = {name: tf.where(clicked, batch.extra[name], 0.0) for name in names}
    trained = likelihood.head_logits(z) if likelihood.heads else {}
    stopped = {name: tf.stop_gradient(value) for name, value in trained.items()}
    clicks = Clicks(batch.conversion, tf.stop_gradient(logit), labels, stopped)
    weights = likelihood.sample_weights(clicks)
    known = likelihood.known(clicks)
    if clicks.streamed:
        known = tf.where(batch.weight != 0.0, known, 0.0)
    if weights is not None:
        weights = Weights(
            tf.stop_gradient(tf.where(clicked, weights.positive, batch.conversion)),
            tf.stop_gradient(tf.where(clicked, weights.negative, 1.0 - batch.conversion)),
            None
            if weights.samples is None
            else tf.stop_gradient(tf.where(clicked, weights.samples, 1.0)),
        )
    return LabelSamples(batch, known, weights, _head_loss(likelihood, clicks, trained, batch))


def _head_loss(
    likelihood: LabelLikelihood, clicks: Clicks, logits: Mapping[str, tf.Tensor], batch: Batch
) -> tf.Tensor | None:
    """Returns the sum of the heads' mean losses; every sample counts by its own weight."""
    if not logits:
        return None
    whole = replace(batch, weight=batch.sample_weight)
    terms = likelihood.head_losses(clicks, logits)
    means = [whole.mean_within(values, mask * batch.click) for values, mask in terms]
    return getattr(likelihood, "head_weight", 1.0) * tf.add_n(means)
