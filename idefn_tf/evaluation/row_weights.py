"""Down-sampled logs: the weights with which their rows stand for the full log."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from idefn_tf.schema import CLICK, Schema


def row_weights(
    schema: Schema, arrays: Mapping[str, np.ndarray], whole_log: bool = False
) -> np.ndarray:
    """Returns the weights with which the log's rows stand for the full log, [rows].

    Where the log kept a share w of the unclicked rows, each of them counts 1 / w times, as the
    scores are corrected to the full log too.

    Args:
        schema: its ``labels.negative_keep_rate`` is w.
        arrays: "click" and "sample_weight" of the rows, as `idefn_tf.data.to_arrays` gives them.
        whole_log: the rows are a log that kept all of them, whatever the schema says of the log
            that a model was trained on; each counts once.
    """
    keep_rate = 1.0 if whole_log else schema.labels.negative_keep_rate
    kept = np.where(arrays[CLICK] > 0, 1.0, keep_rate)
    weights: np.ndarray = arrays["sample_weight"] / kept.astype(np.float32)
    return weights
