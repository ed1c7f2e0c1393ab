"""From what a data set gives to encoded features and a `Batch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from idefn_tf.models.batch import ARRIVAL, SAMPLE_WEIGHT, Batch
from idefn_tf.schema import CLICK, CONVERSION, FEEDBACK_LABELS

if TYPE_CHECKING:
    from idefn_tf.features import FeatureColumns


def unpack(
    data: Any,
    features: FeatureColumns,
    model: str,
    extra_labels: Sequence[str],
    feedback_labels: Sequence[str],
    training: bool,
) -> tuple[dict[str, Any], Batch]:
    """Returns encoded features, and labels and weights as a method reads them.

    Args:
        data: (features, labels) or (features, labels, sample_weight).
        features: the layer that encodes.
        model: its class, for the message.
        extra_labels: names of the further labels that training needs.
        feedback_labels: those that the model's label likelihood needs.
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
    if training:
        _check_feedback(model, feedback_labels, labels)
    if training and not set(extra_labels) <= set(labels):
        raise ValueError(
            f"labels: {model} learns from {list(extra_labels)}, received "
            f"{sorted(labels)}; add the column, or choose a method that does without."
        )
    if isinstance(weight, Mapping):  # Keras gives the weights of arrays to every label
        weight = weight[CLICK]
    names = [name for name in (*extra_labels, *feedback_labels, ARRIVAL) if name in labels]
    extra = {name: _flat(labels[name]) for name in names}
    encoded = values if features.is_encoded(values) else features.encode(values)
    click = _flat(labels[CLICK])
    conversion = _flat(labels[CONVERSION]) * click
    weights = tf.ones_like(click) if weight is None else _flat(weight)
    if ARRIVAL in extra:  # a duplicate is no exposure
        extra[SAMPLE_WEIGHT] = weights
        weights = tf.where(extra[ARRIVAL] > 0.5, 0.0, weights)
    return dict(encoded), Batch(click, conversion, weights, extra)


def _check_feedback(model: str, needed: Sequence[str], labels: Mapping[str, Any]) -> None:
    """Raises ValueError where a label is missing that the label likelihood needs."""
    missing = [name for name in needed if name not in labels]
    if not missing:
        return
    cure = (
        "name labels.click_time, labels.conversion_time and labels.attribution in the schema, "
        "prepare the log again (--as-of says the moment), and open it with feedback_labels=True"
        if set(missing) <= set(FEEDBACK_LABELS)
        else "add the column, or choose a feedback that does without"
    )
    raise ValueError(
        f"labels: the feedback of {model} must be given {missing}, received {sorted(labels)};\n"
        f"{cure}"
    )


def _flat(values: Any) -> tf.Tensor:
    return tf.reshape(tf.cast(values, tf.float32), [-1])
