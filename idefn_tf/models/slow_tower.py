"""A copy of a tower whose weights follow the original's slowly."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from idefn_tf._options import check_arguments
from idefn_tf._types import ShareBelowOne


@check_arguments
class SlowTower(keras.layers.Layer):
    """What a tower was lately, on average: representations that do not jump from step to step.

    Every weight w' of the copy starts as the tower's w and after each training step becomes::

        w' <- decay w' + (1 - decay) w

    Args:
        tower: the tower (`idefn_tf.backbones`) that is followed.
        features: the model's feature columns, which some towers read field by field.
        decay: in [0, 1); .99 is an average over about a hundred steps.

    Attributes:
        decay: as given.

    Raises:
        ValueError: if `decay` is out of its range.
    """

    def __init__(
        self, tower: Any, features: Any, decay: ShareBelowOne = 0.99, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "trainable": False})
        self.decay = float(decay)
        name = f"{tower.name}_average"
        self.copy = type(tower).from_config({**tower.get_config(), "name": name})
        self.copy.bind(features)

    def build(self, input_shape: Any) -> None:
        """Creates the copy's weights for inputs of shape [B, d]."""
        self.copy.build(input_shape)
        self.copy.trainable = False  # not before: layers that it makes in building must know, too
        self.built = True

    def start_from(self, tower: Any) -> None:
        """Takes the tower's weights over as they are."""
        for own, followed in self._pairs(tower):
            own.assign(followed)

    def follow(self, tower: Any) -> None:
        """Moves every weight towards the tower's."""
        for own, followed in self._pairs(tower):
            value = tf.convert_to_tensor(own.value)
            own.assign(value + (1 - self.decay) * (tf.convert_to_tensor(followed.value) - value))

    def call(self, z: tf.Tensor) -> tf.Tensor:
        """Returns the copy's last hidden layer [B, h] on z [B, d], as in inference."""
        _, hidden = self.copy(z, training=False)
        return hidden

    def _pairs(self, tower: Any) -> list[tuple[keras.Variable, keras.Variable]]:
        """Weights of the copy beside the tower's; a dropout's random state is no average."""
        pairs = zip(self.copy.weights, tower.weights, strict=True)
        return [(own, followed) for own, followed in pairs if "float" in str(own.dtype)]
