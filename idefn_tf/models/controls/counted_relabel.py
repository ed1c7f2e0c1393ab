"""CountedRelabel: controls that relabel as many rows as the transport would, by another score."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from idefn_tf._options import check_arguments
from idefn_tf._types import Share
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.methods.all_negative import AllNegative
from idefn_tf.models.top_rows import top_rows


@check_arguments
class CountedRelabel(AllNegative):
    """Eq. 15 with r~ = 1 on the round(kappa N_U) unclicked rows of the greatest score.

    As under the transport, a batch without a converted row relabels nothing. Rows of weight 0
    count neither as unclicked nor as converted.

    Args:
        kappa: share of the unclicked rows to relabel, in [0, 1].
        **kwargs: of `AllNegative`.

    Raises:
        ValueError: if `kappa` is outside [0, 1].
    """

    monitors = {"pseudo_positives": "sum", "pseudo_positive_rate": "mean"}

    def __init__(self, *args: Any, kappa: Share = 0.02, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kappa = kappa

    def scores(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        """Returns the score [B] by which rows are chosen; read on unclicked rows only."""
        raise NotImplementedError(f"{type(self).__name__} must define scores")

    def pseudo_labels(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        """Returns r~ [B], and reports how many there are."""
        present = tf.cast(batch.weight > 0.0, tf.float32)
        candidates = present * batch.unclicked
        unclicked = tf.reduce_sum(candidates)
        known = self.samples(outputs, batch).known
        converted = tf.reduce_sum(present * batch.click * known)
        count = tf.where(converted > 0.0, tf.round(self.kappa * unclicked), 0.0)
        labels = top_rows(self.scores(outputs, batch), candidates, count)
        chosen = tf.reduce_sum(labels)
        outputs.monitor["pseudo_positives"] = chosen
        outputs.monitor["pseudo_positive_rate"] = tf.math.divide_no_nan(chosen, unclicked)
        return labels

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "kappa": self.kappa}
