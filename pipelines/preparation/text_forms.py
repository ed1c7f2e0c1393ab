"""How people write tables: other separators, decimal commas, yes and no."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from idefn_tf.data.csv_files import DELIMITERS, delimiter_of

__all__ = ["DELIMITERS", "delimiter_of"]

#: Words for a value that is not there.
ABSENT = ("", "nan", "NaN", "NULL", "null", "None", "NA", "N/A")
#: Words for 1 and 0, in lower case.
TRUE, FALSE = ("true", "yes", "y", "t"), ("false", "no", "n", "f")
#: A number with a decimal comma, thousands set apart by points or not at all.
DECIMAL_COMMA = r"^[+-]?([0-9]{1,3}([.][0-9]{3})+|[0-9]+),[0-9]+$"


def present(value: ir.StringValue) -> ir.StringValue:
    """Returns text without blanks around it, null where it is a word for nothing."""
    text = value.strip()
    return ibis.ifelse(text.isin(ABSENT), ibis.null("string"), text)


def absent_to_null(value: ir.StringValue) -> ir.StringValue:
    """Returns text as it is, null where it is a word for nothing; blanks may belong to an id."""
    return ibis.ifelse(value.strip().isin(ABSENT), ibis.null("string"), value)


def decimal_point(value: ir.StringValue) -> ir.StringValue:
    """Returns "1.234,5" as "1234.5"; other text as it is."""
    changed = value.replace(".", "").replace(",", ".")
    return ibis.ifelse(value.re_search(DECIMAL_COMMA), changed, value)


def truth(value: ir.StringValue) -> ir.StringValue:
    """Returns words for true and false as "1" and "0"; other text as it is."""
    lower = value.lower()
    return ibis.cases((lower.isin(TRUE), "1"), (lower.isin(FALSE), "0"), else_=value)
