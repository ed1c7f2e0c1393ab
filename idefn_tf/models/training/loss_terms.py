"""Loss terms: their names, their weights, and the penalties of layers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from idefn_tf._keras_private import take_added_losses
from idefn_tf._rules import Number, checked
from idefn_tf.models.replica_sums import replica_count, total

#: Under this name `model.losses` join the loss.
REGULARIZATION = "regularization"
_RESERVED = ("loss", REGULARIZATION)


def check_terms(model: str, losses: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuses terms that `loss_names` does not name, and names without a term.

    Args:
        model: its class, for the message.
        losses: what `compute_losses` returned.
        names: the class's `loss_names`.

    Raises:
        ValueError: naming the model, the term and the known names.
    """
    unknown = sorted(set(losses) - set(names))
    missing = sorted(set(names) - set(losses))
    taken = [name for name in names if name in _RESERVED]
    if unknown or missing or taken:
        wrong = [f"{name!r}, which loss_names lacks" for name in unknown]
        wrong += [f"no {name!r}" for name in missing]
        wrong += [f"the name {name!r}, which is the sum's or the layers' own" for name in taken]
        raise ValueError(
            f"compute_losses: {model} must return the terms that its loss_names name, "
            f"{list(names)}, received {'; '.join(wrong)};\nname every term in loss_names, and "
            "return every one"
        )


def check_weights(model: str, weights: Any, names: Sequence[str]) -> dict[str, float]:
    """Returns `compile`'s loss_weights as {term: weight}.

    Raises:
        ValueError: if they are no mapping of numbers by the terms' names.
    """
    if weights is None:
        return {}
    if not isinstance(weights, Mapping) or not set(weights) <= set(names):
        received = sorted(weights) if isinstance(weights, Mapping) else weights
        raise ValueError(
            f"loss_weights: must give weights by the names of {model}'s terms, {list(names)}, "
            f"received {received!r};\nwrite loss_weights={{{(list(names) or ['loss'])[0]!r}: 0.5}}"
        )
    rule = Number(least=0.0)
    for name, value in weights.items():
        checked(f"loss_weights[{name!r}]", rule, value)
    return {name: float(value) for name, value in weights.items()}


def weighted_sum(losses: Mapping[str, tf.Tensor], weights: Mapping[str, float]) -> tf.Tensor:
    """Returns the sum of the terms, each times its weight (1 where none is given)."""
    terms = [loss * weights[n] if n in weights else loss for n, loss in losses.items()]
    return tf.add_n(terms)


def penalties(model: keras.Model) -> tf.Tensor | None:
    """Returns the sum of `model.losses`, or None where there is none; forgets what was added.

    These are what regularizers of trainable weights say and what layers gave to `add_loss` in this
    step. Several replicas share the sum: each has the gradient of its share.
    """
    added = take_added_losses(model)
    return summed([*added, *model.losses])  # of the weights alone: what was added is taken


def summed(losses: Sequence[Any]) -> tf.Tensor | None:
    """Returns the sum of scalars, the mean of it over replicas, or None where there is none."""
    if not losses:
        return None
    whole = tf.add_n([tf.reduce_sum(tf.cast(loss, tf.float32)) for loss in losses])
    return total(whole) / replica_count() if replica_count() > 1 else whole


def joined(losses: Mapping[str, tf.Tensor], penalty: tf.Tensor | None) -> dict[str, tf.Tensor]:
    """Adds a penalty to "loss" and "regularization"; None leaves both as they are."""
    if penalty is None:
        return dict(losses)
    before = losses.get(REGULARIZATION)
    whole = penalty if before is None else before + penalty
    return {**losses, "loss": losses["loss"] + penalty, REGULARIZATION: whole}
