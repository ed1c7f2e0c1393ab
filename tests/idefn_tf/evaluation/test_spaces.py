"""What each space is, by hand, and the metrics that follow."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf import metrics
from idefn_tf.evaluation import spaces

# The last two rows are probes: a logged conversion without a click.
COLUMNS = {
    "click": np.array([1, 1, 0, 0, 0, 0]),
    "conversion": np.array([1, 0, 0, 0, 0, 0]),
    "conversion_raw": np.array([1, 0, 0, 0, 1, 1]),
    "oracle_conversion": np.array([1, 0, 1, 0, 1, 1]),
}
PREDICTIONS = {
    "ctr": np.array([0.9, 0.5, 0.6, 0.1, 0.2, 0.1]),
    "cvr": np.array([0.8, 0.3, 0.4, 0.1, 0.2, 0.5]),
    "ctcvr": np.array([0.72, 0.15, 0.24, 0.01, 0.04, 0.05]),
}


@pytest.mark.parametrize(
    ("space", "mask", "label"),
    [
        ("all_raw", [1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 1, 1]),
        ("all_funnel", [1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0]),
        ("clicked", [1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]),
        ("unclicked_raw", [0, 0, 1, 1, 1, 1], [1, 0, 0, 0, 1, 1]),
        ("oracle", [1, 1, 1, 1, 1, 1], [1, 0, 1, 0, 1, 1]),
    ],
)
def test_rows_and_labels(space, mask, label):
    got_mask, got_label = spaces.select(space, COLUMNS)
    assert got_mask.dtype == bool
    assert got_mask.tolist() == [bool(m) for m in mask]
    assert got_label.tolist() == label


def test_funnel_hides_a_conversion_without_a_click():
    """Even where a column named `conversion` leaks it."""
    leaking = {"click": [1, 0, 1], "conversion": [1, 1, 0]}
    assert spaces.select("all_funnel", leaking)[1].tolist() == [1, 0, 0]


def test_who_may_see_what():
    assert {"all_funnel", "clicked"} == spaces.SELECTION_SPACES
    assert {"all_raw", "unclicked_raw", "oracle"} == spaces.REPORT_ONLY
    for name in spaces.SELECTION_SPACES:
        assert spaces.require_selection_space(name) == name
    for name in spaces.REPORT_ONLY:
        with pytest.raises(ValueError, match=rf"must be one of all_funnel, clicked.*'{name}'"):
            spaces.require_selection_space(name)
    with pytest.raises(ValueError, match=r"one of \['all_raw', 'all_funnel'.*received 'all'"):
        spaces.require_selection_space("all")


def test_metrics_by_hand():
    result = spaces.evaluate_spaces(PREDICTIONS, COLUMNS)
    assert list(result) == list(spaces.SPACES)
    cvr = {f"cvr_{name}" for name in ("auc", "ks", "logloss", "pcoc", "ece")}
    others = {"ctr_auc", "ctr_logloss", "ctcvr_auc", "ctcvr_logloss"}
    for name, values in result.items():
        expected = {"rows", "positives"} | cvr
        assert set(values) == (expected | others if name in ("all_raw", "all_funnel") else expected)
    assert {n: (v["rows"], v["positives"]) for n, v in result.items()} == {
        "all_raw": (6, 3),
        "all_funnel": (6, 1),
        "clicked": (2, 1),
        "unclicked_raw": (4, 2),
        "oracle": (6, 4),
    }
    # all_raw: .8 over three, .5 over three, .2 over one of (.3 .4 .1)
    assert result["all_raw"]["cvr_auc"] == pytest.approx(7 / 9)
    assert result["all_funnel"]["cvr_auc"] == 1.0
    # unclicked: .5 over two, .2 over one of (.4 .1)
    assert result["unclicked_raw"]["cvr_auc"] == pytest.approx(3 / 4)
    # oracle: .8 .5 .4 over both, .2 over one of (.3 .1)
    assert result["oracle"]["cvr_auc"] == pytest.approx(7 / 8)
    assert result["clicked"]["cvr_pcoc"] == pytest.approx(1.1)
    assert result["all_funnel"]["cvr_pcoc"] == pytest.approx(2.3)
    # click: .9 over four, .5 over three of four
    assert result["all_raw"]["ctr_auc"] == pytest.approx(7 / 8)
    assert result["all_raw"]["ctcvr_auc"] == 1.0
    assert result["all_raw"]["ctcvr_logloss"] == metrics.log_loss(
        [1, 0, 0, 0, 0, 0], PREDICTIONS["ctcvr"]
    )


def test_missing_columns_leave_spaces_out():
    labels = {name: COLUMNS[name] for name in ("click", "conversion")}
    assert list(spaces.evaluate_spaces(PREDICTIONS, labels)) == ["all_funnel", "clicked"]
    only_cvr = spaces.evaluate_spaces({"cvr": PREDICTIONS["cvr"]}, labels)
    assert "ctr_auc" not in only_cvr["all_funnel"]
    only_ctr = spaces.evaluate_spaces({"ctr": PREDICTIONS["ctr"]}, labels)
    assert set(only_ctr["clicked"]) == {"rows", "positives"}


def test_undefined_is_null_in_json():
    columns = {"click": [0, 0], "conversion": [0, 0], "conversion_raw": [0, 0]}
    result = spaces.evaluate_spaces({"ctr": [0.1, 0.2], "cvr": [0.3, 0.4]}, columns, groups=[1, 1])
    assert result["clicked"]["rows"] == 0
    for name in ("cvr_auc", "cvr_ks", "cvr_logloss", "cvr_pcoc", "cvr_ece", "cvr_gauc"):
        assert result["clicked"][name] is None
    assert result["all_raw"]["ctr_auc"] is None
    assert result["all_raw"]["cvr_logloss"] > 0
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_weights_groups_and_columns_of_shape_n_1():
    weight = np.array([1, 2, 0, 1, 3, 1.0])
    groups = np.array(["a", "a", "a", "b", "b", "b"])
    flat = spaces.evaluate_spaces(PREDICTIONS, COLUMNS, weight, groups)
    twice = spaces.evaluate_spaces(
        {k: v[:, None] for k, v in PREDICTIONS.items()},
        {k: v[:, None] for k, v in COLUMNS.items()},
        weight[:, None],
        groups[:, None],
    )
    assert flat == twice
    raw = flat["all_raw"]
    assert (raw["rows"], raw["positives"]) == (5, 3)
    assert raw["cvr_auc"] == metrics.auc(COLUMNS["conversion_raw"], PREDICTIONS["cvr"], weight)
    # a: .8 over .3 with weight 3; b: both positives over .1 with weight 5
    assert raw["cvr_gauc"] == 1.0
    assert flat["clicked"]["cvr_pcoc"] == pytest.approx(0.8 + 0.6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 1), st.floats(0.01, 0.99)),
        min_size=1,
        max_size=25,
    )
)
def test_raw_splits_into_clicked_and_unclicked(data):
    click, raw, cvr = (np.array(column) for column in zip(*data, strict=True))
    columns = {"click": click, "conversion": click * raw, "conversion_raw": raw}
    result = spaces.evaluate_spaces({"cvr": cvr}, columns)
    parts = [result["clicked"], result["unclicked_raw"]]
    for count in ("rows", "positives"):
        assert result["all_raw"][count] == sum(part[count] for part in parts)
    loss = sum(part["rows"] * (part["cvr_logloss"] or 0.0) for part in parts) / len(data)
    assert result["all_raw"]["cvr_logloss"] == pytest.approx(loss)
    if not (raw * (1 - click)).any():
        assert result["all_raw"] == result["all_funnel"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spaces.select("all_raw", {"click": [1], "conversion": [1]}), "'conversion_raw'"),
        (lambda: spaces.select("all_funnel", {"conversion": [1]}), "must hold 'click'"),
        (lambda: spaces.select("everything", COLUMNS), "space: must be one of"),
        (lambda: spaces.select("clicked", {"click": [1, 0], "conversion": [1]}), "one length"),
        (
            lambda: spaces.select("clicked", {"click": [1, 2], "conversion": [1, 0]}),
            r"columns\['click'\]: must be 0 or 1, received 1 of 2 rows",
        ),
        (
            lambda: spaces.select("clicked", {"click": [1, 0], "conversion": [1, np.nan]}),
            r"columns\['conversion'\]: must be 0 or 1",
        ),
        (lambda: spaces.evaluate_spaces({"cvr_logit": [1]}, COLUMNS), "some of ctr, cvr, ctcvr"),
        (lambda: spaces.evaluate_spaces({}, COLUMNS), "some of ctr, cvr, ctcvr"),
        (lambda: spaces.evaluate_spaces({"cvr": [0.1]}, COLUMNS), "one entry per row"),
        (
            lambda: spaces.evaluate_spaces({"cvr": np.full(6, np.nan)}, COLUMNS),
            r"predictions\['cvr'\]: must be probabilities.*6 of 6 rows.*6 are NaN.*diverged",
        ),
        (
            lambda: spaces.evaluate_spaces(PREDICTIONS, COLUMNS, sample_weight=[1.0]),
            "sample_weight: must have one entry",
        ),
        (
            lambda: spaces.evaluate_spaces(PREDICTIONS, COLUMNS, groups=[1.0]),
            "groups: must have one entry",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
