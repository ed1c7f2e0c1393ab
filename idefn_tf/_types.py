"""Annotated types: the everyday rules as annotations of constructors and records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from idefn_tf._rules import COUNT, FLAG, MOST, NONE, TEXT, Either, Many, Number

Positive = Annotated[float, Number(above=0)]
NonNegative = Annotated[float, Number(least=0)]
Share = Annotated[float, Number(least=0, most=1)]
OpenShare = Annotated[float, Number(above=0, below=1)]
ShareAboveZero = Annotated[float, Number(above=0, most=1)]
ShareBelowOne = Annotated[float, Number(least=0, below=1)]
Count = Annotated[int, COUNT]
CountOrZero = Annotated[int, Number(least=0, most=MOST, whole=True)]
Seed = Annotated[int, Number(least=0, most=2**32 - 1, whole=True)]
Switch = Annotated[bool, FLAG]
Text = Annotated[str, TEXT]
Widths = Annotated[Sequence[int], Many(COUNT)]
FiniteOrNone = Annotated[float | None, Either((Number(), NONE))]
CountOrNone = Annotated[int | None, Either((COUNT, NONE))]
PositiveOrNone = Annotated[float | None, Either((Number(above=0), NONE))]
