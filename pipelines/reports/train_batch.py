"""One training batch as the model sees it: encoded rows, labels, pseudo-labels, the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from numpy.typing import NDArray

from idefn_tf.data import to_arrays
from idefn_tf.data.feedback_labels import FeedbackLabels
from idefn_tf.models import AllNegative, IdeFN
from idefn_tf.models.batch import Batch
from idefn_tf.schema import FEEDBACK_LABELS
from pipelines.reports.material import Material


@dataclass(frozen=True)
class TrainBatch:
    """A batch drawn from the training rows.

    Attributes:
        table: its rows as prepared.
        encoded: what `FeatureColumns.encode` gives.
        labelled: labels and weights as a loss sees them.
        click: [rows].
        conversion: [rows], 0 where unclicked.
        truth: what is recorded of every row's conversion (or the oracle's) [rows].
        truth_name: what `truth` is.
        cvr: predicted CVR [rows].
        z: what the method compares rows by [rows, width].
        relabelled: unclicked rows that got a pseudo-label, boolean [rows], or None where the
            method has none.
        matches: what the transport found, or None where the method has no transport.
    """

    table: pa.Table
    encoded: dict[str, tf.Tensor]
    labelled: Batch
    click: NDArray
    conversion: NDArray
    truth: NDArray
    truth_name: str
    cvr: NDArray
    z: NDArray
    relabelled: NDArray | None
    matches: Any = None

    def __len__(self) -> int:
        return len(self.click)

    @property
    def positives(self) -> NDArray:
        """Rows with an observed conversion after a click, in order."""
        return np.flatnonzero(self.conversion > 0.5)


def draw_batch(material: Material) -> TrainBatch | None:
    """Draws one batch of the run's own size, shuffled by the report's seed.

    Returns:
        The batch, or None without training data.
    """
    rows = material.train_rows
    if rows is None:
        return None
    run = material.main
    size = min(run.config.training.batch_size, len(rows))
    at = np.sort(np.random.default_rng(material.seed).permutation(len(rows))[:size])
    table = rows.table.take(pa.array(at))
    told = set(FEEDBACK_LABELS) <= set(table.column_names)
    arrays = to_arrays(run.schema, table, feedback=FeedbackLabels() if told else None)
    model = run.model
    names = model.features.raw_names
    encoded = dict(model.features.encode({n: tf.constant(arrays[n]) for n in names}))
    extra = _extra(model.extra_labels, rows.columns, at)
    extra |= {n: tf.constant(arrays[n]) for n in model.feedback.labels if n in arrays}
    labelled = Batch(
        tf.constant(arrays["click"]),
        tf.constant(arrays["conversion"]),
        tf.constant(arrays["sample_weight"]),
        extra,
    )
    outputs = model.forward(model.features(encoded), training=False)
    matches = labels = None
    z = outputs.z
    if isinstance(model, IdeFN):
        matches = model.match(outputs, labelled)
        labels = np.asarray(matches.labels)
        z = model.representation(outputs)
    elif isinstance(model, AllNegative) and type(model) is not AllNegative:
        labels = np.asarray(model.pseudo_labels(outputs, labelled))
    truth_name = next(n for n in ("oracle_conversion", "conversion_raw") if n in rows.columns)
    relabelled = None
    if labels is not None:
        relabelled = (arrays["click"] < 0.5) & (labels > model.label_floor)
    return TrainBatch(
        table=table,
        encoded=encoded,
        labelled=labelled,
        click=arrays["click"],
        conversion=arrays["conversion"] * arrays["click"],
        truth=np.asarray(rows.columns[truth_name])[at],
        truth_name=truth_name,
        cvr=np.asarray(outputs.probability("cvr")),
        z=np.asarray(z),
        relabelled=relabelled,
        matches=matches,
    )


def _extra(names: Sequence[str], columns: Any, at: NDArray) -> dict[str, tf.Tensor]:
    return {n: tf.constant(np.asarray(columns[n])[at], tf.float32) for n in names if n in columns}
