"""Shared programs: one compiled function for equal graphs, each run on its own variables."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf import _shared_programs
from idefn_tf._shared_programs import SharedSteps, shared


@pytest.fixture(autouse=True)
def _none_kept(monkeypatch):
    """Nothing of other tests is kept."""
    monkeypatch.setattr(_shared_programs, "_kept", type(_shared_programs._kept)())


class Counter:
    """Adds numbers to a variable; `factor` is one of Python."""

    def __init__(self, start, factor=1.0):
        self.total = tf.Variable(float(start))
        self.factor = factor
        self.program = tf.function(self.add, autograph=False)

    def add(self, numbers):
        self.total.assign_add(self.factor * numbers.get_next())
        return {"total": self.total.read_value()}


def counted(counter, numbers):
    """The total after each number."""
    steps, iterator = (
        SharedSteps(counter.program),
        iter(tf.data.Dataset.from_tensor_slices(numbers)),
    )
    return [float(steps(iterator)["total"]) for _ in numbers]


def test_equal_programs_are_one_and_variables_are_not_shared():
    first, second = Counter(1), Counter(10)
    assert counted(first, [1.0, 2.0]) == [2.0, 4.0]
    assert counted(second, [1.0, 2.0, 3.0]) == [11.0, 13.0, 16.0]
    assert counted(first, [5.0]) == [9.0]
    assert len(_shared_programs._kept) == 1


def test_what_python_reads_makes_another_program():
    assert counted(Counter(0, factor=3.0), [1.0]) == [3.0]
    assert counted(Counter(0, factor=5.0), [1.0]) == [5.0]
    assert len(_shared_programs._kept) == 2


def test_a_kept_program_keeps_no_variable_of_its_first_owner():
    first = Counter(0)
    counted(first, [1.0])
    gone = weakref.ref(first.total)
    del first
    gc.collect()
    assert gone() is None
    assert counted(Counter(2), [4.0]) == [6.0]  # and runs on


def test_no_more_programs_are_kept_than_agreed(monkeypatch):
    monkeypatch.setattr(_shared_programs, "KEPT", 2)
    counters = [Counter(0, factor) for factor in (1.0, 2.0, 3.0)]
    for _ in range(2):  # a model runs what is no longer kept, too
        totals = [counted(counter, [1.0]) for counter in counters]
    assert totals == [[2.0], [4.0], [6.0]]
    assert len(_shared_programs._kept) == 2


def test_within_a_graph_it_is_traced_as_any_function():
    double = tf.function(lambda x: x + x).get_concrete_function(tf.TensorSpec([2]))
    run = shared(double)
    whole = tf.function(lambda x: run(x) + 1.0)
    np.testing.assert_array_equal(whole(tf.constant([1.0, 2.0])), [3.0, 5.0])
    np.testing.assert_array_equal(run(tf.constant([1.0, 2.0])), [2.0, 4.0])


def test_a_gradient_tape_sees_through_it():
    runs = [
        shared(tf.function(lambda x: 3.0 * x * x).get_concrete_function(tf.TensorSpec([])))
        for _ in range(2)
    ]
    x = tf.constant(2.0)
    for run in runs:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = run(x)
        assert float(tape.gradient(y, x)) == 12.0
    assert float(runs[1](x)) == 12.0  # and without one, by the program of the first
    assert len(_shared_programs._kept) == 1


def test_functions_that_run_eagerly_are_not_traced():
    tf.config.run_functions_eagerly(True)
    try:
        assert counted(Counter(3), [1.0]) == [4.0]
    finally:
        tf.config.run_functions_eagerly(False)
    assert not _shared_programs._kept
