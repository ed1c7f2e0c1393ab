"""Made rows of the sequence benchmark, and how their speeds are compared."""

import numpy as np
import pytest

from benchmarks.sequences import rows
from benchmarks.sequences.command import middle, times


@pytest.mark.parametrize("length", [50, 200])
def test_histories_have_twenty_events_in_the_mean_and_no_hole(length):
    made = rows.make(20_000, length)
    assert made.lengths.mean() == pytest.approx(rows.MEAN, abs=0.05)
    assert made.lengths.min() == 0
    assert 150 < made.lengths.max() <= length or made.lengths.max() == length == 50
    for values in made.histories.values():
        there = values > 0
        np.testing.assert_array_equal(there.sum(1), made.lengths)
        assert not np.any(there[:, 1:] & ~there[:, :-1])
    for name, values in made.columns.items():
        assert (values.min(), values.max() <= rows.SIZES[name]) == (1, True)
    assert sum(rows.SIZES.values()) == 1_000_000


def test_a_category_belongs_to_its_item_in_rows_and_histories():
    made = rows.make(2_000, 50)
    pairs = np.stack([made.histories["item"].ravel(), made.histories["category"].ravel()], 1)
    pairs = np.unique(pairs[pairs[:, 0] > 0], axis=0)
    assert len(pairs) == len(np.unique(pairs[:, 0]))
    of_event = dict(pairs.tolist())
    for item, category in zip(made.columns["item"], made.columns["category"], strict=True):
        assert of_event.get(int(item), category) == category


def test_a_rival_that_takes_three_times_as_long_is_beaten_three_times():
    runs = {
        "idefn_tf": {"step_ms": 10.0, "cpu_ms": 20.0},
        "other": middle([{"step_ms": 30.0, "cpu_ms": 20.0}, {"step_ms": 20.0, "cpu_ms": 40.0}]),
    }
    assert times(runs) == {
        "wall": {"idefn_tf": {"other": 2.5}}, "processor": {"idefn_tf": {"other": 1.5}},
    }  # fmt: skip
