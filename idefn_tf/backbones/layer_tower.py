"""LayerTower: any layer or Sequential of Keras as a backbone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.backbones.mlp import MLP


@register("layer", public=False)
class LayerTower(MLP):
    """A task's tower whose hidden layers are a Keras layer of one's own; one logit follows.

    The layer turns z [B, d] into a last hidden layer [B, h]; every task has a clone of it. It needs
    `get_config` for that, and to be registered (``@register("layer")``) for saved models.

    Args:
        layer: a ``keras.layers.Layer``, a ``keras.Sequential`` included.

    Raises:
        ValueError: if it cannot be cloned, gives another form, or is to be an expert of a trunk.

    Example:
        >>> import keras
        >>> from idefn_tf.backbones import LayerTower
        >>> tower = LayerTower(keras.layers.Dense(3, activation="relu")).for_task("cvr")
        >>> logit, hidden = tower(tf.zeros([2, 9]))
        >>> logit.shape.as_list(), hidden.shape.as_list()
        ([2], [2, 3])
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        with _in_one_sentence(layer):
            layer.get_config()
        super().__init__(units=(1,), **kwargs)
        self.layer = layer
        self._width = 0

    def hidden_blocks(self) -> list[keras.layers.Layer]:
        """Returns none of its own."""
        return []

    @property
    def hidden_width(self) -> int:
        """The width of the layer's output, known once it is built."""
        return self._width

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Builds the layer for z of shape [B, width], and the logit."""
        shape = tuple(self.layer(keras.KerasTensor(tuple(input_shape), self.compute_dtype)).shape)
        if len(shape) != 2 or shape[1] is None:
            raise ValueError(
                f"backbone: must give a last hidden layer [B, h], received the shape {shape} from "
                f"{self.layer.name!r};\nthe model itself adds the logit"
            )
        self._width = int(shape[1])
        self.logit.build(shape)
        self.built = True

    def hidden(self, z: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the layer's output, [B, h]; Keras hands `training` on."""
        return self.layer(z)

    def for_task(self, name: str) -> MLP:
        """Returns a fresh clone for one task."""
        return LayerTower(_clone(self.layer), name=f"{name}_tower")

    def for_expert(self, name: str, units: Sequence[int]) -> MLP:
        """Refused: a trunk gives its experts widths."""
        raise ValueError(
            "backbone: must be one that a trunk can give widths, such as MLP((128,)), received the "
            f"layer {self.layer.name!r};\nleave the trunk out, or write a backbone (docs: extend)"
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the layer, serialized."""
        config = keras.layers.Layer.get_config(self)
        return {**config, "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LayerTower:
        """Builds the tower from `get_config`'s dictionary."""
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    if isinstance(layer, keras.Sequential) or hasattr(layer, "operations"):  # or functional
        return keras.models.clone_model(layer)
    with _in_one_sentence(layer):
        return type(layer).from_config(layer.get_config())


@contextlib.contextmanager
def _in_one_sentence(layer: keras.layers.Layer) -> Iterator[None]:
    try:
        yield
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"backbone: must be a layer that can be cloned for every task, received {layer.name!r} "
            f"({' '.join(str(error).split())[:120]});\ndefine get_config, which returns the "
            "constructor's arguments"
        ) from None
