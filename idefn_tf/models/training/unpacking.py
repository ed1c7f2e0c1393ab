"""From what a data set gives to encoded features and a `Batch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from idefn_tf.models.batch import Batch
from idefn_tf.schema import CLICK, CONVERSION

if TYPE_CHECKING:
    from idefn_tf.features import FeatureColumns


def unpack(
    data: Any, features: FeatureColumns, model: str, extra_labels: Sequence[str], training: bool
) -> tuple[dict[str, Any], Batch]:
    """Returns encoded features, and labels and weights as a method reads them.

    Args:
        data: (features, labels) or (features, labels, sample_weight).
        features: the layer that encodes.
        model: its class, for the message.
        extra_labels: names of the further labels that training needs.
        training: whether it does.

    Raises:
        ValueError: if a label is missing.
    """
    values, labels, weight = keras.utils.unpack_x_y_sample_weight(data)
    if not isinstance(labels, Mapping) or not {CLICK, CONVERSION} <= set(labels):
        raise ValueError(
            "labels: must be a dict with 'click' and 'conversion', received "
            f"{sorted(labels) if isinstance(labels, Mapping) else type(labels).__name__}; "
            "open_dataset gives batches of that form."
        )
    if training and not set(extra_labels) <= set(labels):
        raise ValueError(
            f"labels: {model} learns from {list(extra_labels)}, received "
            f"{sorted(labels)}; add the column, or choose a method that does without."
        )
    if isinstance(weight, Mapping):  # Keras gives the weights of arrays to every label
        weight = weight[CLICK]
    extra = {name: _flat(labels[name]) for name in extra_labels if name in labels}
    encoded = values if features.is_encoded(values) else features.encode(values)
    click = _flat(labels[CLICK])
    conversion = _flat(labels[CONVERSION]) * click
    weights = tf.ones_like(click) if weight is None else _flat(weight)
    return dict(encoded), Batch(click, conversion, weights, extra)


def _flat(values: Any) -> tf.Tensor:
    return tf.reshape(tf.cast(values, tf.float32), [-1])
