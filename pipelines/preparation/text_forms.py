"""What `idefn_tf.schema.cells` says of a cell, lowered to the engines."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from idefn_tf.schema import DType, cells

# of a whole number written 4.0: what stands before the point
_WHOLE = cells.WHOLE.replace("^", "^(", 1).replace("[0-9]+", "[0-9]+)", 1)


def as_dtype(
    value: ir.Value, dtype: DType, words: Sequence[str] = (), comma: bool = False
) -> ir.Value:
    """Returns a cell as `dtype`: null where it is missing, and where it cannot be read so.

    float32 is kept in double precision until it is written.

    Args:
        value: the raw cell.
        dtype: of the feature.
        words: the schema's `missing_words`.
        comma: whether a comma may stand before decimals, as in files whose columns another
            character separates.
    """
    if dtype == "string":
        return _text(value, words)
    if isinstance(value, ir.StringValue):
        # words for what is missing are no numbers: only the schema's own need a look
        text = value.strip()
        if words:
            text = ibis.ifelse(text.isin(words), ibis.null("string"), text)
        if comma:
            text = _decimal_point(text)
        return _whole_cell(value, text, words) if dtype == "int64" else _number_text(text)
    if value.type().is_boolean():
        value = value.cast("int64")
    if not value.type().is_numeric():
        return ibis.null("int64" if dtype == "int64" else "float64")
    if dtype == "float32":
        number = value.cast("float64")
        return ibis.ifelse(number.isnan(), ibis.null("float64"), number)
    if value.type().is_integer():
        return value.cast("int64")
    if value.type().is_decimal():
        return ibis.ifelse(value % 1 == 0, value.try_cast("int64"), ibis.null("int64"))
    return _whole(value.cast("float64"))


def unreadable(
    value: ir.Value, dtype: DType, words: Sequence[str] = (), comma: bool = False
) -> ir.BooleanValue:
    """Returns where a raw value is there but is no `dtype`."""
    null = as_dtype(value, dtype, words, comma).isnull()
    return ibis.ifelse(null, present(value, dtype, words), False)  # few are looked at twice


def present(value: ir.Value, dtype: DType, words: Sequence[str] = ()) -> ir.BooleanValue:
    """Returns where a raw value is not missing."""
    if isinstance(value, ir.StringValue):
        return _present(value, dtype, words).notnull()
    if value.type().is_floating():
        return value.notnull() & ~value.isnan()
    return value.notnull()


def never_unreadable(value: ir.Value, dtype: DType) -> bool:
    """Whether every value of a column's type can be read as `dtype`."""
    kind = value.type()
    if dtype == "string":
        return bool(kind.is_string() or kind.is_integer() or kind.is_boolean())
    return bool(kind.is_integer() or kind.is_boolean())


def rule(dtype: DType) -> str:
    """Returns what a cell must be, in words, and the cure."""
    if dtype == "string":
        return (
            "must be text, a whole number, a boolean or a UUID; write it as text, or declare "
            "float32"
        )
    return f"must be {dtype}"


def _present(value: ir.StringValue, dtype: DType, words: Sequence[str]) -> ir.StringValue:
    """Returns text, null where it is missing; without blanks around it for numbers."""
    missing = ["", *words, *(() if dtype == "string" else cells.MISSING_WORDS)]
    trimmed = value.strip()
    kept = value if dtype == "string" else trimmed
    return ibis.ifelse(trimmed.isin(missing), ibis.null("string"), kept)


def _decimal_point(value: ir.StringValue) -> ir.StringValue:
    """Returns "1.234,5" as "1234.5"; other text as it is."""
    changed = value.replace(".", "").replace(",", ".")
    return ibis.ifelse(value.re_search(cells.DECIMAL_COMMA), changed, value)


def _number_text(text: ir.StringValue) -> ir.FloatingValue:
    """Returns the number in text, null where it is none or no float64 holds it."""
    number = text.re_extract(cells.NUMBER, 0).try_cast("float64")
    return _if(number.abs() <= sys.float_info.max, number, "float64")


def _whole_cell(raw: ir.StringValue, text: ir.StringValue, words: Sequence[str]) -> ir.IntegerValue:
    """Returns the whole number in a cell; one written plainly, as most are, costs no pattern.

    Args:
        raw: the cell.
        text: the same without blanks around it, null where it is a missing word.
        words: the schema's `missing_words`.
    """
    number = raw.try_cast("int64")
    plain = number.cast("string") == raw
    if words:
        plain &= ~raw.isin(words)
    return ibis.ifelse(plain, number, _whole_text(text))


def _whole_text(text: ir.StringValue) -> ir.IntegerValue:
    """Returns the whole number in text, 1 and 0 for words of truth, null for other text.

    Engines compute anew what an expression names twice, so the text is named as rarely as can be.
    """
    word = text.lower()
    return ibis.coalesce(
        text.re_extract(_WHOLE, 1).try_cast("int64"),
        ibis.cases(
            (word.isin(cells.TRUE), ibis.literal(1, "int64")),
            (word.isin(cells.FALSE), ibis.literal(0, "int64")),
        ),
        _whole(text.re_extract(cells.NUMBER, 0).try_cast("float64")),
    )


def _whole(number: ir.FloatingValue) -> ir.IntegerValue:
    """Returns a float that is a whole number, as far as floats hold every one of them."""
    fits = (number.abs() <= float(cells.EXACT)) & (number % 1 == 0)
    return _if(fits, number, "float64").try_cast("int64")


def _text(value: ir.Value, words: Sequence[str]) -> ir.StringValue:
    """Returns a typed value as the text that stands for it; see `cells.text_of`."""
    kind = value.type()
    if isinstance(value, ir.StringValue):
        return _present(value, "string", words)
    if kind.is_boolean():
        return ibis.cases((value, "true"), (~value, "false"))
    if kind.is_integer() or (kind.is_decimal() and kind.scale == 0):
        return value.cast("string")
    if kind.is_floating() or kind.is_decimal():
        return as_dtype(value, "int64").cast("string")
    return ibis.null("string")


def _if(condition: ir.BooleanValue, value: ir.Value, kind: str) -> ir.Value:
    return ibis.ifelse(condition, value, ibis.null(kind))
