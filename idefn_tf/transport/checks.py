"""Checks of the RPOT layer's arguments: argument, rule, what was received."""

from __future__ import annotations

from typing import Any

import keras


def one_of(name: str, value: Any, known: tuple[str, ...]) -> Any:
    """Returns `value` if it is one of the known names."""
    if value not in known:
        raise ValueError(f"`{name}` must be one of {known}. Received: {value!r}.")
    return value


def checked_kappa(kappa: Any) -> Any:
    """Returns kappa if it is a share, a schedule of the training step, or "auto"."""
    schedule = isinstance(kappa, keras.optimizers.schedules.LearningRateSchedule)
    number = isinstance(kappa, int | float) and not isinstance(kappa, bool)
    if kappa == "auto" or schedule or (number and 0 <= kappa <= 1):
        return kappa
    raise ValueError(
        "`kappa` must be a number in [0, 1], a keras.optimizers.schedules object, or 'auto'. "
        f"Received: {kappa!r}."
    )


def checked_value(value: Any, spies: float | None) -> tuple[Any, float]:
    """Returns what a relabelled row's label is worth, and the share of spies that it needs."""
    spies = (0.1 if value == "calibrated" else 0.0) if spies is None else spies
    if not 0 <= spies < 1 or (value == "calibrated" and not spies):
        raise ValueError(
            f"`spies` must lie in [0, 1), above 0 for calibrated labels. Received: {spies!r}."
        )
    if value != "calibrated" and not (isinstance(value, int | float) and 0 < value <= 1):
        raise ValueError(
            f"`label_value` must be a number in (0, 1] or 'calibrated'. Received: {value!r}."
        )
    return value, spies
