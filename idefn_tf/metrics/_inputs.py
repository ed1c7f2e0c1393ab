"""Checks shared by the exact metrics: flat float64 arrays, or an error that names the cure."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from idefn_tf._checks import every_row, one_entry_per, vector

FloatArray = NDArray[np.float64]


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
    y = vector("labels", labels)
    s = vector("scores", scores)
    w = np.ones_like(y) if weights is None else vector("weights", weights)
    for name, array in (("scores", s), ("weights", w)):
        one_entry_per("label", name, array.size, y.size)
    every_row(
        "weights",
        ~(np.isfinite(w) & (w >= 0)),
        "be finite and not negative",
        "use 0 to leave a row out",
    )
    kept = w > 0
    y, s, w = y[kept], s[kept], w[kept]
    every_row(
        "labels",
        ~((y >= 0) & (y <= 1)),
        "lie in [0, 1]",
        "give weight 0 to rows whose label is unknown",
    )
    if probabilities:
        every_row(
            "scores",
            ~((s >= 0) & (s <= 1)),
            "be probabilities in [0, 1]",
            "apply the sigmoid to logits; NaN means that the model diverged",
        )
    else:
        every_row("scores", ~np.isfinite(s), "be finite", "NaN means that the model diverged")
    return y, s, w, kept
