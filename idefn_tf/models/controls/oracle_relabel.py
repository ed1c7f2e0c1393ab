"""OracleRelabel: the control that is told which unclicked rows would have converted."""

from __future__ import annotations

import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.methods.all_negative import AllNegative

#: The label that only studies on simulated data (or on recorded unclicked conversions) feed.
ORACLE = "oracle_conversion"


@register("control", "oracle_relabel")
class OracleRelabel(AllNegative):
    """Eq. 15 with the true potential conversion of every unclicked row as its label.

    The ceiling of any relabelling under this loss; never a method to deploy. Training batches must
    carry the label ``oracle_conversion`` beside click and conversion. Evaluation and audits do not
    see it, and reckon with r~ = 0 there.

    Args:
        **kwargs: of `AllNegative`.

    Example:
        >>> from idefn_tf.models import OracleRelabel
        >>> model = OracleRelabel(features, MLP((8,)))
        >>> model.pseudo_labels(outputs, batch).numpy().tolist()
        [0.0, 0.0, 0.0, 1.0]
    """

    extra_labels = (ORACLE,)
    monitors = {"pseudo_positives": "sum", "pseudo_positive_rate": "mean"}

    def pseudo_labels(self, outputs: Outputs, batch: Batch) -> tf.Tensor:
        """Returns the oracle's labels [B] on unclicked rows, and reports how many are 1."""
        labels = batch.extra.get(ORACLE, tf.zeros_like(batch.click)) * batch.unclicked
        present = tf.cast(batch.weight > 0.0, tf.float32)
        chosen = tf.reduce_sum(present * labels)
        outputs.monitor["pseudo_positives"] = chosen
        outputs.monitor["pseudo_positive_rate"] = tf.math.divide_no_nan(
            chosen, tf.reduce_sum(present * batch.unclicked)
        )
        return labels
