"""One class is refused by the labels of positive weight, however their sums round."""

import pytest

from idefn_tf.calibration import IsotonicCalibrator, PlattCalibrator


@pytest.mark.parametrize("calibrator", [IsotonicCalibrator, PlattCalibrator])
@pytest.mark.parametrize(
    ("labels", "weights"),
    [
        (
            [1] * 10,
            [0.1] * 10,
        ),  # ten weights of .1 sum to less than 1
        ([0] * 10, [0.1] * 10),
        ([1, 1, 1, 0], [0.1, 0.7, 0.3, 0.0]),  # the other class has no weight
        ([0, 0, 0, 1], [0.1, 0.7, 0.3, 0.0]),
        ([1], [1.0]),
    ],
)
def test_one_class_is_refused(calibrator, labels, weights):
    scores = [0.1 + 0.05 * i for i in range(len(labels))]
    with pytest.raises(ValueError, match="must hold both classes"):
        calibrator("clicked").fit(scores, labels, weights)


def test_two_classes_of_little_weight_are_taken():
    labels, weights = [1, 0, 1, 0], [1e-30, 1.0, 1.0, 1e-30]
    fitted = IsotonicCalibrator("clicked").fit([0.1, 0.2, 0.3, 0.4], labels, weights)
    assert fitted.transform([0.2])[0] == pytest.approx(0.0, abs=1e-6)
