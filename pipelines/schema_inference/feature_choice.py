"""From a column to a feature: categories, numbers or lists, and the reason for the choice."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from idefn_tf.schema import Side, cells
from pipelines.schema_inference.label_columns import is_inexact, is_moment
from pipelines.schema_inference.profile import Profile

#: Whole numbers with at most this many values are categories, more are quantities.
FEW = 50
#: Above this many values a vocabulary leaves rare ones out; above the other they are hashed.
MANY, TOO_MANY = 1_000, 1_000_000
_CODES = re.compile(
    r"(^|_)(id|ids|key|code|no|type|kind|cat|category|class|group|segment|brand|shop|seller|author"
    r"|city|region|country|zip|channel|campaign|hour|weekday|month|day|tab|page|slot)(_|\d|$)",
    re.IGNORECASE,
)
_POSITION = re.compile(r"(^|_)(position|pos|slot|rank)(_|$)", re.IGNORECASE)
#: One number with decimals, and a currency or a unit on either side.
_DECIMAL = "[+-]?[0-9][0-9.,]*[.,][0-9]{1,2}"
_UNIT = "[^0-9,.;| ]+"
_AMOUNT = f"^ *({_UNIT} *{_DECIMAL}|{_DECIMAL} *{_UNIT}) *$"
_SEPARATORS = ("|", ";", ",")
_LONGEST_LIST = 50


@dataclass(frozen=True)
class Choice:
    """A feature's settings besides name and side, or None to leave the column out; and why."""

    settings: dict[str, Any] | None
    why: str


def choose(column: Profile, side: Side, key: bool = False) -> Choice:
    """Chooses how a column enters the model.

    Args:
        column: the column.
        side: whose it is.
        key: whether it identifies the user or the item.

    Returns:
        The choice.
    """
    if column.type == "other":
        return Choice(None, f"holds {column.values.type}, which no feature can be made of")
    if is_inexact(column) and not key:
        return Choice(None, "a point in time: write whole seconds or milliseconds to split by it")
    if is_moment(column) and not key:
        return Choice(None, "a point in time: it grows beyond what training has seen")
    if column.type == "list":
        return _list(column)
    if column.distinct < 2:
        return Choice(None, "has one value only" if column.distinct else "is empty")
    if _names_rows(column, side):
        return Choice(None, "has another value on every row: an identifier of the exposure")
    if column.type == "text":
        return _text(column)
    if column.type == "boolean":
        return Choice({"dtype": "int64", "kind": "vocabulary"}, "true or false")
    if column.type == "integer":
        return _category(column, "int64", "identifies its side") if key else _integer(column)
    return _number(column)


def _names_rows(column: Profile, side: Side) -> bool:
    """Whether every row has a value of its own."""
    rows = len(column) - column.values.null_count
    by_type = column.type == "text" or (column.type == "integer" and side == "context")
    return by_type and column.distinct == rows >= 100


def _text(column: Profile) -> Choice:
    if _amounts(column) > 0.5:
        return Choice(None, "amounts with a unit, such as 122,07 EUR: write plain numbers")
    if _bracketed(column) > 0.5:
        return Choice(None, "lists in brackets: write a list column, or entries without brackets")
    if _decimal_commas(column):
        return Choice(None, "numbers with a decimal comma, such as 3,14: write a point")
    split = _separator(column)
    if split is not None:
        separator, length = split
        settings: dict[str, Any] = {"dtype": "string", "kind": "vocabulary", "max_length": length}
        settings["separator"] = separator
        return Choice(settings, f"lists of values separated by {separator!r}, {length} kept")
    lengths = pc.utf8_length(pc.drop_null(column.values))
    long_text = float(pc.mean(lengths).as_py() or 0) > 40
    if long_text and column.distinct > 0.5 * len(column):
        return Choice(None, "free text: no feature of this library reads it")
    return _category(column, "string", "text")


def _integer(column: Profile) -> Choice:
    numbers = column.numbers
    if numbers is None:
        raise ValueError(f"column: {column.name!r} must hold numbers")
    if _CODES.search(column.name):
        return _category(column, "int64", "whole numbers; by its name a code")
    low = float(np.nanmin(numbers))
    if column.distinct <= FEW and low >= 0:
        return _category(column, "int64", "few whole numbers")
    return _number(column)


def _category(column: Profile, dtype: str, why: str) -> Choice:
    settings: dict[str, Any] = {"dtype": dtype, "kind": "vocabulary"}
    why = f"{why}; {column.distinct:,} values"
    if column.distinct > TOO_MANY:
        buckets = 1 << int(np.ceil(np.log2(column.distinct)))
        return Choice({"dtype": dtype, "kind": "hash", "num_buckets": buckets}, f"{why}: hashed")
    if column.distinct > MANY:
        settings |= {"min_count": 2, "headroom": max(column.distinct // 20, 100)}
        why += "; those seen once in train share a row"
    elif column.distinct > FEW:
        settings["headroom"] = 16
    if _POSITION.search(column.name):
        top = Counter(column.codes[column.codes >= 0].tolist()).most_common(1)[0][0]
        value = column.values[int(np.flatnonzero(column.codes == top)[0])].as_py()
        settings |= {"train_only": True, "serving_value": value}
        why += "; a place on the page is not known when serving, where the most frequent stands in"
    return Choice(settings, why)


def _number(column: Profile) -> Choice:
    numbers = column.numbers
    if numbers is None:
        raise ValueError(f"column: {column.name!r} must hold numbers")
    there = numbers[np.isfinite(numbers)]
    low, middle, high = (float(q) for q in np.quantile(there, [0.0, 0.5, 0.99]))
    settings: dict[str, Any] = {"dtype": "float32", "kind": "numeric"}
    why = f"a quantity from {low:g} to {float(there.max()):g}, median {middle:g}"
    if low >= 0 and high > 10 * max(middle, 1e-12):
        settings["log1p"] = True
        why += "; skewed, so its logarithm is taken"
    if column.missing:
        why += "; the mean of training stands in where it is missing"
    return Choice(settings, why)


def _list(column: Profile) -> Choice:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column.values), 0))
    if lengths.max(initial=0) == 0:
        return Choice(None, "holds empty lists only")
    length = int(np.clip(np.ceil(np.quantile(lengths, 0.99)), 1, _LONGEST_LIST))
    inner = column.values.type.value_type
    if pa.types.is_integer(inner):
        dtype = "int64"
    elif pa.types.is_string(inner) or pa.types.is_large_string(inner):
        dtype = "string"
    else:
        return Choice(None, f"holds lists of {inner}; only whole numbers and text make a feature")
    why = f"lists of up to {int(lengths.max())} values, {length} kept"
    return Choice({"dtype": dtype, "kind": "vocabulary", "max_length": length}, why)


def _amounts(column: Profile) -> float:
    """Returns the share of the distinct values that are one decimal number with a unit."""
    distinct = pc.drop_null(pc.unique(column.values))
    amounts = pc.match_substring_regex(distinct, _AMOUNT)
    return float(pc.mean(amounts.cast(pa.float64())).as_py() or 0)


def _decimal_commas(column: Profile) -> bool:
    """Whether every value is a number with a comma in the place of the point."""
    trimmed = pc.utf8_trim(pc.drop_null(pc.unique(column.values)), characters=cells.BLANKS)
    there = trimmed.filter(pc.invert(pc.is_in(trimmed, pa.array(cells.MISSING_WORDS))))
    found = pc.match_substring_regex(there, cells.DECIMAL_COMMA)
    return bool(pc.all(found, min_count=1).as_py())


def _bracketed(column: Profile) -> float:
    """Returns the share of the distinct values that are lists with their brackets."""
    distinct = pc.utf8_trim(pc.drop_null(pc.unique(column.values)), characters=cells.BLANKS)
    opened, closed = cells.BRACKETS
    found = pc.and_(pc.starts_with(distinct, opened), pc.ends_with(distinct, closed))
    return float(pc.mean(found.cast(pa.float64())).as_py() or 0)


def _separator(column: Profile) -> tuple[str, int] | None:
    """Finds the character at which most values split into pieces that repeat among the rows."""
    distinct = pc.drop_null(pc.unique(column.values))
    for separator in _SEPARATORS:
        holding = pc.match_substring(distinct, separator)
        if float(pc.mean(holding.cast(pa.float64())).as_py() or 0) < 0.3:
            continue
        pieces = pc.split_pattern(distinct, separator)
        flat = pc.utf8_trim_whitespace(pieces.flatten())
        if pc.any(pc.match_substring_regex(flat, r"^[\[(]|[\])]$")).as_py():
            continue  # a range such as (10,50]
        if pc.count_distinct(flat).as_py() < 0.5 * len(flat):
            lengths = np.asarray(pc.list_value_length(pieces))
            length = int(np.clip(np.ceil(np.quantile(lengths, 0.99)), 1, _LONGEST_LIST))
            return separator, length
    return None
