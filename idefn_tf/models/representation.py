"""What the transport compares rows by: parts of z, a tower's hidden layer, the model's own CVR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from idefn_tf.models.batch import Outputs

EMBEDDINGS, HIDDEN, AVERAGE, CVR = "embeddings", "hidden", "hidden_average", "cvr"
CLICKS, HISTORY, SEQUENCES = "hidden_ctr", "history", "sequences"
#: Words that give way to a feature of that very name.
YIELDING = (CLICKS, HISTORY, SEQUENCES)
OWN = (EMBEDDINGS, HIDDEN, AVERAGE, CLICKS, CVR, HISTORY, SEQUENCES)


class Representation:
    """One part, or several side by side.

    Parts: "embeddings" (all of z), "hidden" (the CVR tower's last hidden layer), "hidden_average"
    (that of a `SlowTower` which follows it), "hidden_ctr" (the CTR tower's), "cvr" (its logit) and
    the name of any feature (its columns of z). "history" stands for the names of all aggregates
    over past events, "sequences" for those of all behaviour sequences' parts: what the encoder made
    of them, which under "din", "target_attention" and "transformer" is the past as the row's item
    attends to it. Where a feature is itself called "hidden_ctr", "history" or "sequences", the word
    means that feature. Rows that share an id have distance 0 in that
    feature's columns, so ``["video_id", "author_id"]`` matches within the item's neighbourhood and
    ``["user_id"]`` within the user's. Several parts are each divided by the root of the batch's
    mean squared distance from its mean, so that the widest does not decide alone; a part alone is
    left as it is, for the cost is scaled anyway.

    Args:
        parts: a name, or several.
        features: the model's feature columns.

    Attributes:
        names: the parts, a tuple of str.

    Raises:
        ValueError: if there is no part, or one that nothing is known of.
    """

    def __init__(self, parts: str | Sequence[str], features: Any) -> None:
        self.names = (parts,) if isinstance(parts, str) else tuple(parts)
        self._slices: dict[str, slice] = features.field_slices()
        self._features = {n for n in self._slices if n in YIELDING or n not in OWN}
        groups = {
            HISTORY: [f.name for f in features.fields if f.history],
            SEQUENCES: [f.name for f in features.fields if f.sequence is not None],
        }
        groups = {n: names for n, names in groups.items() if n not in self._features}
        for name in self.names:
            if name in groups and not groups[name]:
                raise ValueError(
                    f"representation: must name a part that the features have, received {name!r} "
                    f"of features without; declare `{name}` in the schema, or choose another part"
                )
        self._parts = tuple(p for name in self.names for p in groups.get(name, [name]))
        unknown = [n for n in self._parts if n not in {*self._slices, *OWN}]
        if unknown or not self.names:
            raise ValueError(
                f"representation: must be of {list(OWN)} and the features' names "
                f"{sorted(self._slices)}, received {parts!r}; give one of them, or a list"
            )
        self._width = features.output_width

    def width(self, hidden_width: int) -> int:
        """Returns the number of columns, given those of a tower's last hidden layer."""
        hidden = dict.fromkeys((HIDDEN, AVERAGE, CLICKS), hidden_width)
        own = {EMBEDDINGS: self._width, CVR: 1, **hidden}
        sizes = {**own, **{n: self._slices[n].stop - self._slices[n].start for n in self._features}}
        return sum(sizes[name] for name in self._parts)

    def __call__(self, outputs: Outputs) -> tf.Tensor:
        """Returns the rows' representation [B, width], without gradient."""
        parts = [tf.stop_gradient(self._part(name, outputs)) for name in self._parts]
        if len(parts) == 1:
            return parts[0]
        return tf.concat([_of_unit_spread(part) for part in parts], axis=-1)

    def _part(self, name: str, outputs: Outputs) -> tf.Tensor:
        if name in self._features:
            return outputs.z[:, self._slices[name]]
        if name == EMBEDDINGS:
            return outputs.z
        if name == HIDDEN:
            return outputs.hidden["cvr"]
        if name == CLICKS:
            return outputs.hidden["ctr"]
        if name == AVERAGE:
            return outputs.hidden[AVERAGE]
        return outputs.logits["cvr"][:, None]

    def as_config(self) -> str | list[str]:
        """Returns the parts as a config writes them."""
        return self.names[0] if len(self.names) == 1 else list(self.names)


def _of_unit_spread(part: tf.Tensor) -> tf.Tensor:
    part = tf.cast(part, tf.float32)
    centred = part - tf.reduce_mean(part, axis=0, keepdims=True)
    spread = tf.reduce_mean(tf.reduce_sum(tf.square(centred), axis=-1))
    return tf.math.divide_no_nan(part, tf.sqrt(spread))
