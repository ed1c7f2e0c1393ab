"""Labels and weights of a batch in the input pipeline: what no loss can use ends the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from idefn_tf.data.feedback_labels import CURE, RULES
from idefn_tf.schema import CLICK, CONVERSION, CONVERSION_FINAL

_BINARY = (CLICK, CONVERSION, CONVERSION_FINAL)


def check_labels(labels: Any = None, weight: Any = None) -> list[Any]:
    """Returns the assertions over a batch's labels and weights, by name; other forms have none.

    Args:
        labels: vectors by name, as a data set's second part has them.
        weight: one number a row, or None.
    """
    checks = []
    for name, values in labels.items() if isinstance(labels, Mapping) else ():
        if name in (CLICK, CONVERSION):
            rule = f"source: label column {name!r} must hold 0 and 1, received"
            told: list[Any] = [rule, values, "; write 0 where there was none"]
        elif name in RULES:
            told = [f"source: column {name!r} {RULES[name]}, received", values, f"; {CURE}"]
        else:
            continue
        holds = _all_binary(values) if name in _BINARY else tf.reduce_all(values >= 0)
        checks.append(tf.debugging.Assert(holds, told))
    if isinstance(weight, tf.Tensor):
        cure = "; give rows that are not to count a weight of 0"
        told = ["source: sample_weight must be 0 or more, received", weight, cure]
        checks.append(tf.debugging.Assert(tf.reduce_all(weight >= 0), told))
    return checks


def _all_binary(label: Any) -> tf.Tensor:
    number = tf.cast(label, tf.float32)
    return tf.reduce_all(tf.logical_or(tf.equal(number, 0.0), tf.equal(number, 1.0)))
