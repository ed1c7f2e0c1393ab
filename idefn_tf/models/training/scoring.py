"""Scoring of batches in `predict` and `evaluate`: towers meet few numbers of rows."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from idefn_tf._keras_private import take_added_losses
from idefn_tf.models.batch import Outputs
from idefn_tf.models.replica_sums import replica_count
from idefn_tf.models.training.metric_tracking import TrackedModel
from idefn_tf.models.training.row_padding import RowPadding, cut

if TYPE_CHECKING:
    from idefn_tf.features import FeatureColumns

#: Whether a step of `predict` is being drawn or run here.
_PREDICTING = ContextVar("predicting", default=False)


class ScoredModel(TrackedModel):
    """Keras model whose forward passes outside of training pad a last batch (`RowPadding`).

    Losses, the transport and metrics meet the batch as it is. Several replicas pad nothing.
    """

    features: FeatureColumns

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._row_padding = RowPadding()

    def forward(self, z: tf.Tensor, training: bool) -> Outputs:
        """Runs the towers on z; see `EntireSpaceModel`."""
        raise NotImplementedError

    def predict_step(self, data: Any) -> Any:
        """One step of `predict`: scores by name, [B]."""
        token = _PREDICTING.set(True)
        try:
            return super().predict_step(data)
        finally:
            _PREDICTING.reset(token)

    def outputs_of(self, features: Mapping[str, Any], training: bool) -> Outputs:
        """Returns the forward pass of a call: in a step of `predict` by `scored`."""
        if _PREDICTING.get() and not training:
            return self.scored(features)
        return self.forward(self.features(features), training)

    def scored(self, features: Mapping[str, Any]) -> Outputs:
        """Returns the forward pass of a step that trains nothing, and adds what layers add.

        Where layers gave anything to `add_loss`, which may sum over rows, nothing is padded. Nor is
        it where a model's own `forward` leaves more than `Outputs` asks for.

        Args:
            features: of a batch, raw or encoded.
        """
        take_added_losses(self)
        if replica_count() == 1:
            padded, rows = self._row_padding.padded(dict(features))
            outputs = self.forward(self.features(padded), training=False)
            if not (take_added_losses(self) or outputs.monitor or outputs.cache):
                return Outputs(*cut((outputs.z, outputs.logits, outputs.hidden), rows))
        return self.forward(self.features(features), training=False)
