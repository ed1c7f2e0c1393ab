"""Cells in every form that a table may hold them, each beside the typed value that it means.

What a cell means is drawn first, its form after it: the meaning is known without the library.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.agreement import shop
from benchmarks.agreement.spellings import (
    integer_text,
    mixed_integer,
    mixed_number,
    mixed_text,
    number_text,
    one_of,
    plain_text,
)
from idefn_tf.schema import Feature

#: None stands for a value that is missing.
Values = list[Any]
Form = Callable[[np.random.Generator, Values], pd.Series]

_STRANGE_INTEGERS = (
    0, 1, -1, -7, 128, 2**31, -(2**31) - 1, 2**53, 2**53 + 1, 10**18 + 1, 2**63 - 1, -(2**63)
)  # fmt: skip
_STRANGE_NUMBERS = (0.0, -0.0, 1.0, -3.5, 1e-45, 1e-7, 0.1, 16777217.0, 2.0, 123456.789)
_STRANGE_TEXT = (
    " lead", "trail ", "in side", 'qu"ote', "o'clock", "tab\tin", "line\nin", "back\\slash", "ü",
    "大阪", "\U0001f600", "e\u0301", "\u00e9", "a\u200db", "\u00a0", "\u2028", "\ufefffirst", "NA",
    "null", "None", "nan", "true", "False", "1e5", "75001.0", "007", "-1", "0", "{}", "[a]",
    "--", "\x7f", "x" * 3000, "<b>&amp;</b>", "%s %d", "\u202eabc", "1,5", "a|b", "NaN", "inf",
)  # fmt: skip
_KNOWN: dict[str, Sequence[Any]] = {
    "user": range(60), "device": shop.DEVICES, "segment": ("a", "b", "c d", "1.0"),
    "city": shop.CITIES, "home": shop.CITIES, "liked": range(40), "age": range(10, 80),
    "code": [f"{i:04d}" for i in range(120)], "shop": range(99), "shelf": range(-2, 45),
    "tags": shop.TAGS, "topics": range(-1, 24), "words": ("red", "blue", "tall", "a b", "ü", "9"),
    "price": (0.0, 0.5, 3.25, 7.1, 19.99, 120.0), "rating": (1.0, 2.5, 4.1, 5.0),
    "share": (0.0, 0.25, 0.3, 1.0), "speed": (-5.0, -1.0, 1.9999999, 2.0, 6.0, 9.5),
    "visits": range(12), "moment": [shop.SCHEMA.feature("moment").boundaries[0] + k  # type: ignore[index]
                                    for k in (-1.0, 0.0, 1.0, 3e7)],
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of cells.

    Attributes:
        form: its name, for reports.
        cells: as a DataFrame holds them.
        typed: what they mean, as plain REST takes it.
    """

    form: str
    cells: pd.Series
    typed: list[Any]


def draw(rng: np.random.Generator, feature: Feature, rows: int) -> Column:
    """Draws a column of a feature that holds one value a row."""
    forms = FORMS[feature.dtype]
    name = one_of(rng, list(forms))
    fits, form = forms[name]
    gaps = name not in NO_GAPS
    values = [None if gaps and rng.random() < 0.12 else _value(rng, feature, fits)
              for _ in range(rows)]  # fmt: skip
    typed = [feature.fill if value is None else _typed(name, value) for value in values]
    cells = form(rng, values)
    return Column(name, cells.rename(feature.name), typed)


def _typed(form: str, value: Any) -> Any:
    if form in ("bool", "boolean", "object bool") and isinstance(value, bool):
        return "true" if value else "false"
    return value


def _value(rng: np.random.Generator, feature: Feature, fits: Callable[[Any], bool] | Any) -> Any:
    if not callable(fits):  # a typed column of text: what it may hold
        return one_of(rng, fits)
    strange = {"int64": _STRANGE_INTEGERS, "float32": _STRANGE_NUMBERS, "string": _STRANGE_TEXT}
    while True:
        odd = rng.random() < (0.02 if feature.kind == "numeric" else 0.12)
        value = one_of(rng, strange[feature.dtype] if odd else _KNOWN[feature.name])
        if feature.dtype == "int64":
            value = int(value)
        if fits(value):
            return value


def known(rng: np.random.Generator, feature: Feature) -> Any:
    """Returns a value of a list's entry."""
    if rng.random() < 0.1:
        if feature.dtype == "int64":
            return one_of(rng, _STRANGE_INTEGERS)
        return one_of(rng, ("ü b", 'q"', "null", "NaN", "007", "e\u0301"))
    return one_of(rng, _KNOWN[feature.name])


# -- columns --------------------------------------------------------------------------------------


def _as(dtype: Any) -> Form:
    def form(rng: np.random.Generator, values: Values) -> pd.Series:
        return pd.Series(values, dtype=dtype)

    return form


def _arrow(kind: pa.DataType) -> Form:
    def form(rng: np.random.Generator, values: Values) -> pd.Series:
        return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, kind)))

    return form


def _each(one: Callable[[np.random.Generator, Any], Any], dtype: Any = object) -> Form:
    def form(rng: np.random.Generator, values: Values) -> pd.Series:
        return pd.Series([one(rng, value) for value in values], dtype=dtype)

    return form


def _arrow_decimal(rng: np.random.Generator, values: Values) -> pd.Series:
    made = [None if value is None else Decimal(repr(value)) for value in values]
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(made, pa.decimal128(38, 9))))


def _encoded(one: Callable[[np.random.Generator, Any], Any]) -> Callable[..., Any]:
    def form(rng: np.random.Generator, value: Any) -> Any:
        text = one(rng, value)
        return text.encode() if isinstance(text, str) else text

    return form


def _decimal(rng: np.random.Generator, value: Any) -> Any:
    return None if value is None else Decimal(repr(value) if isinstance(value, float) else value)


def _within(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: bool(low <= value <= high)


def _any(value: Any) -> bool:
    return True


def _bits(value: Any) -> bool:
    return value in (0, 1) and math.copysign(1, value) > 0


def _positive(value: Any) -> bool:
    return math.copysign(1, value) > 0 and value == int(value) and value < 2**53


def _plain(value: float) -> bool:
    return math.copysign(1, value) > 0 and round(value, 9) == value


def _float32(value: float) -> bool:
    return float(np.float32(value)) == value


_DIGITS = tuple(str(i) for i in (0, 7, 75001, 12, 99, 2**53))
_UUIDS = tuple(str(uuid.UUID(int=i * 77777777777777777777777777)) for i in range(4))
_SAFE, _INT = _within(-(2**53), 2**53), pd.Int64Dtype()
#: Forms without a word for a value that is missing.
NO_GAPS = frozenset(("int64", "int8", "uint64", "bool", "int32"))
#: By dtype and name: which values fit, and the column.
FORMS: dict[str, dict[str, tuple[Any, Form]]] = {
    "int64": {
        "int64": (_any, _as("int64")),
        "int32": (_within(-(2**31), 2**31 - 1), _as("int32")),
        "uint64": (_within(0, 2**63), _as("uint64")),
        "Int64": (_any, _as("Int64")),
        "float64": (_SAFE, _as("float64")),
        "float32": (_within(-(2**24), 2**24), _as("float32")),
        "object": (_any, _as(object)),
        "text": (_any, _each(integer_text)),
        "string": (_any, _each(integer_text, "string")),
        "category": (_any, _each(integer_text, "category")),
        "category of integers": (_any, lambda r, v: pd.Series(v, dtype=_INT).astype("category")),
        "bool": (_bits, _as(bool)),
        "boolean": (_bits, _as("boolean")),
        "decimal": (_any, _each(_decimal)),
        "bytes": (_any, _each(_encoded(integer_text))),
        "arrow int64": (_any, _arrow(pa.int64())),
        "arrow text": (_any, lambda r, v: _arrow(pa.string())(r, [integer_text(r, x) for x in v])),
        "arrow decimal": (_within(-(10**18), 10**18), _arrow_decimal),
        "mixed": (_any, _each(mixed_integer)),
    },
    "float32": {
        "float64": (_any, _as("float64")),
        "float32": (_float32, _as("float32")),
        "Float64": (_any, _as("Float64")),
        "object": (_any, _as(object)),
        "text": (_any, _each(number_text)),
        "string": (_any, _each(number_text, "string")),
        "category": (_any, _each(number_text, "category")),
        "int64": (_positive, _as("int64")),
        "Int64": (_positive, _as("Int64")),
        "bool": (_bits, _as(bool)),
        "boolean": (_bits, _as("boolean")),
        "decimal": (_plain, _each(_decimal)),
        "bytes": (_any, _each(_encoded(number_text))),
        "arrow float": (_float32, _arrow(pa.float32())),
        "arrow text": (_any, lambda r, v: _arrow(pa.string())(r, [number_text(r, x) for x in v])),
        "arrow decimal": (_plain, _arrow_decimal),
        "mixed": (_any, _each(mixed_number)),
    },
    "string": {
        "text": (_any, _each(plain_text)),
        "string": (_any, _each(plain_text, "string")),
        "category": (_any, _each(plain_text, "category")),
        "bytes": (_any, _each(_encoded(plain_text))),
        "arrow text": (_any, lambda r, v: _arrow(pa.string())(r, [plain_text(r, x) for x in v])),
        "arrow large text": (_any, _arrow(pa.large_string())),
        "int64": (_DIGITS, _as("int64")),
        "Int64": (_DIGITS, lambda r, v: pd.Series(map(_int, v), dtype="Int64")),
        "float64": (_DIGITS, _as("float64")),
        "decimal": (_DIGITS, _each(_decimal)),
        "bool": ((True, False), _as(bool)),
        "boolean": ((True, False), _as("boolean")),
        "object bool": ((True, False), _as(object)),
        "uuid": (_UUIDS, _each(lambda r, v: None if v is None else uuid.UUID(v))),
        "mixed": (_any, _each(mixed_text)),
    },
}  # fmt: skip


def _int(value: str | None) -> Any:
    return pd.NA if value is None else int(value)
