"""Calibrators against scikit-learn and their own algebra."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from idefn_tf import metrics
from idefn_tf.calibration import (
    CALIBRATORS,
    Calibrator,
    IsotonicCalibrator,
    PiecewiseLinear,
    PlattCalibrator,
    PlattScaling,
    click_space_cvr,
    correct_downsampling,
    correct_funnel_downsampling,
    entire_space_cvr,
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def overconfident(seed: int = 0, size: int = 8000):
    """Scores whose logit is 1.5 times too steep and .7 too high; a rare label; weights."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-4, 1, size)
    labels = (rng.random(size) < sigmoid(logit)).astype(float)
    return sigmoid(1.5 * logit + 0.7), labels, rng.random(size)


@pytest.mark.parametrize("weighted", [False, True])
def test_platt_is_logistic_regression_on_the_logit(weighted):
    scores, labels, weights = overconfident()
    weights = weights if weighted else None
    ours = PlattCalibrator("all_funnel").fit(scores, labels, weights)
    logit = np.log(scores / (1 - scores))[:, None]
    theirs = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
    theirs.fit(logit, labels, sample_weight=weights)
    assert ours.slope == pytest.approx(theirs.coef_[0, 0], rel=1e-6)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], rel=1e-6)
    assert ours.slope == pytest.approx(1 / 1.5, abs=0.12)
    np.testing.assert_allclose(ours.transform(scores), theirs.predict_proba(logit)[:, 1], rtol=1e-6)
    assert metrics.pcoc(labels, ours.transform(scores), weights) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
def test_isotonic_is_scikit_learns(weighted):
    scores, labels, weights = overconfident(1)
    weights = weights if weighted else None
    ours = IsotonicCalibrator("all_funnel", clip=0).fit(scores, labels, weights)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, labels, sample_weight=weights)
    grid = np.linspace(0, 1, 3001)
    np.testing.assert_allclose(ours.transform(grid), theirs.predict(grid), atol=1e-12)
    assert metrics.pcoc(labels, ours.transform(scores), weights) == pytest.approx(1, abs=1e-9)


def test_isotonic_by_hand():
    ours = IsotonicCalibrator("clicked", clip=0.01)
    ours.fit([0.1, 0.2, 0.3, 0.4, 0.5], [0, 1, 0, 0, 1], [1, 1, 1, 2, 1])
    # .2, .3, .4 pool to 1 / 4; the lowest step is 0, kept at .01
    expected = [0.01, 0.01, 0.25, 0.25, 0.25, (0.25 + 0.99) / 2, 0.99, 0.99]
    np.testing.assert_allclose(ours.transform([0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.9]), expected)


@pytest.mark.parametrize("kind", sorted(CALIBRATORS))
def test_calibration_carries_over_to_new_rows(kind):
    scores, labels, _ = overconfident(2, 30_000)
    fresh, fresh_labels, _ = overconfident(3, 30_000)
    calibrated = CALIBRATORS[kind]("all_funnel").fit(scores, labels).transform(fresh)
    assert abs(metrics.pcoc(fresh_labels, fresh) - 1) > 0.2
    assert metrics.pcoc(fresh_labels, calibrated) == pytest.approx(1, abs=0.1)
    assert metrics.ece(fresh_labels, calibrated) < 0.5 * metrics.ece(fresh_labels, fresh)
    assert metrics.log_loss(fresh_labels, calibrated) < metrics.log_loss(fresh_labels, fresh)
    if kind == "platt":
        assert metrics.auc(fresh_labels, calibrated) == metrics.auc(fresh_labels, fresh)


@pytest.mark.parametrize("kind", sorted(CALIBRATORS))
def test_the_space_chooses_rows_and_labels(kind):
    rng = np.random.default_rng(4)
    cvr = sigmoid(rng.normal(-1, 1, 4000))
    click = (rng.random(4000) < 0.3).astype(float)
    columns = {"click": click, "conversion": click * (rng.random(4000) < cvr)}
    weight = rng.random(4000)
    per_click = CALIBRATORS[kind]("clicked").fit_space(cvr[:, None], columns, weight)
    i = click == 1
    by_hand = CALIBRATORS[kind]("clicked").fit(cvr[i], columns["conversion"][i], weight[i])
    np.testing.assert_array_equal(per_click.transform(cvr), by_hand.transform(cvr))
    per_exposure = CALIBRATORS[kind]("all_funnel").fit_space(cvr, columns)
    conversions = columns["conversion"].sum()
    assert per_exposure.transform(cvr).sum() == pytest.approx(conversions, rel=1e-3)
    assert per_click.transform(cvr).mean() > 2.5 * per_exposure.transform(cvr).mean()


@pytest.mark.parametrize("kind", sorted(CALIBRATORS))
@pytest.mark.parametrize("space", ["all_raw", "unclicked_raw", "oracle"])
def test_report_only_spaces_are_refused(kind, space):
    with pytest.raises(ValueError, match="reports only"):
        CALIBRATORS[kind](space)


@pytest.mark.parametrize("kind", sorted(CALIBRATORS))
def test_layer_equals_transform_everywhere(kind, tmp_path):
    scores, labels, weights = overconfident(5)
    calibrator = CALIBRATORS[kind]("all_funnel").fit(scores, labels, weights)
    probe = np.r_[scores[:500], 0.0, 1.0, 1e-9, 0.5].astype("float32")
    expected = calibrator.transform(probe)
    layer = calibrator.to_layer(name="calibrated_cvr")
    assert layer.name == "calibrated_cvr"
    np.testing.assert_allclose(layer(probe), expected, rtol=2e-6)
    assert layer(probe[:, None]).shape == (504, 1)
    assert layer(tf.constant(probe)).dtype == tf.float32
    np.testing.assert_allclose(layer(tf.constant(probe, tf.float64)), expected, rtol=1e-12)
    compiled = tf.function(layer.call, jit_compile=True)
    np.testing.assert_allclose(compiled(tf.constant(probe)), expected, rtol=2e-6)
    assert np.isnan(layer(np.array([np.nan], "float32")).numpy()[0])

    copy = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    np.testing.assert_array_equal(copy(probe), layer(probe))
    stored = json.loads(json.dumps(calibrator.get_config()))
    rebuilt = CALIBRATORS[kind].from_config(stored)
    assert rebuilt.space == "all_funnel"
    np.testing.assert_array_equal(rebuilt.transform(probe), expected)

    inputs = keras.Input((), dtype="float32")
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(probe), expected, rtol=2e-6)

    module = tf.Module()
    module.serve = tf.function(
        lambda p: {"cvr": layer(p)}, input_signature=[tf.TensorSpec([None], tf.float32)]
    )
    tf.saved_model.save(module, str(tmp_path / "saved"))
    served = tf.saved_model.load(str(tmp_path / "saved")).serve(tf.constant(probe))["cvr"]
    np.testing.assert_allclose(served, expected, rtol=2e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=8, unique=True),
    st.lists(st.floats(0, 1), min_size=8, max_size=8),
    st.lists(st.floats(-1, 2), min_size=1, max_size=20),
)
def test_piecewise_linear_is_numpy_interp(x, y, probe):
    x, y, probe = np.sort(x), y[: len(x)], np.array(probe)
    layer = PiecewiseLinear(x, y)
    np.testing.assert_allclose(layer(tf.constant(probe)), np.interp(probe, x, y), atol=1e-9)


def test_smooth_targets_bear_separated_classes():
    scores, labels = [0.1, 0.2, 0.3, 0.7, 0.9], [0, 0, 0, 1, 1]  # targets 1 / 5 and 3 / 4
    with pytest.raises(ValueError, match=r"must overlap.*smooth_targets"):
        PlattCalibrator("clicked").fit(scores, labels)
    smooth = PlattCalibrator("clicked", smooth_targets=True).fit(scores, labels)
    x, t = np.log(np.divide(scores, np.subtract(1, scores))), np.repeat([0.2, 0.75], [3, 2])

    def loss(theta):
        z = theta[0] * x + theta[1]
        return np.sum(np.logaddexp(0, z) - t * z)

    best = minimize(loss, [1.0, 0.0], tol=1e-12).x
    assert [smooth.slope, smooth.intercept] == pytest.approx(best, abs=1e-5)
    # Weights scale nothing: the targets count rows.
    light = PlattCalibrator("clicked", smooth_targets=True).fit(scores, labels, [0.01] * 5)
    assert light.slope == pytest.approx(smooth.slope)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PlattCalibrator("clicked").fit([0.1, 0.2], [0, 0]), "must hold both classes"),
        (lambda: IsotonicCalibrator("clicked").fit([0.1, 0.2], [1, 1]), "must hold both classes"),
        (lambda: PlattCalibrator("clicked").fit([0.5] * 3, [0, 1, 0]), "must overlap"),
        (lambda: PlattCalibrator("clicked").fit([0.9, 0.5, 0.1, 0.4], [0, 1, 1, 0]), "reverse"),
        (lambda: PlattCalibrator("clicked").fit([0.9, np.nan], [0, 1]), "probabilities"),
        (lambda: PlattCalibrator("clicked").transform([0.5]), "must be fitted first"),
        (lambda: PlattCalibrator("clicked").get_config(), "must be fitted first"),
        (lambda: IsotonicCalibrator("clicked").to_layer(), "must be fitted first"),
        (lambda: IsotonicCalibrator("clicked", clip=0.5), "clip: must be a finite number at"),
        (
            lambda: PlattCalibrator("clicked").fit_space([0.1], {"click": [1], "conversion": [1]}),
            "must hold both classes",
        ),
        (
            lambda: PlattCalibrator("clicked").fit_space(
                [0.1], {"click": [1, 1], "conversion": [1, 0]}
            ),
            "scores: must have one entry per row",
        ),
        (lambda: PlattScaling(0.0, 1.0), "slope: must be a finite number above 0"),
        (lambda: PiecewiseLinear([0.1, 0.1], [0, 1]), "strictly increasing"),
        (lambda: PiecewiseLinear([0.1, 0.2], [0]), "strictly increasing and `y` as long"),
        (lambda: click_space_cvr(0.1, 0.1, 0.0), "alpha: must be a finite number above 0"),
        (lambda: click_space_cvr(1.5, 0.1, 0.8), "cvr: must hold probabilities"),
        (
            lambda: entire_space_cvr(0.1, [0.1, np.nan], 0.8),
            "ctr: must hold probabilities.*1 of 2",
        ),
        (lambda: entire_space_cvr(0.1, 0.1, 0.8, -1), "pseudo_positive_rate: must hold"),
        (lambda: correct_downsampling(0.1, 0.0), "keep_rate: must be a finite number"),
        (lambda: correct_downsampling(-3.0, 0.5), "p: must hold probabilities"),
        (lambda: correct_funnel_downsampling(0.1, 2, 0.5), "ctcvr: must hold probabilities"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_base_says_that_it_is_a_base():
    with pytest.raises(NotImplementedError, match="base class"):
        Calibrator("clicked").fit([0.1, 0.2, 0.3], [0, 1, 0])
