"""Streaming AUC inside users."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._rules import Number, checked
from idefn_tf.metrics import _derive, _stream

# An odd multiplier makes id -> (multiplier * id + offset) mod 2^k a bijection that scatters ids.
_MULTIPLIER, _OFFSET = 0x9E3779B1, 0x7F4A7C15


@register("metric")
class GAUC(keras.metrics.Metric):
    """AUC inside each user, averaged with the user's total row weight; one-class users skipped.

    GAUC = sum_u W_u AUC_u / sum_u W_u, the definition of `metrics.gauc`. Each followed user holds
    a histogram with equal-width bins in the logit of the score; rows of one bin count as tied, so
    the value differs from the exact one by at most `error_bound()`.

    Up to `max_users` users are followed. Where `users` exceeds it, a fixed pseudo-random sample of
    about `max_users * users / 2^ceil(log2 users)` ids is, chosen by id, never by activity, and
    without two users ever sharing a histogram: an unbiased estimate. Give the exact figure in
    reports from `metrics.gauc`.

    State: `counts`, [followed, bins, 2], float32, 4 MB with the defaults; `outside`, the weight
    of rows whose id is not in [0, users), which are left out. An update scatters one batch; the
    result reads the whole state (milliseconds), so read it once an epoch.

    Args:
        users: Number of user ids; ids are integers in [0, users).
        name: Name of the metric. Defaults to "gauc".
        dtype: Type of the result.
        bins: Bins of each user. Defaults to 128.
        max_users: Most users that are followed. Defaults to 4096.
        logit_low: Lower end of the bins. Defaults to -12.
        logit_high: Upper end of the bins. Defaults to 4.
        from_logits: Whether `y_pred` holds logits instead of probabilities. Defaults to False.

    Example:
        >>> from idefn_tf.metrics import GAUC
        >>> metric = GAUC(users=2)
        >>> metric.update_state([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.6], groups=[0, 0, 1, 1])
        >>> float(metric.result())  # 1 for user 0, 0 for user 1
        0.5
    """

    def __init__(
        self,
        users: int,
        name: str = "gauc",
        dtype: Any = None,
        bins: int = 128,
        max_users: int = 4096,
        logit_low: float = -12.0,
        logit_high: float = 4.0,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        for argument, value in (("users", users), ("max_users", max_users)):
            rule = Number(least=1, most=2**31, whole=True)
            checked(argument, rule, value, "give the size of the user vocabulary")
        _stream.check_bins(bins, logit_low, logit_high)
        self.users = users
        self.max_users = max_users
        self.bins = bins
        self.logit_low = float(logit_low)
        self.logit_high = float(logit_high)
        self.from_logits = from_logits
        self.followed = min(users, max_users)
        self.counts = self.add_variable(
            (self.followed, bins, 2), "zeros", dtype="float32", name="counts"
        )
        self.outside = self.add_variable((), "zeros", dtype="float64", name="outside")

    def slot(self, groups: Any) -> tf.Tensor:
        """The histogram of each user id, -1 where it is not followed. [batch], int64."""
        ids = tf.reshape(tf.cast(groups, tf.int64), [-1])
        inside = tf.logical_and(ids >= 0, ids < self.users)
        slots = ids
        if self.users > self.max_users:
            space = (1 << (self.users - 1).bit_length()) - 1
            slots = tf.bitwise.bitwise_and(ids * _MULTIPLIER + _OFFSET, tf.cast(space, tf.int64))
        followed = tf.logical_and(inside, slots < self.followed)
        return tf.where(followed, slots, -tf.ones_like(slots))

    def update_state(
        self, y_true: Any, y_pred: Any, groups: Any, sample_weight: Any = None
    ) -> None:
        """Adds one batch.

        Args:
            y_true: [batch] or [batch, 1], labels in [0, 1].
            y_pred: [batch] or [batch, 1], probabilities (or logits).
            groups: [batch] or [batch, 1], integer user ids.
            sample_weight: [batch], [batch, 1] or a scalar; a mask selects a space.
        """
        y, s, w = _stream.flat_batch(y_true, y_pred, sample_weight)
        logits = _stream.to_logit(s, self.from_logits)
        slots = self.slot(groups)
        ids = tf.reshape(tf.cast(groups, tf.int64), [-1])
        outside = tf.logical_or(ids < 0, ids >= self.users)
        self.outside.assign_add(tf.reduce_sum(tf.where(outside, w, tf.zeros_like(w))))

        w = tf.where(slots < 0, tf.zeros_like(w), w)
        values = tf.stack([w * y, w * (1.0 - y)], axis=1)
        values = tf.cast(_stream.spoil(values, tf.math.is_nan(logits), w), tf.float32)
        bin_index = _stream.logit_bin(logits, self.logit_low, self.logit_high, self.bins)
        index = tf.stack([tf.maximum(slots, 0), tf.cast(bin_index, tf.int64)], axis=1)
        counts = tf.convert_to_tensor(self.counts.value)
        self.counts.assign(tf.tensor_scatter_nd_add(counts, index, values))

    def merge_state(self, others: Iterable["GAUC"]) -> None:
        """Adds the rows that other metrics of the same settings have seen.

        Args:
            others: GAUC metrics with the same configuration.

        Raises:
            ValueError: Where a configuration differs.
        """
        mine = {**self.get_config(), "name": "", "dtype": ""}
        for other in others:
            if (
                type(other) is not type(self)
                or {
                    **other.get_config(),
                    "name": "",
                    "dtype": "",
                }
                != mine
            ):
                raise ValueError(
                    "others: must be GAUC metrics with this metric's settings, received "
                    f"{type(other).__name__}; create them with the same arguments"
                )
            self.counts.assign_add(other.counts)
            self.outside.assign_add(other.outside)

    def _user_mean(self, values: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """Mean of `values` [followed] over users with both classes, by their total weight."""
        classes = tf.reduce_sum(counts, axis=1)
        both = tf.reduce_all(tf.not_equal(classes, 0), axis=1)
        mass = tf.where(both, tf.reduce_sum(classes, axis=1), tf.zeros_like(classes[:, 0]))
        values = tf.where(both, values, tf.zeros_like(values))
        return _stream.divide_or_nan(tf.reduce_sum(mass * values), tf.reduce_sum(mass))

    def result(self) -> tf.Tensor:
        """GAUC in [0, 1], a scalar."""
        counts = tf.cast(self.counts.value, tf.float64)
        return tf.cast(self._user_mean(_derive.auc_of(counts), counts), self.dtype)

    def error_bound(self) -> tf.Tensor:
        """Largest possible distance to the exact GAUC of the followed users, a scalar."""
        counts = tf.cast(self.counts.value, tf.float64)
        return tf.cast(self._user_mean(_derive.auc_bound_of(counts), counts), self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the metric."""
        return {
            **super().get_config(),
            "users": self.users,
            "bins": self.bins,
            "max_users": self.max_users,
            "logit_low": self.logit_low,
            "logit_high": self.logit_high,
            "from_logits": self.from_logits,
        }
