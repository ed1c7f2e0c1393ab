"""Platt's calibration: a logistic regression on the logit of the score."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from idefn_tf._registry import register
from idefn_tf.calibration.calibrator import Calibrator
from idefn_tf.calibration.platt_scaling import LOGIT_CLIP, PlattScaling
from idefn_tf.metrics._inputs import FloatArray

_MAX_STEPS = 100
_TOLERANCE = 1e-10


def _logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.clip(p, LOGIT_CLIP, 1.0 - LOGIT_CLIP)
    return np.log(p) - np.log1p(-p)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-np.logaddexp(0.0, -x))


def _fit_logistic(x: FloatArray, t: FloatArray, w: FloatArray) -> tuple[float, float, bool]:
    """Newton's method with halved steps for the weighted logistic loss of slope and intercept.

    Args:
        x: [rows], the one input.
        t: [rows], targets in [0, 1].
        w: [rows], weights that sum to 1.

    Returns:
        (slope, intercept, whether the gradient fell below the tolerance).
    """
    # Centred and scaled, so that the two parameters are nearly independent.
    middle, scale = float(np.dot(w, x)), float(np.sqrt(np.dot(w, (x - np.dot(w, x)) ** 2)))
    design = np.stack([(x - middle) / scale, np.ones_like(x)], axis=1)

    def loss(theta: FloatArray) -> float:
        z = design @ theta
        return float(np.dot(w, np.logaddexp(0.0, z) - t * z))

    theta = np.array([scale, middle])  # slope 1, intercept 0
    for _ in range(_MAX_STEPS):
        p = _sigmoid(design @ theta)
        gradient = design.T @ (w * (p - t))
        if np.abs(gradient).max() <= _TOLERANCE * float(np.dot(w, t)):
            break
        hessian = design.T @ (design * (w * p * (1.0 - p))[:, None])
        if not np.linalg.cond(hessian) < 1e14:
            break
        step, here = np.linalg.solve(hessian, gradient), loss(theta)
        while loss(theta - step) > here and np.abs(step).max() > 1e-12:
            step = step / 2
        theta = theta - step
    gradient = design.T @ (w * (_sigmoid(design @ theta) - t))
    # Rounding may stop the descent a little above the tolerance aimed at.
    converged = bool(np.abs(gradient).max() <= 1e3 * _TOLERANCE * float(np.dot(w, t)))
    slope = theta[0] / scale
    return float(slope), float(theta[1] - slope * middle), converged


@register("class")
class PlattCalibrator(Calibrator):
    """p' = sigmoid(slope * logit(p) + intercept) with the least weighted log loss.

    Two parameters: the choice where positives are few (below about a thousand). Keeps the ranking
    exactly. The sum of the calibrated values equals the sum of the labels it was fitted on,
    unless targets are smoothed.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999, on logits.

    Args:
        space: "all_funnel" or "clicked", see `Calibrator`.
        smooth_targets: Use Platt's targets (n+ + 1) / (n+ + 2) and 1 / (n- + 2), with n the rows
            of each class, which keeps the fit finite where scores separate the classes. Defaults
            to False.

    Example:
        >>> from idefn_tf.calibration import PlattCalibrator
        >>> calibrator = PlattCalibrator("clicked").fit([0.2, 0.4, 0.6, 0.8], [0, 1, 0, 1])
        >>> round(float(calibrator.transform([0.2, 0.4, 0.6, 0.8]).sum()), 6)  # 2 converted
        2.0
        >>> layer = calibrator.to_layer()
    """

    def __init__(self, space: str, smooth_targets: bool = False) -> None:
        super().__init__(space)
        self.smooth_targets = smooth_targets
        self.slope = 1.0
        self.intercept = 0.0

    def _fit(self, p: FloatArray, y: FloatArray, w: FloatArray) -> None:
        x = _logit(p)
        t = y
        if self.smooth_targets:
            positives = float(y.sum())
            high, low = (positives + 1) / (positives + 2), 1 / (y.size - positives + 2)
            t = low + y * (high - low)
        # The least loss lies at infinity where one threshold separates the classes.
        positive, negative = x[t > 0], x[t < 1]
        if positive.min() >= negative.max() or negative.min() >= positive.max():
            raise ValueError(
                f"scores: must overlap between the classes, received {y.size} rows that one "
                "threshold separates, or one score for all; use more validation rows, or "
                "smooth_targets=True"
            )
        slope, intercept, converged = _fit_logistic(x, t, w / w.sum())
        if not converged:
            raise ValueError(
                f"scores: must allow a logistic fit, received {y.size} rows on which Newton's "
                f"method did not converge in {_MAX_STEPS} steps (slope {slope:g}); use more "
                "validation rows, or smooth_targets=True"
            )
        if slope <= 0:
            raise ValueError(
                f"scores: must rank with the labels on {self.space!r}, received a fitted slope "
                f"of {slope:g}, which would reverse the ranking; check that scores and labels "
                "belong together; a model with AUC below .5 there cannot be calibrated"
            )
        self.slope, self.intercept = slope, intercept

    def transform(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities, float64, of the shape of `scores`.

        Args:
            scores: Probabilities of any shape.

        Returns:
            sigmoid(slope * logit(scores) + intercept).

        Raises:
            ValueError: Before a fit.
        """
        self._require_fitted()
        logit = _logit(np.asarray(scores, dtype=np.float64))
        return _sigmoid(self.slope * logit + self.intercept)

    def to_layer(self, name: str | None = None) -> PlattScaling:
        """The fitted map as a `PlattScaling` layer."""
        self._require_fitted()
        return PlattScaling(self.slope, self.intercept, name=name)

    def get_config(self) -> dict[str, Any]:
        """Arguments and fitted parameters, JSON safe."""
        self._require_fitted()
        return {
            **super().get_config(),
            "smooth_targets": self.smooth_targets,
            "slope": self.slope,
            "intercept": self.intercept,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Rebuilds a fitted calibrator from `get_config()`."""
        calibrator = cls(config["space"], config["smooth_targets"])
        calibrator.slope = float(config["slope"])
        calibrator.intercept = float(config["intercept"])
        calibrator.fitted = True
        return calibrator
