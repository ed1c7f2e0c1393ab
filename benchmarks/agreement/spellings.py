"""One cell in every spelling: text, the scalars of Python and NumPy, and what says "missing"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

_NULLS: tuple[Any, ...] = (None, math.nan, pd.NA, pd.NaT)
_NO_TEXT = ("", " ", "\t \n", "-", " - ")
_NO_NUMBER = (*_NO_TEXT, "NA", " N/A ", "NULL", "null", "None", "nan", "NaN")


def one_of(rng: np.random.Generator, values: Sequence[Any]) -> Any:
    """Returns one of the values as it is, not NumPy's copy."""
    return values[int(rng.integers(len(values)))]


def integer_text(rng: np.random.Generator, value: int | None) -> Any:
    """Returns text that is an integer, or a word for a missing one."""
    if value is None:
        return one_of(rng, (None, *_NO_NUMBER))
    texts = [f"{value}", f" {value} ", f"{value}.0", f"{value}.", f"{value}\n"]
    if value >= 0:
        texts += [f"+{value}", f"00{value}"]
    if abs(value) <= 2**53:
        texts += [f"{value}e0", f"{value}0E-1"]
    if value in (0, 1):
        texts += [["false", "No", "F"], ["TRUE", "y", " Yes "]][value]
    return one_of(rng, texts)


def number_text(rng: np.random.Generator, value: float | None) -> Any:
    """Returns text that is a number, or a word for a missing one."""
    if value is None:
        return one_of(rng, (None, *_NO_NUMBER))
    texts = [repr(value), f" {value!r}\t", f"{value:.17e}", f"{value:.20E}", f"{value:.60f}"]
    if value >= 0 and math.copysign(1, value) > 0:
        texts.append(f"+{value!r}")
    if value.is_integer() and math.copysign(1, value) > 0:
        texts += [f"{int(value)}", f"{int(value)}.", f"00{int(value)}"]
    return one_of(rng, texts)


def plain_text(rng: np.random.Generator, value: str | None) -> Any:
    """Returns text as it is, or what stands for missing text."""
    return one_of(rng, (None, *_NO_TEXT)) if value is None else value


def mixed_integer(rng: np.random.Generator, value: int | None) -> Any:
    """Returns an integer in any form at all."""
    if value is None:
        return one_of(rng, (*_NULLS, *_NO_NUMBER, np.float32("nan"), Decimal("NaN")))
    found = [value, integer_text(rng, value), np.int64(value), Decimal(value), f"{value}".encode()]
    if abs(value) <= 2**53:
        found += [float(value), np.float64(value), Decimal(f"{value}.00")]
    if abs(value) < 2**31:
        found += [np.int32(value)]
    if abs(value) < 2048:
        found += [np.float16(value), np.float32(value)]
    if value in (0, 1):
        found += [bool(value), np.bool_(value)]
    if value >= 0:
        found.append(np.uint64(value))
    return one_of(rng, found)


def mixed_number(rng: np.random.Generator, value: float | None) -> Any:
    """Returns a number in any form at all."""
    if value is None:
        return one_of(rng, (*_NULLS, *_NO_NUMBER, np.float32("nan"), Decimal("NaN")))
    found = [value, np.float64(value), number_text(rng, value), repr(value).encode()]
    if float(np.float32(value)) == value:
        found.append(np.float32(value))
    if math.copysign(1, value) > 0:
        found.append(Decimal(repr(value)))
        if value.is_integer():
            found += [int(value), np.int64(value)]
        if value in (0.0, 1.0):
            found += [bool(value), np.bool_(value)]
    return one_of(rng, found)


def mixed_text(rng: np.random.Generator, value: str | None) -> Any:
    """Returns text, or a typed value that has this text."""
    if value is None:
        return one_of(rng, (*_NULLS, *_NO_TEXT, np.float64("nan")))
    found: list[Any] = [value, value, value, np.str_(value), value.encode()]
    if value.isascii() and value.isdigit() and str(int(value)) == value:
        found += [int(value), float(value), np.int64(value), Decimal(value), np.float32(value)]
    if value in ("true", "false"):
        found += [value == "true", np.bool_(value == "true")]
    return one_of(rng, found)
