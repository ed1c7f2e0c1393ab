"""Annotated types: the everyday rules as annotations of constructors and records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from idefn_tf._rules import COUNT, FLAG, MOST, NONE, TEXT, Either, Many, Number, Passes


def _activation(name: Any) -> None:
    import keras  # late: options are read without it

    if not isinstance(name, str) or not callable(keras.activations.get(name)):
        raise ValueError(f"activation: must be a name of keras.activations, received {name!r}")


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
Activation = Annotated[
    str, Passes("an activation of Keras, such as 'relu'", _activation, (("type", "string"),))
]
