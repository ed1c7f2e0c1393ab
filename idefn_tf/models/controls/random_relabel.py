"""RandomRelabel: the control that relabels unclicked rows by lot."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf._types import Seed
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.controls.counted_relabel import CountedRelabel


@register("control", "random_relabel")
class RandomRelabel(CountedRelabel):
    """Eq. 15 with round(kappa N_U) unclicked rows drawn uniformly as pseudo-positives.

    What is left of a gain here is due to the number of pseudo-positives, not to their choice.

    Args:
        kappa: share of the unclicked rows to relabel.
        seed: of the draw; default Keras' global seed.
        **kwargs: of `AllNegative`.

    Raises:
        ValueError: if `kappa` is outside [0, 1].

    Example:
        >>> from idefn_tf.models import RandomRelabel
        >>> model = RandomRelabel(features, MLP((8,)), kappa=0.5, seed=1)
        >>> labels_ = model.pseudo_labels(outputs, batch).numpy()
        >>> float(labels_.sum()), labels_[:2].tolist()  # one of two unclicked rows, no clicked one
        (1.0, [0.0, 0.0])
    """

    def __init__(self, *args: Any, seed: Seed | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seed = seed
        self.draws = keras.random.SeedGenerator(seed)

    def scores(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        """Returns uniform random numbers [B]."""
        return keras.random.uniform(tf.shape(batch.click), seed=self.draws)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}
