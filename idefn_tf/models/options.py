"""Checks of a method's options; each error names the option, its rule and what was received."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def positive(**options: float) -> None:
    """Raises ValueError unless every option is above 0."""
    for name, value in options.items():
        if not value > 0:
            raise ValueError(f"{name}: must be above 0, received {value}")


def non_negative(**options: float) -> None:
    """Raises ValueError unless every option is 0 or more."""
    for name, value in options.items():
        if not value >= 0:
            raise ValueError(f"{name}: must be 0 or more, received {value}")


def between_zero_and_one(**options: float) -> None:
    """Raises ValueError unless every option lies strictly between 0 and 1."""
    for name, value in options.items():
        if not 0 < value < 1:
            raise ValueError(f"{name}: must lie between 0 and 1, received {value}")


def one_of(allowed: Sequence[Any], **options: Any) -> None:
    """Raises ValueError unless every option is one of `allowed`."""
    for name, value in options.items():
        if value not in allowed:
            raise ValueError(f"{name}: must be one of {list(allowed)}, received {value!r}")
