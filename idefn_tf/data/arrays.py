"""Arrow columns to NumPy arrays by the schema: nulls filled, lists padded, labels hidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from idefn_tf.data.convert import convert
from idefn_tf.data.tables import column_values
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
        kind = object if feature.dtype == "string" else feature.dtype
        stand_in: Any = feature.serving_value
        value = stand_in.encode() if isinstance(stand_in, str) else stand_in
        arrays[feature.name] = np.full(table.num_rows, value, kind)
        return
    column = column_values(table, found)
    if not feature.multi_valued:
        arrays[feature.name] = convert(column, found, feature.dtype, feature.fill)
        return
    if not _is_list(column.type):
        column = _split(column, feature)
    length = feature.max_length or 1
    padding: Any = "" if feature.dtype == "string" else -1
    arrays[feature.name] = _pad(column, found, feature.dtype, length, padding)
    if feature.weights is not None:
        twin = next((n for n in (feature.weights_name, feature.weights) if n in names), None)
        if twin is None:
            raise ValueError(
                f"source: column {feature.weights!r}, the weights of {feature.name!r}, is missing"
            )
        weights = column_values(table, twin)
        if not _is_list(weights.type):
            weights = _split(weights, feature)
        arrays[feature.weights_name] = _pad(weights, twin, "float32", length, 0.0)


def _is_list(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(kind) for is_kind in kinds)


def _split(column: pa.Array, feature: Feature) -> pa.Array:
    """Splits text such as "12, 65" at the separator; without one it is a list of one value."""
    text = pc.fill_null(column.cast(pa.string()), "")
    if feature.separator is None:
        text = pc.replace_substring(text, "\x00", "")
    parts = pc.split_pattern(text, feature.separator or "\x00")
    return pa.ListArray.from_arrays(parts.offsets, pc.utf8_trim_whitespace(parts.values))


def _pad(column: Any, name: str, dtype: str, length: int, padding: Any) -> np.ndarray:
    """Pads or cuts lists to [n, length]."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    rows = len(column)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    flat = convert(column.flatten(), name, dtype, padding)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if rows else np.zeros(0, np.int64)
    at = np.arange(length)[None, :]
    inside = at < lengths[:, None]
    value: Any = padding.encode() if isinstance(padding, str) else padding
    out = np.full((rows, length), value, object if dtype == "string" else dtype)
    out[inside] = flat[(starts[:, None] + at)[inside]]
    return out
