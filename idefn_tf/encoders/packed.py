"""Packed events and their rows: what belongs to a row, given to its events and back.

Events stand in the order of their rows, so that both directions are one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf


class PackedEvents(NamedTuple):
    """The events of a batch, without those that are not there.

    Attributes:
        vectors: float32 [P, d], rows in order, in each row the oldest first.
        rows: the row of each event, int64 [P].
        positions: its position in the padded form, int64 [P].
        length: of the padded form, K.
        batch: how many rows there are, int64 scalar.

    Example:
        >>> from idefn_tf.encoders.packed import PackedEvents
        >>> there = tf.constant([[True, False], [True, True]])
        >>> packed = PackedEvents.of(tf.constant([[[1.0], [0.0]], [[2.0], [3.0]]]), there)
        >>> packed.vectors.numpy().ravel().tolist(), packed.total(packed.vectors).numpy().tolist()
        ([1.0, 2.0, 3.0], [[1.0], [5.0]])
    """

    vectors: tf.Tensor
    rows: tf.Tensor
    positions: tf.Tensor
    length: int | tf.Tensor
    batch: tf.Tensor

    @classmethod
    def of(cls, events: tf.Tensor, there: tf.Tensor) -> PackedEvents:
        """Packs padded events [B, K, d] by which there are, bool [B, K]."""
        places = tf.where(there)
        shape = tf.shape(there, tf.int64)
        vectors = tf.gather_nd(events, places)
        return cls(vectors, places[:, 0], places[:, 1], shape[1], shape[0])

    def unpack(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns events [B, K, d], 0 where there is none, and which there are, bool [B, K]."""
        places = tf.stack([self.rows, self.positions], 1)
        shape = tf.stack([self.batch, tf.cast(self.length, tf.int64)])
        width = self.vectors.shape[1]
        whole = tf.scatter_nd(places, self.vectors, tf.concat([shape, [width]], 0))
        there = tf.scatter_nd(places, tf.ones_like(self.rows, tf.int32), shape) > 0
        return tf.ensure_shape(whole, [None, None, width]), there

    def spread(self, of_rows: tf.Tensor) -> tf.Tensor:
        """Returns what belongs to each event's row, [P, e] of [B, e]."""
        rows, batch = self.rows, self.batch
        spread: Callable[..., tf.Tensor] = tf.custom_gradient(
            lambda x: (tf.gather(x, rows), lambda slope: _total(slope, rows, batch))
        )
        return spread(of_rows)

    def total(self, of_events: tf.Tensor) -> tf.Tensor:
        """Sums what belongs to the events of each row, [B, e] of [P, e]."""
        rows, batch = self.rows, self.batch
        total: Callable[..., tf.Tensor] = tf.custom_gradient(
            lambda x: (_total(x, rows, batch), lambda slope: tf.gather(slope, rows))
        )
        return total(of_events)

    def softmax(self, scores: tf.Tensor) -> tf.Tensor:
        """Returns the softmax of scores [P, e] over the events of each row."""
        most = tf.math.segment_max(tf.stop_gradient(scores), self.rows)
        exponents = tf.exp(scores - tf.gather(most, self.rows))
        return exponents / self.spread(self.total(exponents))


def _total(values: Any, rows: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Sums [P, e] by rows in order; rows at the end may have none."""
    summed = tf.math.segment_sum(values, rows)
    missing = batch - tf.shape(summed, tf.int64)[0]
    whole = tf.pad(summed, [[0, missing], [0, 0]])
    return tf.ensure_shape(whole, [None, values.shape[1]])
