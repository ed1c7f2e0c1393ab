"""Calibration: what a CVR means after training, and how to bring it to the meaning you serve.

* `PlattCalibrator`, `IsotonicCalibrator`: fitted on validation rows of a named space (all_funnel:
  conversions per exposure; clicked: conversions per click), exported as a layer.
* `click_space_cvr`, `entire_space_cvr`: the closed form between the optimum of Eq. 15 and the
  click-space CVR.
* `correct_downsampling`, `correct_funnel_downsampling`: undo a dropped share of negatives.
"""

from idefn_tf.calibration.calibrator import Calibrator
from idefn_tf.calibration.isotonic_calibrator import IsotonicCalibrator
from idefn_tf.calibration.piecewise_linear import PiecewiseLinear
from idefn_tf.calibration.platt_calibrator import PlattCalibrator
from idefn_tf.calibration.platt_scaling import PlattScaling
from idefn_tf.rates import (
    apply_downsampling,
    click_space_cvr,
    correct_downsampling,
    correct_funnel_downsampling,
    entire_space_cvr,
)

#: The calibrators by the name that configurations use.
CALIBRATORS: dict[str, type[Calibrator]] = {
    "platt": PlattCalibrator,
    "isotonic": IsotonicCalibrator,
}

__all__ = [
    "CALIBRATORS",
    "Calibrator",
    "IsotonicCalibrator",
    "PiecewiseLinear",
    "PlattCalibrator",
    "PlattScaling",
    "apply_downsampling",
    "click_space_cvr",
    "correct_downsampling",
    "correct_funnel_downsampling",
    "entire_space_cvr",
]
