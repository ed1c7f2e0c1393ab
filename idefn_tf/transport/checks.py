"""Checks of arguments: the argument, the rule, what was received, the cure."""

from __future__ import annotations

import numbers
from typing import Any

import keras
import numpy as np
import tensorflow as tf


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


def checked_value(value: Any, holdout_positives: float | None) -> tuple[Any, float]:
    """Returns what a relabelled row's label is worth, and the share held out that it needs."""
    if holdout_positives is None:
        holdout_positives = 0.1 if value == "calibrated" else 0.0
    if not 0 <= holdout_positives < 1 or (value == "calibrated" and not holdout_positives):
        raise ValueError(
            "`holdout_positives` must lie in [0, 1), above 0 for calibrated labels. "
            f"Received: {holdout_positives!r}."
        )
    if value != "calibrated" and not (isinstance(value, int | float) and 0 < value <= 1):
        raise ValueError(
            f"`label_value` must be a number in (0, 1] or 'calibrated'. Received: {value!r}."
        )
    return value, holdout_positives


def checked_cost(cost: Any) -> tf.Tensor:
    """Returns a cost matrix as float32 or float64; other numbers become float32."""
    cure = "give a matrix of numbers, for example numpy.asarray(cost, dtype='float32')"
    try:
        matrix = tf.convert_to_tensor(cost)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`cost` must be a rectangular matrix of numbers. Received: {type(cost).__name__} that "
            f"is none ({error}); {cure}."
        ) from error
    if not (matrix.dtype.is_floating or matrix.dtype.is_integer or matrix.dtype.is_bool):
        raise ValueError(
            f"`cost` must be made of real numbers. Received dtype {matrix.dtype.name}; {cure}."
        )
    if matrix.shape.rank != 2:
        raise ValueError(
            f"`cost` must be a matrix [positives, unclicked rows]. Received shape {matrix.shape}; "
            "leave out the virtual row, the problem adds it."
        )
    return matrix if matrix.dtype in (tf.float32, tf.float64) else tf.cast(matrix, tf.float32)


def checked_share(kappa: Any) -> Any:
    """Returns kappa, a number in [0, 1]; a tensor's value is the solver's affair (see `capped`)."""
    cure = "give one number, for example 0.02"
    if tf.is_tensor(kappa):
        if kappa.shape.rank not in (0, None) or not (
            kappa.dtype.is_floating or kappa.dtype.is_integer
        ):
            raise ValueError(
                f"`kappa` must be one number. Received: dtype {kappa.dtype.name}, shape "
                f"{kappa.shape}; {cure}."
            )
        return kappa
    value = np.asarray(kappa)
    number = value.shape == () and value.dtype.kind in "iuf"
    if not number or not 0 <= float(value) <= 1:
        raise ValueError(f"`kappa` must be a number in [0, 1]. Received: {kappa!r}; {cure}.")
    return kappa


def checked_mask(name: str, mask: Any, size: Any) -> tf.Tensor:
    """Returns a mask as booleans, one for each row or column of the cost."""
    mask = tf.cast(mask, tf.bool)
    if not mask.shape.is_compatible_with([size]):
        raise ValueError(
            f"`{name}` needs one entry per {name.split('_')[0]} of the cost, shape [{size}]. "
            f"Received shape {mask.shape}; True where it takes part, False at padding."
        )
    return mask


def positive_number(name: str, value: Any) -> None:
    """Raises unless the value is a finite number above 0."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not 0 < value < float("inf"):
        raise ValueError(f"`{name}` must be a positive number. Received: {value!r}.")


def positive_whole(name: str, value: Any) -> None:
    """Raises unless the value is a whole number of at least 1."""
    number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not number or value < 1:
        raise ValueError(f"`{name}` must be a whole number, at least 1. Received: {value!r}.")
