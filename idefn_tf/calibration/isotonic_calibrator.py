"""Isotonic calibration: the monotone step map that fits best."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from idefn_tf._registry import register
from idefn_tf._rules import Number, checked
from idefn_tf.calibration.calibrator import Calibrator
from idefn_tf.calibration.piecewise_linear import PiecewiseLinear
from idefn_tf.metrics._inputs import FloatArray


@register("class")
class IsotonicCalibrator(Calibrator):
    """The non-decreasing map with the least weighted squared error, linear between its knots.

    Follows any shape, but needs many positives (about a thousand) and makes ties: AUC moves a
    little. Before clipping, the sum of the calibrated values equals the sum of the labels it was
    fitted on. Fitted by scikit-learn's IsotonicRegression.

    Args:
        space: "all_funnel" or "clicked", see `Calibrator`.
        clip: Calibrated values stay in [clip, 1 - clip]: a lowest step without a positive would
            otherwise promise exactly 0. Defaults to 1e-6.

    Example:
        >>> from idefn_tf.calibration import IsotonicCalibrator
        >>> calibrator = IsotonicCalibrator("clicked").fit([0.2, 0.4, 0.6, 0.8], [0, 1, 0, 1])
        >>> [round(float(p), 3) for p in calibrator.transform([0.4, 0.5, 0.6])]
        [0.5, 0.5, 0.5]
    """

    def __init__(self, space: str, clip: float = 1e-6) -> None:
        super().__init__(space)
        self.clip = float(checked("clip", Number(least=0, below=0.5), clip, "use for example 1e-6"))
        self.x: NDArray[np.float64] = np.zeros(0)
        self.y: NDArray[np.float64] = np.zeros(0)

    def _fit(self, p: FloatArray, y: FloatArray, w: FloatArray) -> None:
        from sklearn.isotonic import IsotonicRegression  # for those who fit: it takes its time

        model = IsotonicRegression(y_min=0.0, y_max=1.0, increasing=True, out_of_bounds="clip")
        model.fit(p, y, sample_weight=w)
        self.x = np.asarray(model.X_thresholds_, dtype=np.float64)
        self.y = np.clip(np.asarray(model.y_thresholds_), self.clip, 1.0 - self.clip)

    def transform(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities, float64, of the shape of `scores`.

        Args:
            scores: Probabilities of any shape.

        Returns:
            The interpolated values.

        Raises:
            ValueError: Before a fit.
        """
        self._require_fitted()
        return np.asarray(np.interp(np.asarray(scores, dtype=np.float64), self.x, self.y))

    def to_layer(self, name: str | None = None) -> PiecewiseLinear:
        """The fitted map as a `PiecewiseLinear` layer."""
        self._require_fitted()
        return PiecewiseLinear(self.x.tolist(), self.y.tolist(), name=name)

    def get_config(self) -> dict[str, Any]:
        """Arguments and fitted knots, JSON safe."""
        self._require_fitted()
        knots = {"x": self.x.tolist(), "y": self.y.tolist()}
        return {**super().get_config(), "clip": self.clip, **knots}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Rebuilds a fitted calibrator from `get_config()`."""
        calibrator = cls(config["space"], config["clip"])
        calibrator.x = np.asarray(config["x"], dtype=np.float64)
        calibrator.y = np.asarray(config["y"], dtype=np.float64)
        calibrator.fitted = True
        return calibrator
