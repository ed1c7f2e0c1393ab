"""From raw columns to a prepared row: types, lists, nulls filled, labels, report columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from idefn_tf.schema import CLICK, CONVERSION, DELAY_COLUMNS, DType, Feature, Schema, lists
from idefn_tf.schema.labels import EXPOSURE_PROBABILITY, EXPOSURE_TIME
from pipelines.preparation.text_forms import as_dtype, present

#: The weight's, where rows have one.
SAMPLE_WEIGHT = "sample_weight"
# ASCII's unit separator, which is no sign of a regular expression
_UNIT = "\x1f"


def pieces(raw: ir.Value, feature: Feature) -> ir.ArrayValue:
    """Returns a raw value as a list whose blank pieces keep their places (`schema.lists`).

    Text is split and its pieces are trimmed; lists are taken as they are, another value as a list
    of it. A null, like blank text, gives an empty list.
    """
    if isinstance(raw, ir.StringValue):
        text = raw
        # some engines split at a regular expression, all replace text: at a character of its own
        apart = text.replace(lists.separator_of(feature), _UNIT)
        split = apart.split(_UNIT).map(lambda piece: piece.strip())
        raw = ibis.ifelse(text.strip() == "", ibis.null(split.type()), split)
    elif not raw.type().is_array():
        there = ibis.array([raw])
        raw = ibis.ifelse(raw.notnull(), there, ibis.null(there.type()))
    return ibis.coalesce(raw, ibis.literal([], type=raw.type()))


def entries(table: ir.Table, feature: Feature, words: Sequence[str] = ()) -> ir.ArrayValue:
    """Returns the typed entries of a multi-valued feature, of any length, without absent ones.

    An entry that cannot be read is null.

    Args:
        table: the raw rows.
        feature: of the entries.
        words: the schema's `missing_words`.
    """
    found = pieces(table[feature.source], feature)
    kept = found.filter(lambda entry: _there(entry, feature, words))
    if found.type().value_type.is_int64() and feature.dtype == "int64":
        return kept  # as they are
    typed: ir.ArrayValue = kept.map(lambda entry: as_dtype(entry, feature.dtype, words))
    return typed


def entry_weights(table: ir.Table, feature: Feature, words: Sequence[str] = ()) -> ir.ArrayValue:
    """Returns the weights of what `entries` returns, null where one cannot be read."""
    places = pieces(table[feature.source], feature)
    weights = pieces(table[feature.weights], feature)
    kept = weights.filter(lambda _, i: _there(places[i], feature, words))
    typed: ir.ArrayValue = kept.map(lambda weight: as_dtype(weight, "float32"))
    return typed


def _there(entry: ir.Value, feature: Feature, words: Sequence[str]) -> ir.BooleanValue:
    """Returns whether an entry of a list is there: no missing value and no padding."""
    if entry.type().is_int64() and feature.dtype == "int64":
        return entry != lists.PADDING["int64"]  # null where the entry is, which filters drop
    there = present(entry, feature.dtype, words)
    if feature.dtype == "int64":
        there &= (as_dtype(entry, feature.dtype, words) != lists.PADDING[feature.dtype]).fill_null(
            True
        )
    return there


def prepared_columns(
    table: ir.Table, schema: Schema, apart: Collection[str] = ()
) -> dict[str, ir.Value]:
    """Returns the columns of a prepared row by name, in the order they are written.

    Args:
        table: the raw rows.
        schema: what the columns are.
        apart: features that come from elsewhere, by name.
    """
    click = table[schema.labels.click].cast("int8")
    raw = table[schema.labels.conversion].cast("int8")
    columns: dict[str, ir.Value] = {"row_id": table["row_id"].cast("int64")}
    for feature in schema.recorded:
        if feature.name not in apart:
            columns |= feature_columns(table, feature, schema.missing_words)
    columns[CLICK] = click
    columns[CONVERSION] = (click * raw).cast("int8")
    if schema.labels.exposure_time:
        columns[EXPOSURE_TIME] = table[schema.labels.exposure_time].cast("int64")
    if schema.labels.delayed:
        columns |= {name: table[name] for name in DELAY_COLUMNS if name in table.columns}
    if SAMPLE_WEIGHT in table.columns:
        columns[SAMPLE_WEIGHT] = table[SAMPLE_WEIGHT].fill_null(1.0).cast("float32")
    return columns


def raw_names(feature: Feature) -> set[str]:
    """Returns the raw columns that a feature is made of: its own, and that of its weights."""
    return {feature.source, feature.weights or feature.source}


def prepared_names(feature: Feature) -> list[str]:
    """Returns the prepared columns of a feature: its own, and that of its weights."""
    return [feature.name, *([feature.weights_name] if feature.weights else [])]


def absent(feature: Feature) -> dict[str, Any]:
    """Returns what stands in a feature's prepared columns where the raw values are absent."""
    if not feature.multi_valued:
        return {feature.name: None if stays_null(feature) else feature.fill}
    stand_in = lists.stand_in(feature) is not None
    found: dict[str, Any] = {feature.name: [feature.fill] if stand_in else []}
    if feature.weights:
        found[feature.weights_name] = [1.0] if stand_in else []
    return found


def stays_null(feature: Feature) -> bool:
    """Whether a missing value stays null: a number without `missing`, for the model to fill."""
    return feature.fill != feature.fill


def report_columns(table: ir.Table, schema: Schema) -> dict[str, ir.Value]:
    """Returns the columns that only reports may read, by name; row_id comes first."""
    click, raw = table[schema.labels.click], table[schema.labels.conversion]
    columns: dict[str, ir.Value] = {
        "row_id": table["row_id"].cast("int64"),
        "conversion_raw": raw.cast("int8"),
        "probe": (click == 0) & (raw == 1),
    }
    for name, dtype in (("oracle_conversion", "int8"), ("oracle_probability", "float32")):
        if name in table.columns:
            columns[name] = table[name].cast(dtype)
    shown = schema.labels.probability_column
    if shown is not None:
        columns[EXPOSURE_PROBABILITY] = table[shown].cast("float32")
    return columns


def probability_column(schema: Schema) -> dict[str, DType | None]:
    """Returns the dtype of the column of exposure probabilities by its name, where there is one."""
    shown = schema.labels.probability_column
    return {} if shown is None else {shown: "float32"}


def feature_columns(table: ir.Table, feature: Feature, words: Sequence[str]) -> dict[str, ir.Value]:
    """Returns a feature's typed columns, weights beside a weighted list, by prepared name."""
    if not feature.multi_valued:
        value = as_dtype(table[feature.source], feature.dtype, words)
        if not stays_null(feature):
            value = value.fill_null(feature.fill)
        return {feature.name: value.cast(feature.dtype)}
    values = entries(table, feature, words)[: feature.max_length]
    values = values.cast(f"array<{feature.dtype}>")
    columns: dict[str, ir.Value] = {}
    weights = None
    if feature.weights:
        weights = entry_weights(table, feature, words)[: feature.max_length].cast("array<float32>")
    if lists.stand_in(feature) is not None:
        empty = values.length() == 0
        if weights is not None:
            weights = ibis.ifelse(empty, ibis.literal([1.0], type=weights.type()), weights)
        values = ibis.ifelse(empty, ibis.literal([feature.fill], type=values.type()), values)
    columns[feature.name] = values
    if weights is not None:
        columns[feature.weights_name] = weights
    return columns
