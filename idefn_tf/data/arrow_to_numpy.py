"""Arrow columns to NumPy arrays by the schema: what is missing filled, labels hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from idefn_tf._rules import nearest
from idefn_tf.data import list_columns
from idefn_tf.data.convert import Place, convert, read
from idefn_tf.data.feedback_labels import FeedbackLabels, check_delays
from idefn_tf.data.files import column_values
from idefn_tf.schema import CLICK, CONVERSION, Feature, Schema


def to_arrays(
    schema: Schema,
    table: pa.Table,
    labels: bool = True,
    first_row: int = 0,
    feedback: FeedbackLabels | None = None,
) -> dict[str, np.ndarray]:
    """Converts a table to the arrays of a batch, by what a cell means (`schema.cells`).

    Args:
        schema: what the columns are.
        table: holds every feature (train-only ones may be absent: their serving value stands in).
        labels: whether to add "click" and "conversion" (0 where unclicked: a conversion that was
            recorded without a click never leaves the reports) and "sample_weight".
        first_row: the number of the table's first row, for errors.
        feedback: reads the labels of delays as well.

    Returns:
        By name: int64, float32 or object (bytes) arrays [n]; lists [n, max_length], padded with
        -1, or "", and their weights with 0; labels float32 [n]. A missing number is NaN where the
        feature names no `missing`: the model puts the mean in.

    Raises:
        ValueError: naming the column that is missing, or column, row and value of a cell that
            cannot be read; a click that is missing, or the conversion of a clicked row.

    Example:
        >>> from idefn_tf.data import read_table, to_arrays
        >>> arrays = to_arrays(schema, read_table(table, schema))
        >>> sorted(arrays), float(arrays["price"].sum())
        (['click', 'conversion', 'item', 'price', 'sample_weight', 'user'], 138.0)
    """
    arrays: dict[str, np.ndarray] = {}
    _check_history(schema, table)
    sequences = schema.parts_by_sequence
    of_events = {part.name for parts in sequences.values() for part in parts}
    for feature in schema.features:
        if feature.name not in of_events:
            _add_feature(arrays, feature, table, schema.missing_words, first_row)
    for parts in sequences.values():
        arrays |= list_columns.read_events(parts, table, schema.missing_words, first_row)
    if labels:
        arrays |= _labels(schema, table, first_row)
        weight = np.ones(table.num_rows, np.float32)
        if "sample_weight" in table.column_names:
            column = column_values(table, "sample_weight")
            words = schema.missing_words
            weight = convert(column, "sample_weight", "float32", 1.0, words, first_row)
        arrays["sample_weight"] = weight
        if feedback is not None:
            arrays |= feedback.read(schema, table, arrays, first_row)
        hide_labels(arrays)
    return arrays


def _check_history(schema: Schema, table: pa.Table) -> None:
    """Refuses rows without the features that history makes."""
    absent = sorted(schema.generated - set(table.column_names))
    if absent:
        raise ValueError(
            f"source: must hold the history features of the schema, received no {absent[0]!r} "
            f"(of {len(absent)} that are missing);\nadd them with idefn_tf.history.attach, or "
            "prepare the rows"
        )


def label_values(schema: Schema, table: pa.Table, name: str) -> np.ndarray:
    """Returns a column of labels as int64, 0 where one is missing.

    Raises:
        ValueError: naming column, row and value of a cell that is no label.
    """
    return _label(schema, table, name, 0)[0]


def _label(
    schema: Schema, table: pa.Table, name: str, first_row: int
) -> tuple[np.ndarray, np.ndarray]:
    column = column_values(table, name)
    rule = f"label column {name!r} must hold 0 and 1"
    cure = "write 0 or 1, or true or false"
    place = Place(name, "int64", schema.missing_words, first_row, rule, cure)
    values, missing = read(column, place)
    place.first((values != 0) & (values != 1), column)
    return values, missing


def _labels(schema: Schema, table: pa.Table, first_row: int) -> dict[str, np.ndarray]:
    """Reads click and conversion: a click must be there, a conversion where the row is clicked."""
    names = schema.labels.resolve(table.column_names)
    (click, no_click), (conversion, none) = (
        _label(schema, table, name, first_row) for name in names
    )
    for name, wrong, cure in (
        (names[0], no_click, "write 0 where there was no click"),
        (names[1], none & (click == 1), "write 0 where there was none, or leave out the row"),
    ):
        if wrong.any():
            row = first_row + int(np.argmax(wrong))
            where = " on a clicked row" if name == names[1] else ""
            raise ValueError(
                f"source: label column {name!r} must hold 0 and 1{where}, received a missing value "
                f"in row {row}; {cure}"
            )
    return {CLICK: click, CONVERSION: conversion}


def hide_labels(arrays: dict[str, np.ndarray]) -> None:
    """Sets the conversion of unclicked rows to 0: the one place where training loses sight of it.

    Raises:
        ValueError: if a label is neither 0 nor 1, a delay or a weight negative or not a number.
    """
    check_delays(arrays)
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


def _add_feature(
    arrays: dict[str, np.ndarray],
    feature: Feature,
    table: pa.Table,
    words: Sequence[str],
    first_row: int,
) -> None:
    names = set(table.column_names)
    found = next((n for n in (feature.name, feature.source) if n in names), None)
    if found is None:
        if not feature.train_only:
            raise ValueError(
                f"source: must hold the column {feature.source!r} of feature {feature.name!r}, "
                f"received {sorted(names)}{nearest(feature.source, names)}; add it, or take the "
                "feature out of the schema."
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
        arrays[feature.name] = convert(column, found, feature.dtype, feature.fill, words, first_row)
        return
    twin = None
    if feature.weights is not None:
        twin = next((n for n in (feature.weights_name, feature.weights) if n in names), None)
        if twin is None:
            raise ValueError(
                f"source: column {feature.weights!r}, the weights of {feature.name!r}, is missing"
            )
    arrays |= list_columns.read(feature, table, found, twin, words, first_row)
