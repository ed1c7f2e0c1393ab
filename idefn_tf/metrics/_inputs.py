"""Checks shared by the exact metrics: flat float64 arrays, or an error that names the cure."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def _flat(name: str, values: ArrayLike) -> FloatArray:
    """Returns `values` as a float64 vector; [n, 1] is accepted and flattened."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must hold numbers. Received: {type(values).__name__} that cannot be read as "
            "float64. Pass a numeric array (missing values removed)."
        ) from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"`{name}` must have shape [rows] or [rows, 1]. Received: shape {array.shape}. "
            "Select one output and flatten it."
        )
    return array


def _require(name: str, bad: NDArray[np.bool_], rule: str, cure: str) -> None:
    """Raises ValueError when any entry of `bad` is set, saying how many rows break the rule."""
    count = int(np.count_nonzero(bad))
    if count:
        raise ValueError(
            f"`{name}` must {rule}. Received: {count} of {bad.size} rows do not. {cure}"
        )


def clean_rows(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None, *, probabilities: bool
) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]:
    """Checks one metric's inputs and drops the rows of weight zero.

    Args:
        labels: [rows], each in [0, 1]. A fractional label y counts as y of a positive and 1 - y
            of a negative.
        scores: [rows], finite; in [0, 1] where `probabilities` is set.
        weights: [rows], finite and >= 0, or None for one each.
        probabilities: Whether the scores are read as probabilities.

    Returns:
        (labels, scores, weights, kept): float64 vectors of the kept rows, and the mask [rows].

    Raises:
        ValueError: On another shape, on values outside the ranges, on NaN.
    """
    y = _flat("labels", labels)
    s = _flat("scores", scores)
    w = np.ones_like(y) if weights is None else _flat("weights", weights)
    for name, array in (("scores", s), ("weights", w)):
        if array.shape != y.shape:
            raise ValueError(
                f"`{name}` must have one entry per label. Received: {array.size} for {y.size} "
                "labels. Take both from the same rows."
            )
    _require(
        "weights",
        ~(np.isfinite(w) & (w >= 0)),
        "be finite and not negative",
        "Use 0 to leave a row out.",
    )
    kept = w > 0
    y, s, w = y[kept], s[kept], w[kept]
    _require(
        "labels",
        ~((y >= 0) & (y <= 1)),
        "lie in [0, 1]",
        "Give weight 0 to rows whose label is unknown.",
    )
    if probabilities:
        _require(
            "scores",
            ~((s >= 0) & (s <= 1)),
            "be probabilities in [0, 1]",
            "Apply the sigmoid to logits; NaN means that the model diverged.",
        )
    else:
        _require("scores", ~np.isfinite(s), "be finite", "NaN means that the model diverged.")
    return y, s, w, kept
