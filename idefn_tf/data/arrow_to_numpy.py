"""Arrow columns to NumPy arrays by the schema: nulls filled, labels hidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf.data import list_columns
from idefn_tf.data.convert import convert
from idefn_tf.data.files import column_values
from idefn_tf.schema import CLICK, CONVERSION, Feature, Schema


def to_arrays(schema: Schema, table: pa.Table, labels: bool = True) -> dict[str, np.ndarray]:
    """Converts a table to the arrays of a batch.

    Args:
        schema: what the columns are.
        table: holds every feature (train-only ones may be absent: their serving value stands in).
        labels: whether to add "click" and "conversion" (0 where unclicked: a conversion that was
            recorded without a click never leaves the reports) and "sample_weight".

    Returns:
        By name: int64, float32 or object (bytes) arrays [n]; lists [n, max_length], padded with
        -1, or "", and their weights with 0; labels float32 [n].

    Raises:
        ValueError: naming the column that is missing or cannot be converted, or a label that is
            neither 0 nor 1.

    Example:
        >>> from idefn_tf.data import read_table, to_arrays
        >>> arrays = to_arrays(schema, read_table(table, schema))
        >>> sorted(arrays), float(arrays["price"].sum())
        (['click', 'conversion', 'item', 'price', 'sample_weight', 'user'], 138.0)
    """
    arrays: dict[str, np.ndarray] = {}
    for feature in schema.features:
        _add_feature(arrays, feature, table)
    if labels:
        click, conversion = schema.labels.resolve(table.column_names)
        for name, source in ((CLICK, click), (CONVERSION, conversion)):
            arrays[name] = convert(column_values(table, source), source, "float32", 0.0)
        arrays["sample_weight"] = (
            convert(column_values(table, "sample_weight"), "sample_weight", "float32", 1.0)
            if "sample_weight" in table.column_names
            else np.ones(table.num_rows, np.float32)
        )
        hide_labels(arrays)
    return arrays


def hide_labels(arrays: dict[str, np.ndarray]) -> None:
    """Sets the conversion of unclicked rows to 0: the one place where training loses sight of it.

    Raises:
        ValueError: if a label is neither 0 nor 1, or a weight is negative or not a number.
    """
    for name in (CLICK, CONVERSION):
        arrays[name] = arrays[name].astype(np.float32)
        wrong = ~np.isin(arrays[name], (0.0, 1.0))
        if wrong.any():
            raise ValueError(
                f"source: label column {name!r} must hold 0 and 1, received "
                f"{arrays[name][wrong][:5]}"
            )
    arrays[CONVERSION] = arrays[CONVERSION] * arrays[CLICK]
    weight = arrays["sample_weight"] = arrays["sample_weight"].astype(np.float32)
    if not np.all(weight >= 0):
        raise ValueError(
            f"source: sample_weight must be 0 or more, received {weight[~(weight >= 0)][:5]}"
        )


def _add_feature(arrays: dict[str, np.ndarray], feature: Feature, table: pa.Table) -> None:
    names = set(table.column_names)
    found = next((n for n in (feature.name, feature.source) if n in names), None)
    if found is None:
        if not feature.train_only:
            raise ValueError(
                f"source: column {feature.source!r} of feature {feature.name!r} is missing, "
                f"received {sorted(names)}; add it, or take the feature out of the schema."
            )
        stand_in: Any = feature.serving_value
        if feature.multi_valued:
            arrays |= list_columns.one_entry(feature, stand_in, table.num_rows)
            return
        kind = object if feature.dtype == "string" else feature.dtype
        value = stand_in.encode() if isinstance(stand_in, str) else stand_in
        arrays[feature.name] = np.full(table.num_rows, value, kind)
        return
    if not feature.multi_valued:
        column = column_values(table, found)
        arrays[feature.name] = convert(column, found, feature.dtype, feature.fill)
        return
    twin = None
    if feature.weights is not None:
        twin = next((n for n in (feature.weights_name, feature.weights) if n in names), None)
        if twin is None:
            raise ValueError(
                f"source: column {feature.weights!r}, the weights of {feature.name!r}, is missing"
            )
    arrays |= list_columns.read(feature, table, found, twin)
