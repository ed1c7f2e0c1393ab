"""Exact metrics of a model on a part of prepared data, in every space that its columns allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf.data import open_dataset, to_arrays
from idefn_tf.evaluation.row_weights import row_weights
from idefn_tf.evaluation.spaces import evaluate_spaces
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import REPORT_COLUMNS, Schema
from pipelines.preparation.prepared_folder import Prepared

Metrics = dict[str, dict[str, Any]]


def predict(
    model: EntireSpaceModel, schema: Schema, table: pa.Table, batch_size: int = 8192
) -> dict[str, np.ndarray]:
    """Scores a table: {"ctr", "cvr", "ctcvr"}, float32 [rows].

    Raises:
        ValueError: if the schema lacks a feature that the model reads.
    """
    has = {name for f in schema.features for name in (f.name, f.weights_name)}
    lacking = [name for name in model.features.raw_names if name not in has]
    if lacking:
        raise ValueError(
            f"data: must be prepared by the run's schema, received rows without {lacking[:8]};\n"
            "prepare them with --schema RUN/schema.yaml"
        )
    dataset = open_dataset(
        schema, table, batch_size=batch_size, labels=False, encode=model.features
    )
    scores: dict[str, np.ndarray] = model.predict(dataset, verbose=0)
    return scores


def evaluate_table(
    model: EntireSpaceModel,
    schema: Schema,
    table: pa.Table,
    report: Mapping[str, np.ndarray] | None = None,
    whole_log: bool = False,
) -> Metrics:
    """Evaluates a table of exposures.

    Args:
        model: the model.
        schema: what the columns are.
        table: features and labels.
        report: raw and oracle conversions of the same rows, for the spaces that need them.
        whole_log: the table holds every row, also where the schema's log was down-sampled.

    Returns:
        {space: {metric: value}}.
    """
    arrays = to_arrays(schema, table)
    users = arrays[schema.user_key] if schema.user_key else None
    return evaluate_spaces(
        predict(model, schema, table),
        {"click": arrays["click"], "conversion": arrays["conversion"], **(report or {})},
        sample_weight=row_weights(schema, arrays, whole_log),
        groups=users,
    )


def evaluate_part(
    model: EntireSpaceModel, data: Prepared, part: str, whole_log: bool = False
) -> Metrics:
    """Evaluates one part of prepared data with its report columns.

    Every space also names its "label": final, or known at the moment of `prepare --as-of`.
    """
    report = report_columns(data, part)
    found = evaluate_table(model, data.schema, data.table(part), report, whole_log)
    label = data.card.get("labels", {}).get(part)
    return found if label is None else {s: {**v, "label": label} for s, v in found.items()}


def report_columns(data: Prepared, part: str) -> dict[str, np.ndarray]:
    """Reads the columns that reports alone may see, row by row with `data.table(part)`."""
    table = data.report_table(part)
    return {name: np.asarray(table[name]) for name in REPORT_COLUMNS if name in table.column_names}
