"""TRACE: what a click is believed to be, from what has come of it at fixed horizons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._rules import Many, Number
from idefn_tf._types import NonNegative, PositiveOrNone
from idefn_tf.losses import cross_entropy, entropy
from idefn_tf.models.feedback.headed import HeadedLikelihood
from idefn_tf.models.feedback.likelihood import (
    FIRST,
    LATE,
    REVISIT,
    Clicks,
    Weights,
    as_number,
    beside_a_certain_row,
)
from idefn_tf.schema import CONVERSION_DELAY, ELAPSED

_BITS = 1.0 / math.log(2.0)
Horizons = Annotated[Sequence[float], Many(Number(above=0))]


def _heads(count: int) -> dict[str, float]:
    """Returns g_h and q_h of so many horizons, and what their logits start at."""
    return {
        **{f"arrived_{i}": 0.0 for i in range(count)},
        **{f"believed_{i}": -3.0 for i in range(count)},
    }


@register("feedback", "trace")
class TRACEFeedback(HeadedLikelihood):
    """Follow the TRACE: the posterior of a click from its trajectory.

    The trajectory is a conversion's: o_h = 1 where it has come within t_h days of the click, of
    horizons t_1 < ... < t_H = W, the window. A horizon is seen when the click is that old. What
    comes within the window is a conversion, so a negative has o_h = 0 at every horizon.

    Formula. With p = r^ and g_h the probability of o_h = 1 in a click that converts, a horizon
    gives the likelihood p g_h of o_h = 1 and 1 - p g_h of o_h = 0 (Eq. 7), and by Fisher's identity
    the posterior of a conversion ::

        r_h = 1 where o_h = 1,      p (1 - g_h) / (1 - p g_h) where o_h = 0

    Horizons weigh by Eq. 6, where C_h is the entropy of the label given o_h, over the greatest::

        eta_h = exp(-h / H) exp(-beta C_h) / (H - h + 1)

    and over the seen ones the loss of Eq. 8 is that of the label sum eta_h r_h / sum eta_h. A click
    whose last seen horizon k has o_k = 0 and whose window is open is drawn to q_k, a second
    estimate of its posterior (Eq. 10 and 11), with the gate w = sigmoid(H(r_k)) sigmoid(1 - H(q_k))
    sigmoid(1 - k / H) of entropies in bits. So, without gradient ::

        a = sum eta_h r_h / sum eta_h + consistency w (q_k - r_k),      b = 1 - a

    A click younger than t_1 weighs nothing. g_h and q_k are auxiliary heads: g_h learns o_h from
    clicks that converted, q_k the label from clicks with o_k = 0, both where the window is over.
    A log without closed windows leaves them at .5 and .05: pretrain on older days first.

    In a stream a first row comes at t_1 and weighs by its posterior. Late rows and second looks
    weigh by their certain label, and each is half a click, as in `dfm`.

    Args:
        horizons: days, in ascending order; those within the window are read, and its end; the
            default are the data card's.
        beta: how much an uncertain horizon loses in Eq. 6.
        consistency: lambda, the factor of Eq. 11 in Eq. 12.
        window: W, days; default that of the schema.
        **kwargs: of `HeadedLikelihood` (units, head_weight).

    Raises:
        ValueError: if horizons do not ascend, or a model is made whose window ends before the
            first.

    Source: Zhang, Ding and Ao, SIGIR 2026 (arXiv 2604.23197); equation numbers are those of the
    authors' code. What differs from it: a schema names no behaviour but the conversion, as
    theirs on Criteo. Their three networks, each pretrained on final labels, are one with heads
    here. Their stream shows a click anew at every horizon. Negatives do not convert, which their
    network has to learn. Entropies are a row's own, from p and g, and no mean over the
    pretraining days. Clicks weigh alike, however many horizons they have seen; Eq. 11 is divided
    by clicks, not by the sum of its gates. It draws r_k, not the posterior with Eq. 6's weights,
    which would not stand still at the true rate. With these Eq. 9, the loss of revealed labels,
    has no gradient: where one is revealed at a horizon the posterior is the label.

    Example:
        >>> from idefn_tf.models import feedback
        >>> trace = feedback.TRACEFeedback(horizons=(1.0,), window=7, consistency=0.0)
        >>> heads = {"arrived_0": tf.zeros(3), "believed_0": tf.zeros(3)}  # g = .5
        >>> labels = {"elapsed": tf.constant([0.5, 2, 2]), "conversion_delay": tf.fill([3], 0.8)}
        >>> clicks = feedback.Clicks(tf.constant([0.0, 0, 1]), tf.zeros(3), labels, heads)
        >>> found = trace.label_weights(clicks)
        >>> found.positive.numpy().astype(float).round(4).tolist()  # too young, .25 / .75, certain
        [0.0, 0.3333, 1.0]
    """

    labels = (ELAPSED, CONVERSION_DELAY)
    arrivals = (FIRST, LATE, REVISIT)
    #: Those of the default horizons; an instance has its own.
    heads: Mapping[str, float] = _heads(5)
    head_options = ("units", "horizons")
    learns_in_streams = False

    def __init__(
        self,
        horizons: Horizons = (1.0 / 24.0, 0.25, 1.0, 3.0, 7.0),
        beta: NonNegative = 2.0,
        consistency: NonNegative = 0.1,
        window: PositiveOrNone = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(window=window, **kwargs)
        self.horizons = tuple(float(t) for t in horizons)
        if not self.horizons or list(self.horizons) != sorted(set(self.horizons)):
            raise ValueError(
                f"horizons: must be days in ascending order, received {list(horizons)};\nsort "
                "them and leave out repeats"
            )
        self.beta, self.consistency = float(beta), float(consistency)
        self.heads = _heads(len(self.horizons))

    @property
    def wait(self) -> float:
        """Days until a click is looked at."""
        return self.horizons[0]

    def for_model(self) -> HeadedLikelihood:
        """Returns a clone with variables of its own; see `LabelLikelihood`."""
        if self.window is not None and self.horizons[0] >= self.window:
            raise ValueError(
                f"feedback.horizons: must begin within the window of {self.window:g} days, "
                f"received {list(self.horizons)};\ngive a first horizon below it"
            )
        return super().for_model()

    def label_weights(self, clicks: Clicks) -> Weights:
        """Returns the posterior of a conversion, and of none; 0 and 0 before the first horizon."""
        surprise = tf.nn.softplus(self._logits("arrived", clicks.heads))  # -log(1 - g_h)
        seen, arrived = self._states(clicks)
        evidence = clicks.logit - surprise  # of a conversion, where o_h = 0
        posterior = tf.where(arrived > 0.0, 1.0, tf.sigmoid(evidence))
        posterior = tf.concat([posterior, clicks.conversion[None]], 0)
        seen = tf.concat([seen, self.closed(clicks)[None]], 0)
        share = seen * self._horizon_weights(clicks.rate, surprise, evidence)
        positive = tf.reduce_sum(share * posterior, 0)
        positive = tf.math.divide_no_nan(positive, tf.reduce_sum(share, 0))
        drawn = self._consistency(clicks, evidence, seen, arrived)
        positive = tf.clip_by_value(positive + drawn, 0.0, 1.0)
        looked_at = seen[0]
        if clicks.streamed:
            first = clicks.arrived_as(FIRST)
            positive = first * positive + (1.0 - first) * clicks.conversion
            looked_at = tf.maximum(looked_at, 1.0 - first)
        return beside_a_certain_row(clicks, looked_at * positive, looked_at * (1.0 - positive))

    def head_losses(
        self, clicks: Clicks, logits: Mapping[str, tf.Tensor]
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Returns the heads' cross-entropies on clicks whose window is over."""
        y, (_, arrived) = clicks.conversion, self._states(clicks)
        state, belief = self._logits("arrived", logits), self._logits("believed", logits)
        known = self.closed(clicks) * clicks.arrived_as(FIRST)
        of_state = tf.reduce_mean(cross_entropy(arrived, state), 0)
        of_label = (1.0 - arrived) * cross_entropy(tf.broadcast_to(y, tf.shape(belief)), belief)
        return [(of_state, known * y), (tf.reduce_mean(of_label, 0), known)]

    @property
    def _used(self) -> list[int]:
        """Numbers of the horizons within the window."""
        return [i for i, days in enumerate(self.horizons) if days < self.days]

    def _logits(self, kind: str, heads: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the logits [h, B] of one kind of heads."""
        return tf.stack([heads[f"{kind}_{i}"] for i in self._used])

    def _states(self, clicks: Clicks) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns whether t_h is seen, and o_h where it is: each [h, B]."""
        days = tf.constant([[self.horizons[i]] for i in self._used], tf.float32)
        seen = as_number(clicks.elapsed[None] >= days)
        return seen, seen * clicks.conversion[None] * as_number(clicks.delay[None] <= days)

    def _horizon_weights(
        self, rate: tf.Tensor, surprise: tf.Tensor, evidence: tf.Tensor
    ) -> tf.Tensor:
        """Returns eta_h [H, B] of Eq. 6; the window's end leaves no entropy."""
        silent = 1.0 - rate + rate * tf.exp(-surprise)  # the probability of o_h = 0
        left = tf.concat([silent * entropy(evidence), tf.zeros_like(rate)[None]], 0)
        left = tf.math.divide_no_nan(left, tf.reduce_max(left, 0))
        count = len(self._used) + 1
        base = [math.exp(-h / count) / (count - h + 1) for h in range(1, count + 1)]
        return tf.constant(base, tf.float32)[:, None] * tf.exp(-self.beta * left)

    def _consistency(
        self, clicks: Clicks, evidence: tf.Tensor, seen: tf.Tensor, arrived: tf.Tensor
    ) -> tf.Tensor:
        """Returns lambda w (q_k - r_k) of silent clicks in an open window, Eq. 11; 0 elsewhere."""
        belief = self._logits("believed", clicks.heads)
        last = seen[:-1] * (1.0 - seen[1:])  # 1 at the last horizon seen, before the window's end
        gate = (
            tf.sigmoid(_BITS * entropy(evidence))
            * tf.sigmoid(1.0 - _BITS * entropy(belief))
            * tf.sigmoid(1.0 - tf.reduce_mean(seen, 0))
        )
        drawn = last * (1.0 - arrived) * gate * (tf.sigmoid(belief) - tf.sigmoid(evidence))
        return self.consistency * tf.reduce_sum(drawn, 0)

    def get_config(self) -> dict[str, Any]:
        """Returns the settings."""
        own = {"horizons": self.horizons, "beta": self.beta, "consistency": self.consistency}
        return {**super().get_config(), **own}
