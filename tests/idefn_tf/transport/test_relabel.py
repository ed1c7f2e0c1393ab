"""Relabelling rules by hand, and top-k against a sort."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from idefn_tf.transport import partial_problem, relabel
from idefn_tf.transport.full_problem import finish_whole


def plan_of(fraction, kappa=0.5, column_mask=None):
    """A plan of one positive that supplies the given share of each column."""
    fraction = np.asarray(fraction, np.float32)
    problem = partial_problem(
        np.zeros((1, fraction.size), np.float32), kappa=kappa, column_mask=column_mask
    )
    share = np.stack([fraction, 1 - fraction]) * problem.column_mass.numpy()
    zero, one = tf.constant(0.0), tf.constant(1e9)
    return finish_whole(problem, tf.constant(share), zero, one, tf.constant(1), tf.constant(0))


FRACTION = [0.1, 0.9, 0.5, 0.6, 0.0, 0.9]


def test_argmax_and_fraction_need_more_than_half():
    plan = plan_of(FRACTION)
    assert relabel.relabel(plan, "argmax").numpy().tolist() == [0, 1, 0, 1, 0, 1]
    assert relabel.matched_fraction(plan).numpy().tolist() == [0, 1, 0, 1, 0, 1]
    assert relabel.matched_fraction(plan, 0.05).numpy().tolist() == [1, 1, 1, 1, 0, 1]


def test_argmax_differs_from_fraction_where_positives_share_a_column():
    problem = partial_problem(np.zeros((2, 1), np.float32), kappa=0.8)
    share = tf.constant([[0.4], [0.4], [0.2]])
    zero, one = tf.constant(0.0), tf.constant(1e9)
    plan = finish_whole(problem, share, zero, one, tf.constant(1), tf.constant(0))
    assert relabel.argmax(plan).numpy().tolist() == [1]
    share = tf.constant([[0.3], [0.3], [0.4]])
    plan = finish_whole(problem, share, zero, one, tf.constant(1), tf.constant(0))
    assert relabel.argmax(plan).numpy().tolist() == [0]
    assert relabel.matched_fraction(plan).numpy().tolist() == [1]


def test_soft_labels_are_the_fractions():
    np.testing.assert_allclose(relabel.relabel(plan_of(FRACTION), "soft"), FRACTION, rtol=1e-6)


def test_top_k_takes_as_many_columns_as_the_matched_mass_fills():
    plan = plan_of(FRACTION, kappa=0.5)  # three of six columns
    assert relabel.relabel(plan).numpy().tolist() == [0, 1, 0, 1, 0, 1]
    assert relabel.top_k(plan_of(FRACTION, kappa=0.34)).numpy().tolist() == [0, 1, 0, 0, 0, 1]


def test_top_k_gives_ties_to_the_lower_index_and_leaves_unreached_columns():
    assert relabel.top_k(plan_of(FRACTION), 1).numpy().tolist() == [0, 1, 0, 0, 0, 0]
    assert relabel.top_k(plan_of(FRACTION), 6).numpy().tolist() == [1, 1, 1, 1, 0, 1]
    assert relabel.top_k(plan_of(FRACTION), 99).numpy().tolist() == [1, 1, 1, 1, 0, 1]
    assert not relabel.top_k(plan_of(FRACTION), 0).numpy().any()
    assert not relabel.top_k(plan_of([0.0, 0.0]), 2).numpy().any()


def test_top_k_counts_real_columns_only():
    plan = plan_of(FRACTION, kappa=0.5, column_mask=[True, True, True, True, False, False])
    assert relabel.top_k(plan).numpy().tolist() == [0, 1, 0, 1, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.7, 1.0]), min_size=1), st.integers(0, 20))
def test_top_k_is_a_stable_sorts(fraction, count):
    found = relabel.top_k(plan_of(fraction), count).numpy()
    fraction = np.asarray(fraction)
    expected = np.zeros(fraction.size)
    expected[np.argsort(-fraction, kind="stable")[:count]] = 1
    np.testing.assert_array_equal(found, expected * (fraction > 0))


def test_no_gradient_reaches_the_representations():
    plan = plan_of(FRACTION)
    with tf.GradientTape() as tape:
        tape.watch(plan.transported)
        labels = relabel.relabel(plan, "soft")
    assert tape.gradient(labels, plan.transported) is None


def test_bad_rules_are_refused_by_name():
    with pytest.raises(ValueError, match=r"rule:.*top_k.*'best'"):
        relabel.relabel(plan_of(FRACTION), "best")
    with pytest.raises(ValueError, match=r"threshold:.*1\.0"):
        relabel.matched_fraction(plan_of(FRACTION), 1.0)
