"""The audit's numbers, by hand."""

import math

import numpy as np
import pytest

from idefn_tf.evaluation.pseudo_label_audit import audit_labels, wilson


def test_the_numbers_of_a_small_table_are_those_counted_by_hand():
    click = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    relabelled = np.array([1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0], bool)
    cvr = np.linspace(0.0, 1.0, 11)
    before = np.array([0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], bool)
    found = audit_labels(relabelled, click, truth, cvr, before)
    assert (found.unclicked, found.relabelled, found.true) == (10, 2, 1)
    assert found.share == pytest.approx(0.2)
    assert found.prevalence == pytest.approx(0.2)
    assert found.precision == pytest.approx(0.5)
    assert found.recall == pytest.approx(0.5)
    assert found.lift == pytest.approx(2.5)
    assert found.overlap == pytest.approx(1 / 3)
    assert found.mean_cvr_unclicked == pytest.approx(cvr[1:].mean())


def test_wilsons_interval_is_the_textbooks():
    low, high = wilson(10, 100)
    assert (low, high) == pytest.approx((0.05522914, 0.17436566), abs=1e-6)
    assert all(math.isnan(v) for v in wilson(0, 0))


@pytest.mark.parametrize("click", [np.ones(5), np.zeros(5), np.zeros(1)])
@pytest.mark.parametrize("relabelled", [False, True])
def test_one_class_or_one_row_gives_nan_never_an_exception(click, relabelled):
    found = audit_labels(np.full(len(click), relabelled), click, np.zeros(len(click)))
    assert found.true == 0
    if found.unclicked == 0:
        assert math.isnan(found.share)
        assert math.isnan(found.lift)


def test_labels_are_not_measurable_where_no_unclicked_conversion_is_recorded():
    click, truth = np.array([1, 0, 0, 0]), np.array([1, 0, 0, 0])
    found = audit_labels(np.array([0, 1, 1, 0], bool), click, truth)
    assert not found.measurable
    assert (found.relabelled, found.true) == (2, 0)
    for value in (found.precision, found.precision_low, found.precision_high, found.lift):
        assert math.isnan(value)
    wrong = audit_labels(np.array([0, 1, 1, 0], bool), click, np.array([1, 0, 0, 1]))
    assert wrong.measurable
    assert (wrong.precision, wrong.lift) == (0.0, 0.0)
