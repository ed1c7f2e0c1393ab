"""DeepFM: a linear term, all pairwise products of the fields' embeddings, and a perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.backbones.mlp import MLP

if TYPE_CHECKING:
    from idefn_tf.features import FeatureColumns


@register("backbone", "deepfm")
class DeepFM(MLP):
    """Factorization machine and perceptron side by side on the same embeddings.

    Formula::

        logit = w . z + b + sum_k FM_k + MLP(z)
        FM = sum over pairs of fields i < j of v_i * v_j = ((sum_i v_i)^2 - sum_i v_i^2) / 2

    where v_i is field i's part of z and products are element by element, so FM is a vector of the
    embedding width. As in the published runs the first-order term reads the embeddings; the
    original DeepFM keeps a scalar per id. Numeric and multi-hot fields enter the linear term and
    the perceptron only.

    As an expert of a trunk its output is linear(z) + FM + MLP(z), each of the embedding width; a
    Dense layer brings the perceptron to that width where its last hidden layer has another.

    Args:
        **kwargs: of `MLP`.

    Raises:
        ValueError: from `bind`, if there are fewer than two embedded fields or their widths
            differ; from `build`, if `bind` was not called.

    Source: Guo et al., IJCAI 2017 (arXiv 1703.04247).

    Example:
        >>> from idefn_tf.backbones import DeepFM
        >>> from idefn_tf.models import AllNegative
        >>> model = AllNegative(features, DeepFM((8,)))
        >>> scores = model(next(iter(data))[0])
        >>> scores["cvr"].shape.as_list(), [tower.name for tower in model.towers.values()]
        ([8], ['ctr_tower', 'cvr_tower'])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._runs: tuple[tuple[int, int], ...] = ()
        self._width = 0
        self.linear: Any = None
        self.deep: Any = None

    def bind(self, features: FeatureColumns) -> None:
        """Learns which parts of z are embeddings to be paired."""
        widths = features.embedded_widths
        if len(widths) < 2 or len(set(widths)) > 1:
            raise ValueError(
                "features: DeepFM pairs at least two embedded fields of one width, received "
                f"widths {widths}; give every embedded feature the same `embedding`, or use the "
                "backbone 'dcnv2' or 'mlp'."
            )
        self._width = widths[0]
        slices = features.field_slices()
        embedded = [slices[f.name] for f in features.fields if not f.numeric and not f.indicator]
        self._runs = _contiguous(embedded)

    @property
    def output_width(self) -> int:
        """The width of an expert's output: that of an embedding."""
        return self._width

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Builds the linear term and the perceptron."""
        if not self._runs:
            raise ValueError("features: DeepFM must be bound to them before build; call bind()")
        shape = tuple(input_shape)
        self.linear = self.dense(1 if self.head else self._width, name="linear")
        self.linear.build(shape)
        if not self.head and self.units[-1] != self._width:
            self.deep = self.dense(self._width, name="deep")
            self.deep.build((None, self.units[-1]))
        super().build(shape)

    def second_order(self, z: tf.Tensor) -> tf.Tensor:
        """Returns FM [B, embedding width] of z [B, d]."""
        parts = [
            tf.reshape(z[:, start:end], [-1, (end - start) // self._width, self._width])
            for start, end in self._runs
        ]
        fields = parts[0] if len(parts) == 1 else tf.concat(parts, 1)
        square_of_sum = tf.square(tf.reduce_sum(fields, 1))
        return 0.5 * (square_of_sum - tf.reduce_sum(tf.square(fields), 1))

    def logits(self, z: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the three parts, [B, 1]."""
        pairs = tf.reduce_sum(self.second_order(z), 1, keepdims=True)
        return self.linear(z) + pairs + self.logit(hidden)

    def extract(self, z: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        """Returns an expert's output [B, embedding width]."""
        deep = hidden if self.deep is None else self.deep(hidden)
        return self.linear(z) + self.second_order(z) + deep


def _contiguous(slices: Sequence[slice]) -> tuple[tuple[int, int], ...]:
    """Merges adjacent slices into (start, end) runs."""
    runs: list[tuple[int, int]] = []
    for at in slices:
        if runs and runs[-1][1] == at.start:
            runs[-1] = (runs[-1][0], at.stop)
        else:
            runs.append((at.start, at.stop))
    return tuple(runs)
