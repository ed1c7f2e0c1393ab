"""The base of the calibrators: checks, the space, and how a fitted one is kept."""

from collections.abc import Mapping
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from idefn_tf._checks import one_entry_per
from idefn_tf.evaluation.spaces import require_selection_space, select
from idefn_tf.metrics._inputs import FloatArray, clean_rows


class Calibrator:
    """A monotone map from a model's probability to a calibrated one, fitted on validation rows.

    Fit it on rows that the model was not trained on: on training rows it would learn the model's
    over-confidence there. A subclass gives `_fit`, `transform` and `to_layer`.

    Args:
        space: The space whose meaning the calibrated value gets: "all_funnel" (conversions per
            exposure, unclicked = 0) or "clicked" (conversions per click).

    Raises:
        ValueError: On a space that selection must not use.

    Example:
        >>> from idefn_tf.calibration import Calibrator, PlattCalibrator
        >>> calibrator = PlattCalibrator("clicked").fit([0.1, 0.3, 0.2, 0.4], [0, 0, 1, 1])
        >>> total = calibrator.transform([0.1, 0.3, 0.2, 0.4]).sum()  # as many as converted
        >>> isinstance(calibrator, Calibrator), round(float(total), 6)
        (True, 2.0)
    """

    def __init__(self, space: str) -> None:
        self.space = require_selection_space(space)
        self.fitted = False

    def fit(
        self, scores: ArrayLike, labels: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fits the map on rows that belong to the space already.

        Args:
            scores: [rows] or [rows, 1], the model's probabilities.
            labels: [rows] or [rows, 1], in [0, 1].
            sample_weight: [rows] or [rows, 1], not negative, or None.

        Returns:
            This calibrator.

        Raises:
            ValueError: On bad values, and without both classes.
        """
        y, p, w, _ = clean_rows(labels, scores, sample_weight, probabilities=True)
        positive, rows = float(np.dot(w, y)), int(y.size)
        weighed = y[w > 0]  # the labels themselves: sums of weights round
        if not ((weighed > 0).any() and (weighed < 1).any()):
            raise ValueError(
                f"labels: must hold both classes to calibrate on {self.space!r}, received "
                f"{rows} rows with positive weight {positive:g}; use more validation data"
            )
        self._fit(p, y, w)
        self.fitted = True
        return self

    def fit_space(
        self,
        scores: ArrayLike,
        columns: Mapping[str, ArrayLike],
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Takes the rows and labels of this calibrator's space and fits on them.

        Args:
            scores: [rows] or [rows, 1], the model's CVR of every exposure.
            columns: "click" and "conversion", [rows] each, as in `spaces.select`.
            sample_weight: [rows] or [rows, 1], not negative, or None.

        Returns:
            This calibrator.

        Raises:
            ValueError: On bad values, and without both classes.
        """
        mask, label = select(self.space, columns)
        parts: list[NDArray[Any] | None] = []
        for name, values in (("scores", scores), ("sample_weight", sample_weight)):
            if values is None:
                parts.append(None)
                continue
            array = np.asarray(values, dtype=np.float64).reshape(-1)
            one_entry_per("row", name, array.size, mask.size)
            parts.append(array[mask])
        chosen, weight = parts
        return self.fit(chosen if chosen is not None else [], label[mask], weight)

    def _fit(self, p: FloatArray, y: FloatArray, w: FloatArray) -> None:
        """Finds the parameters; inputs are checked, finite and of positive weight."""
        raise NotImplementedError("Calibrator is a base class. Use PlattCalibrator or another.")

    def transform(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities, float64, of the shape of `scores`."""
        raise NotImplementedError("Calibrator is a base class. Use PlattCalibrator or another.")

    def to_layer(self, name: str | None = None) -> keras.layers.Layer:
        """The same map as a Keras layer on probability tensors of any shape, for export."""
        raise NotImplementedError("Calibrator is a base class. Use PlattCalibrator or another.")

    def get_config(self) -> dict[str, Any]:
        """Arguments and fitted parameters, JSON safe; `from_config` rebuilds the calibrator."""
        return {"space": self.space}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Rebuilds a calibrator from `get_config()`."""
        raise NotImplementedError("Calibrator is a base class. Use PlattCalibrator or another.")

    def _require_fitted(self) -> None:
        if not self.fitted:
            raise ValueError(
                f"{type(self).__name__}: must be fitted first, received no fit; "
                "call fit or fit_space on validation rows"
            )
