"""Training rows with the truth of unclicked rows, for the control that is told it.

The truth is the simulator's potential conversion, or on logs the recorded conversion of unclicked
rows. Only `oracle_relabel`, the ceiling of any relabelling, may learn from it; every other method
reads rows through `idefn_tf.data`, which hides it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.data import Encoder, EpochClock, encode_dataset, to_arrays
from idefn_tf.data.dataset import feature_signature
from idefn_tf.models.controls.oracle_relabel import ORACLE
from pipelines.experiment.config import Training
from pipelines.experiment.evaluation import report_columns
from pipelines.preparation.prepared_folder import Prepared

LABELS = ("click", "conversion", ORACLE)


def open_with_truth(
    data: Prepared,
    settings: Training,
    clock: EpochClock,
    shard: tuple[int, int] = (0, 1),
    encode: Encoder | None = None,
    feedback_labels: bool = False,
) -> tf.data.Dataset:
    """Opens the training rows shuffled, with the label `oracle_conversion`.

    Args:
        data: the prepared folder; all its training rows are held in memory.
        settings: batch size and seed.
        clock: tells the epoch.
        shard: (index, count) of the worker whose share of every batch is read.
        encode: what encodes the rows, batch by batch; None leaves them raw.
        feedback_labels: must be False, for these rows have no times.

    Returns:
        Batches of (features, labels, sample_weight); a last batch that is not full is left out.

    Raises:
        ValueError: if labels of delays are asked for.
    """
    if feedback_labels:
        raise ValueError(
            "feedback_labels: must be False for rows with the oracle's label, received True; "
            "take a feedback that needs no times"
        )
    arrays = to_arrays(data.schema, data.table("train"))
    report = report_columns(data, "train")
    truth = report.get("oracle_conversion", report["conversion_raw"])
    arrays[ORACLE] = np.asarray(truth, np.float32)
    rows, size = len(truth), settings.batch_size
    index, workers = shard

    def deal() -> Iterator[Any]:
        order = np.random.default_rng([settings.seed, clock.start()]).permutation(rows)
        for start in range(0, max(rows - size, 0) + 1, size):
            at = order[start : start + size][index::workers]
            features = {name: arrays[name][at] for name in signature}
            yield features, {name: arrays[name][at] for name in LABELS}, arrays["sample_weight"][at]

    signature = feature_signature(data.schema)
    label = tf.TensorSpec([None], tf.float32)
    specs = (signature, dict.fromkeys(LABELS, label), label)
    dataset = tf.data.Dataset.from_generator(deal, output_signature=specs)
    count = max(rows // size, 1)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    return dataset if encode is None else encode_dataset(dataset, encode)
