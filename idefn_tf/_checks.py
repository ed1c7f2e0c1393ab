"""Checks of arrays, tensors and lengths; the rules of single options are in `idefn_tf._rules`."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray


def vector(name: str, values: ArrayLike, dtype: Any = np.float64) -> NDArray[Any]:
    """Returns values as a vector; [rows, 1] is flattened.

    Raises:
        ValueError: on another shape, or what cannot be read as `dtype`.
    """
    try:
        array = np.asarray(values, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: must hold numbers, received {type(values).__name__} that cannot be read as "
            f"{np.dtype(dtype)}; pass a numeric array (missing values removed)"
        ) from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"{name}: must have shape [rows] or [rows, 1], received shape {array.shape}; "
            "select one output and flatten it"
        )
    return array


def one_entry_per(what: str, name: str, entries: Any, rows: Any) -> None:
    """Raises ValueError unless there are as many entries as rows (or labels)."""
    if entries != rows:
        raise ValueError(
            f"{name}: must have one entry per {what}, received {entries} for {rows} {what}s; "
            "take both from the same rows"
        )


def every_row(name: str, bad: NDArray[np.bool_], rule: str, cure: str) -> None:
    """Raises ValueError when any entry of `bad` is set, saying how many rows break the rule."""
    count = int(np.count_nonzero(bad))
    if count:
        raise ValueError(
            f"{name}: must {rule}, received {count} of {bad.size} rows that do not; {cure}"
        )


def checked_cost(cost: Any) -> tf.Tensor:
    """Returns a cost matrix as float32 or float64; other numbers become float32."""
    cure = "give a matrix of numbers, for example numpy.asarray(cost, dtype='float32')"
    try:
        matrix = tf.convert_to_tensor(cost)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"cost: must be a rectangular matrix of numbers, received {type(cost).__name__} that "
            f"is none ({error}); {cure}"
        ) from error
    if not (matrix.dtype.is_floating or matrix.dtype.is_integer or matrix.dtype.is_bool):
        raise ValueError(
            f"cost: must be made of real numbers, received dtype {matrix.dtype.name}; {cure}"
        )
    if matrix.shape.rank != 2:
        raise ValueError(
            f"cost: must be a matrix [positives, unclicked rows], received shape {matrix.shape}; "
            "leave out the virtual row, the problem adds it"
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
                f"kappa: must be one number, received dtype {kappa.dtype.name}, shape "
                f"{kappa.shape}; {cure}"
            )
        return kappa
    value = np.asarray(kappa)
    number = value.shape == () and value.dtype.kind in "iuf"
    if not number or not 0 <= float(value) <= 1:
        raise ValueError(f"kappa: must be a number in [0, 1], received {kappa!r}; {cure}")
    return kappa


def checked_mask(name: str, mask: Any, size: Any) -> tf.Tensor:
    """Returns a mask as booleans, one for each row or column of the cost."""
    mask = tf.cast(mask, tf.bool)
    checked_length(name, mask, size, "True where it takes part, False at padding")
    return mask


def checked_length(name: str, values: tf.Tensor, size: Any, cure: str) -> None:
    """Raises ValueError unless there is one value for each row or column of the cost."""
    if not values.shape.is_compatible_with([size]):
        raise ValueError(
            f"{name}: must have one entry per {name.split('_')[0]} of the cost, shape [{size}], "
            f"received shape {values.shape}; {cure}"
        )
