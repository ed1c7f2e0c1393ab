"""Checks of the closed forms: options always, values where they are not tensors."""

from typing import Any

import numpy as np
import tensorflow as tf


def probability(name: str, value: Any) -> Any:
    """Returns `value` as it is (tensors) or as float64 (the rest), refusing what is no probability.

    Args:
        name: The argument's name, for the message.
        value: A tensor of probabilities, or an array or number.

    Raises:
        ValueError: On an array that leaves [0, 1] or holds NaN; tensors are not looked at.
    """
    if tf.is_tensor(value):
        return value
    array = np.asarray(value, dtype=np.float64)
    bad = ~((array >= 0) & (array <= 1))
    if bad.any():
        raise ValueError(
            f"`{name}` must hold probabilities in [0, 1]. Received: {int(bad.sum())} of "
            f"{array.size} values are not. Apply the sigmoid to logits and remove NaN."
        )
    return array


def share(name: str, value: float) -> float:
    """Returns `value`, refusing what does not lie in (0, 1]."""
    if not 0 < value <= 1:
        raise ValueError(f"`{name}` must lie in (0, 1]. Received: {value}. 1 means no change.")
    return float(value)


def clip(value: Any, low: float, high: float) -> Any:
    """Clips a tensor or an array."""
    if tf.is_tensor(value):
        return tf.clip_by_value(value, tf.cast(low, value.dtype), tf.cast(high, value.dtype))
    return np.clip(value, low, high)
