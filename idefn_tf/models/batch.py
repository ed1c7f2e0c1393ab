"""Batch and Outputs: what a method's formula sees."""

from __future__ import annotations

from dataclasses import dataclass, field

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.models.replica_sums import replica_count, total


@register("class")
@dataclass
class Batch:
    """Labels and weights of one mini-batch; every mean over a space says its divisor.

    Under ``tf.distribute`` this is a replica's share of the batch, and the means are those of the
    whole batch (`idefn_tf.models.replica_sums`).

    Attributes:
        click: o, float32 [B].
        conversion: r, 0 where unclicked, float32 [B].
        weight: sample weights, float32 [B].
        extra: by name, the further labels that a method asks for (`extra_labels`), float32 [B].
    """

    click: tf.Tensor
    conversion: tf.Tensor
    weight: tf.Tensor
    extra: dict[str, tf.Tensor] = field(default_factory=dict)

    @property
    def unclicked(self) -> tf.Tensor:
        """1 - o, float32 [B]."""
        return 1.0 - self.click

    @property
    def exposures(self) -> tf.Tensor:
        """|D|: the weight of all rows, scalar."""
        return total(tf.reduce_sum(self.weight))

    def mean_exposures(self, values: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """(1/|D|) times the sum of `values` over `mask`: the divisor counts every exposure."""
        return _ratio(self._sum(values, mask), tf.reduce_sum(self.weight))

    def mean_within(self, values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The mean over the rows of `mask` alone; 0 where it is empty."""
        return _ratio(self._sum(values, mask), tf.reduce_sum(self._within(mask)))

    def _sum(self, values: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        weight = self.weight if mask is None else self._within(mask)
        return tf.reduce_sum(tf.where(weight != 0.0, weight * values, 0.0))

    def _within(self, mask: tf.Tensor) -> tf.Tensor:
        # a row of weight 0 may hold anything, also a NaN or an infinity
        return tf.where(self.weight != 0.0, self.weight * mask, 0.0)


def _ratio(part: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
    if replica_count() > 1:
        part, whole = tf.unstack(total(tf.stack([part, whole])))
    return tf.math.divide_no_nan(part, whole)


@register("class")
@dataclass
class Outputs:
    """What one forward pass gives.

    Attributes:
        z: the representation of the rows, [B, d].
        logits: by task ("ctr", "cvr" and a method's own), float32 [B].
        hidden: by task, the tower's last hidden layer [B, h].
        training: whether this is a training step.
        monitor: scalars that a method reports per step; the model keeps a Keras metric for each.
    """

    z: tf.Tensor
    logits: dict[str, tf.Tensor]
    hidden: dict[str, tf.Tensor]
    training: bool = False
    monitor: dict[str, tf.Tensor] = field(default_factory=dict)

    def probability(self, task: str) -> tf.Tensor:
        """Sigmoid of a task's logit, float32 [B]."""
        return tf.sigmoid(self.logits[task])
