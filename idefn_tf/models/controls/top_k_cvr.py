"""TopKCVR: the control that relabels the unclicked rows it already scores highest."""

from __future__ import annotations

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.controls.counted_relabel import CountedRelabel


@register("control", "top_k_cvr")
class TopKCVR(CountedRelabel):
    """Eq. 15 with the round(kappa N_U) unclicked rows of the greatest current r^ as positives.

    Plain self-training: it can only confirm what the model believes. The score carries no gradient.

    Args:
        **kwargs: of `CountedRelabel` (kappa) and `AllNegative`.

    Raises:
        ValueError: if `kappa` is outside [0, 1].

    Example:
        >>> from idefn_tf.models import TopKCVR
        >>> model = TopKCVR(features, MLP((8,)), kappa=0.5)
        >>> model.pseudo_labels(outputs, batch).numpy().tolist()
        [0.0, 0.0, 0.0, 1.0]
    """

    def scores(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        """Returns the CVR logits [B]."""
        return outputs.logits["cvr"]
