"""From raw columns to a prepared row: types, lists, nulls filled, labels, report columns."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from idefn_tf.schema import CLICK, CONVERSION, DType, Feature, Schema, lists

#: The exposure time's name in prepared files.
EXPOSURE_TIME = "exposure_time"
#: The weight's, where rows have one.
SAMPLE_WEIGHT = "sample_weight"
# ASCII's unit separator, which is no sign of a regular expression
_UNIT = "\x1f"
# what only some engines read as a number: 1_0 (ten), 0x10, 1d, 1.5f, 7L
_NO_NUMBER = "[_xXpP]|[0-9.][dDfFlL]"


def as_dtype(value: ir.Value, dtype: DType) -> ir.Value:
    """Returns the value as `dtype`, null where it is null, not a number, or cannot be read so.

    Whole numbers written as "4.0" are integers; empty strings are nulls; float32 is kept in
    double precision until it is written.
    """
    if dtype == "string":
        text = value.cast("string")
        return text.nullif("")
    if value.type().is_boolean():
        value = value.cast("int64")
    if value.type().is_string():
        value = ibis.ifelse(value.re_search(_NO_NUMBER), ibis.null("string"), value)
    if dtype == "float32":
        number = value.try_cast("float64")
        return ibis.ifelse(number.isnan(), ibis.null("float64"), number)
    if value.type().is_integer():
        return value.cast("int64")
    number = value.try_cast("float64")
    # some engines read no text with a point as an integer
    exact = ibis.ifelse(number.abs() < 2.0**53, number.try_cast("int64"), ibis.null("int64"))
    whole = ibis.coalesce(value.try_cast("int64"), exact)
    return ibis.ifelse((number % 1) == 0, whole, ibis.null("int64"))


def unreadable(value: ir.Value, dtype: DType) -> ir.BooleanValue:
    """Returns where a raw value is there but is no `dtype`."""
    there = value.notnull()
    if value.type().is_string():
        there &= ~value.strip().isin(["", "nan", "NaN"])
    elif value.type().is_floating():
        there &= ~value.isnan()
    return there & as_dtype(value, dtype).isnull()


def pieces(raw: ir.Value, feature: Feature) -> ir.ArrayValue:
    """Returns a raw value as a list whose blank pieces keep their places (`schema.lists`).

    Text is split and its pieces are trimmed; lists are taken as they are. A null, like blank
    text, gives an empty list.
    """
    if not raw.type().is_array():
        text = raw.cast("string")
        # some engines split at a regular expression, all replace text: at a character of its own
        apart = text.replace(lists.separator_of(feature), _UNIT)
        split = apart.split(_UNIT).map(lambda piece: piece.strip())
        raw = ibis.ifelse(text.strip() == "", ibis.null(split.type()), split)
    return ibis.coalesce(raw, ibis.literal([], type=raw.type()))


def entries(table: ir.Table, feature: Feature) -> ir.ArrayValue:
    """Returns the typed entries of a multi-valued feature, of any length, without absent ones.

    An entry that cannot be read is null.
    """
    kept = pieces(table[feature.source], feature).filter(lambda entry: _there(entry, feature))
    typed: ir.ArrayValue = kept.map(lambda entry: as_dtype(entry, feature.dtype))
    return typed


def entry_weights(table: ir.Table, feature: Feature) -> ir.ArrayValue:
    """Returns the weights of what `entries` returns, null where one cannot be read."""
    weights = pieces(table[feature.weights], feature)
    paired = pieces(table[feature.source], feature).zip(weights)
    kept = paired.filter(lambda pair: _there(pair["f1"], feature))
    typed: ir.ArrayValue = kept.map(lambda pair: as_dtype(pair["f2"], "float32"))
    return typed


def _there(entry: ir.Value, feature: Feature) -> ir.BooleanValue:
    """Returns whether an entry of a list is no blank, null, NaN or padding."""
    there = entry.notnull()
    if entry.type().is_string():
        there &= entry != ""
    elif entry.type().is_floating():
        there &= ~entry.isnan()
    if feature.dtype == "int64":
        padding = lists.PADDING[feature.dtype]
        there &= (as_dtype(entry, feature.dtype) != padding).fill_null(True)
    return there


def prepared_columns(table: ir.Table, schema: Schema) -> dict[str, ir.Value]:
    """Returns the columns of a prepared row by name, in the order they are written."""
    click = table[schema.labels.click].cast("int8")
    raw = table[schema.labels.conversion].cast("int8")
    columns: dict[str, ir.Value] = {"row_id": table["row_id"].cast("int64")}
    for feature in schema.features:
        columns |= _feature_columns(table, feature)
    columns[CLICK] = click
    columns[CONVERSION] = (click * raw).cast("int8")
    if schema.labels.exposure_time:
        columns[EXPOSURE_TIME] = table[schema.labels.exposure_time].cast("int64")
    if SAMPLE_WEIGHT in table.columns:
        columns[SAMPLE_WEIGHT] = table[SAMPLE_WEIGHT].cast("float32")
    return columns


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
    return columns


def _feature_columns(table: ir.Table, feature: Feature) -> dict[str, ir.Value]:
    if not feature.multi_valued:
        value = as_dtype(table[feature.source], feature.dtype)
        return {feature.name: value.fill_null(feature.fill).cast(feature.dtype)}
    values = entries(table, feature)[: feature.max_length].cast(f"array<{feature.dtype}>")
    columns: dict[str, ir.Value] = {}
    weights = None
    if feature.weights:
        weights = entry_weights(table, feature)[: feature.max_length].cast("array<float32>")
    if lists.stand_in(feature) is not None:
        empty = values.length() == 0
        if weights is not None:
            weights = ibis.ifelse(empty, ibis.literal([1.0], type=weights.type()), weights)
        values = ibis.ifelse(empty, ibis.literal([feature.fill], type=values.type()), values)
    columns[feature.name] = values
    if weights is not None:
        columns[feature.weights_name] = weights
    return columns
