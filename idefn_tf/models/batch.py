"""Batch and Outputs: what a method's formula sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.models.replica_sums import replica_count, total

#: In streams: 0 the first row of a click, 1 its late positive, 2 a second look after the window.
ARRIVAL = "arrival"
#: In `Batch.extra`, where rows carry an arrival: the weights of all rows. `Batch.weight` is 0 on
#: duplicates, which count in the likelihood of conversions alone.
SAMPLE_WEIGHT = "sample_weight"


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

    Example:
        >>> from idefn_tf.models import Batch
        >>> made = Batch(tf.constant([1.0, 1.0, 0.0]), tf.constant([1.0, 0.0, 0.0]), tf.ones(3))
        >>> within = made.mean_within(made.conversion, made.click)  # divisor: clicks
        >>> over_all = made.mean_exposures(made.conversion)  # divisor: exposures
        >>> float(within), round(float(over_all), 4)
        (0.5, 0.3333)
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
    def sample_weight(self) -> tf.Tensor:
        """`weight`, and where rows carry an arrival also that of duplicates, float32 [B]."""
        return self.extra.get(SAMPLE_WEIGHT, self.weight)

    @property
    def exposures(self) -> tf.Tensor:
        """|D|: the weight of all rows, scalar."""
        return total(tf.reduce_sum(self.weight))

    def mean_exposures(
        self, values: tf.Tensor, mask: tf.Tensor | None = None, duplicates: bool = False
    ) -> tf.Tensor:
        """(1/|D|) times the sum of `values` over `mask`: the divisor counts every exposure.

        With `duplicates` the sum, and not the divisor, counts the rows of a stream that stand for
        a click once more.
        """
        return _ratio(self._sum(values, mask, duplicates), tf.reduce_sum(self.weight))

    def mean_within(
        self, values: tf.Tensor, mask: tf.Tensor, duplicates: bool = False
    ) -> tf.Tensor:
        """The mean over the rows of `mask` alone; 0 where it is empty.

        `duplicates` as in `mean_exposures`.
        """
        divisor = tf.reduce_sum(_within(self.weight, mask))
        return _ratio(self._sum(values, mask, duplicates), divisor)

    def _sum(self, values: tf.Tensor, mask: tf.Tensor | None, duplicates: bool) -> tf.Tensor:
        weight = self.sample_weight if duplicates else self.weight
        weight = weight if mask is None else _within(weight, mask)
        return tf.reduce_sum(tf.where(weight != 0.0, weight * values, 0.0))


def _within(weight: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    # a row of weight 0 may hold anything, also a NaN or an infinity
    return tf.where(weight != 0.0, weight * mask, 0.0)


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
        cache: what a model has computed of these outputs already, by name.

    Example:
        >>> from idefn_tf.models import Outputs
        >>> said = Outputs(z=tf.zeros([2, 3]), logits={"cvr": tf.constant([0.0, 100.0])}, hidden={})
        >>> said.probability("cvr").numpy().tolist()
        [0.5, 1.0]
    """

    z: tf.Tensor
    logits: dict[str, tf.Tensor]
    hidden: dict[str, tf.Tensor]
    training: bool = False
    monitor: dict[str, tf.Tensor] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    def probability(self, task: str) -> tf.Tensor:
        """Sigmoid of a task's logit, float32 [B]."""
        return tf.sigmoid(self.logits[task])
