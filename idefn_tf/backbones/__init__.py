"""Backbones: what turns z into a task's hidden layer and logit."""

from __future__ import annotations

import keras

from idefn_tf._registry import REGISTRIES
from idefn_tf.backbones.dcnv2 import DCNv2
from idefn_tf.backbones.deepfm import DeepFM
from idefn_tf.backbones.layer_tower import LayerTower
from idefn_tf.backbones.mlp import MLP
from idefn_tf.backbones.published_dense import PublishedDense

#: Backbones by the name that configs use.
BACKBONES: dict[str, type[MLP]] = REGISTRIES["backbone"]


def get(backbone: keras.layers.Layer | str | None) -> MLP:
    """Returns a backbone: itself, one by name with its defaults, or ``MLP()`` for None.

    Another layer of Keras, a Sequential included, becomes the hidden layers of a `LayerTower`.

    Raises:
        ValueError: if the name is unknown, naming those that exist.

    Example:
        >>> from idefn_tf import backbones
        >>> backbones.get("dcnv2").units, backbones.get(None).units
        ((512, 256, 128, 64), (512, 256, 128, 64))
    """
    if backbone is None:
        return MLP()
    if isinstance(backbone, MLP):
        return backbone
    if isinstance(backbone, keras.layers.Layer):
        return LayerTower(backbone)
    if not isinstance(backbone, str) or backbone not in BACKBONES:
        raise ValueError(
            f"backbone: must be one of {sorted(BACKBONES)}, or a layer of Keras, received "
            f"{backbone!r}"
        )
    return BACKBONES[backbone]()


__all__ = ["BACKBONES", "MLP", "DCNv2", "DeepFM", "LayerTower", "PublishedDense", "get"]
