"""LabelLikelihood: the base of what says how much a clicked row counts under delayed feedback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from idefn_tf.models.batch import ARRIVAL
from idefn_tf.schema import CONVERSION_DELAY, CONVERSION_FINAL, ELAPSED

#: What a row of a stream is, by its number in the label "arrival".
FIRST, LATE, REVISIT = 0, 1, 2


@dataclass
class Clicks:
    """What a label likelihood reads of a batch, float32 [B]; unclicked rows hold 0.

    Attributes:
        conversion: whether a conversion is known, 0 or 1.
        logit: of the model's own conversion rate after a click, without gradient.
        labels: further labels of the batch by name, times in days.
        heads: by name, the logits of the likelihood's own heads, without gradient.
    """

    conversion: tf.Tensor
    logit: tf.Tensor
    labels: Mapping[str, tf.Tensor]
    heads: Mapping[str, tf.Tensor] = field(default_factory=dict)

    @property
    def rate(self) -> tf.Tensor:
        """p, the model's own conversion rate after a click."""
        return tf.sigmoid(self.logit)

    @property
    def elapsed(self) -> tf.Tensor:
        """Days from the click to the moment that labels are known at."""
        return self.labels[ELAPSED]

    @property
    def delay(self) -> tf.Tensor:
        """Days from the click to the conversion, where one is known."""
        return self.labels[CONVERSION_DELAY]

    @property
    def final(self) -> tf.Tensor:
        """The label when everything has arrived."""
        return self.labels[CONVERSION_FINAL]

    @property
    def streamed(self) -> bool:
        """Whether a click may have several rows, told apart by their arrival."""
        return ARRIVAL in self.labels

    def arrived_as(self, kind: int) -> tf.Tensor:
        """1 on rows of one kind of arrival; without arrivals every row is a first one."""
        if not self.streamed:
            whole = tf.ones_like(self.conversion)
            return whole if kind == FIRST else tf.zeros_like(whole)
        return as_number(tf.abs(self.labels[ARRIVAL] - float(kind)) < 0.5)


class Weights(NamedTuple):
    """How often a clicked row counts as a positive and how often as a negative, float32 [B].

    Attributes:
        positive: a, a share of one click.
        negative: b, a share of one click.
        samples: how many samples of the published method a click stands for: its weights are
            ``samples * a`` and ``samples * b``; None for one.
    """

    positive: tf.Tensor
    negative: tf.Tensor
    samples: tf.Tensor | None = None


class LabelLikelihood(keras.layers.Layer):
    """Says how much of a clicked row is a positive and how much a negative.

    A conversion that has not happened yet is no negative. Every likelihood gives two weights a
    clicked row, without gradient, and a method's term f(r) on clicked rows becomes::

        a f(1) + b f(0),        for the cross-entropy  a softplus(-s) + b softplus(s)

    Unclicked rows are left as they are. Weights are shares of one click: where they stand in for
    a final label their expectations are p and 1 - p, so that clicked and unclicked rows keep their
    proportion in CTCVR terms and in Eq. 15. Where clicked rows stand alone a method may take the
    published weights, which are `Weights.samples` times these; both are stationary at the same
    rate.

    One row a click stands for all samples of that click: those of the published method, and its
    duplicates. In a stream each has a row of its own, and the label "arrival" says which: 0 the
    first, 1 the late positive, 2 the second look after the window.

    A subclass writes `label_weights`.

    Example:
        >>> from idefn_tf.models import feedback
        >>> isinstance(feedback.get("fnw"), feedback.LabelLikelihood)
        True
        >>> feedback.get("wait").labels
        ('elapsed',)
    """

    #: Labels beside click and conversion that training needs.
    labels: tuple[str, ...] = ()
    #: The kinds of rows that count in a stream; others weigh nothing. Empty: no streams.
    arrivals: tuple[int, ...] = (FIRST, LATE)
    #: Auxiliary outputs by name, and what their logits start at.
    heads: Mapping[str, float] = {}
    #: Arguments, lists all, that say which heads there are and what they mean.
    head_options: tuple[str, ...] = ()
    #: Whether the heads go on learning inside a stream, or keep what pretraining taught them.
    learns_in_streams: bool = True
    #: Whether predictions are put right by `corrected`; for methods with clicked rows alone.
    corrects: bool = False

    def __init__(self, **kwargs: Any) -> None:
        # float32 whatever the policy, as logits are
        super().__init__(**{"dtype": "float32", **kwargs})

    def for_model(self) -> LabelLikelihood:
        """Returns a clone with variables of its own.

        Raises:
            ValueError: if something is missing that has no default.
        """
        return type(self).from_config(self.get_config())

    def build(self, input_shape: Any) -> None:
        """Creates the heads' variables for z of shape [B, d]; here none."""
        self.built = True

    def head_logits(self, z: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the logits of `heads` [B] on z [B, d], which gets no gradient."""
        return {}

    def head_losses(
        self, clicks: Clicks, logits: Mapping[str, tf.Tensor]
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Returns what the heads minimize: pairs of losses [B] and of the rows that they mean.

        Args:
            clicks: what is known.
            logits: of the heads, with gradient.
        """
        return []

    def corrected(self, logit: tf.Tensor) -> tf.Tensor:
        """Returns the rate after a click of a tower's logit [B]: by default its sigmoid."""
        return tf.sigmoid(logit)

    def known(self, clicks: Clicks) -> tf.Tensor:
        """Returns which rows count as known conversions [B], for transports and counts."""
        return clicks.conversion

    def label_weights(self, clicks: Clicks) -> Weights | None:
        """Returns the weights of one row a click; None for labels as they are."""
        raise NotImplementedError(f"{type(self).__name__} must define label_weights")

    def sample_weights(self, clicks: Clicks) -> Weights | None:
        """Returns the weights of rows, each by its arrival.

        A late row is the positive sample alone; rows that the likelihood does not read weigh 0.
        """
        found = self.label_weights(clicks)
        if not clicks.streamed or found is None:
            return found
        read = tf.add_n([clicks.arrived_as(kind) for kind in self.arrivals])
        single = read * (1.0 - clicks.arrived_as(LATE))
        return Weights(found.positive * read, found.negative * single, found.samples)


def as_number(condition: tf.Tensor) -> tf.Tensor:
    """Returns 1.0 where a condition holds and 0.0 elsewhere."""
    return tf.cast(condition, tf.float32)


def beside_a_certain_row(clicks: Clicks, positive: tf.Tensor, negative: tf.Tensor) -> Weights:
    """Returns the weights of rows that say what a click is believed to be.

    In a stream a row with the certain label follows, late or at the second look. Each of the two is
    half a click, and a whole sample of two.

    Args:
        clicks: what is known.
        positive: of one row a click.
        negative: likewise.
    """
    if not clicks.streamed:
        return Weights(positive, negative)
    return Weights(0.5 * positive, 0.5 * negative, tf.fill(tf.shape(positive), 2.0))
