"""Checks of tensors and masks; the rules of single options are in `idefn_tf._rules`."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


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
