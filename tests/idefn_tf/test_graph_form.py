"""Forms of graphs: equal for what computes the same, whatever its names are."""

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf import _graph_form
from idefn_tf._graph_form import graph_form

VECTOR = tf.TensorSpec([2])


def form(function, *specs):
    """The form of a function, traced anew."""
    program = tf.function(function, autograph=False)
    return graph_form(program.get_concrete_function(*(specs or (VECTOR,))))


def affine(scale=2.0, name="x", shape=(2,), minus=False):
    """Adds a variable, through an inner function; what it does not compute with has a name."""
    held = tf.Variable(tf.ones(shape), name=name)

    @tf.function(autograph=False)
    def inner(x):
        return tf.multiply(x, scale, name=name)

    def whole(x):
        with tf.name_scope(name):
            scaled = inner(x)
            return {"y": tf.while_loop(
                lambda step, _: step < 3,
                lambda step, y: (step + 1, y - held if minus else y + held),
                (tf.constant(0), scaled),
            )[1]}  # fmt: skip

    whole.keeps = held
    return whole


def test_names_do_not_count():
    first = form(affine(name="first"))
    assert first is not None
    assert form(affine(name="second")) == first


@pytest.mark.parametrize("other", [{"scale": 2.5}, {"shape": ()}, {"minus": True}])
def test_constants_shapes_and_operations_count(other):
    assert form(affine()) != form(affine(**other))


def test_arguments_and_results_count():
    double = lambda x: x + x  # noqa: E731
    forms = [form(double), form(double, tf.TensorSpec([3])), form(double, tf.TensorSpec([None]))]
    forms += [form(double, tf.TensorSpec([2], tf.float64)), form(lambda x: (x + x,))]
    forms += [form(lambda x: {"y": x + x}), form(lambda x: {"z": x + x}), form(lambda x: [x, x])]
    assert len(set(forms)) == len(forms)
    assert None not in forms


def test_the_order_of_what_a_graph_reads_counts():
    """The same two variables, subtracted either way: their places differ, not the operations."""
    small, large = tf.Variable([1.0, 1.0]), tf.Variable([5.0, 5.0])

    def reads(first, second):
        def difference(x):
            kept = first + 0.0, second + 0.0
            return x + kept[0] - kept[1]

        return difference

    assert form(reads(small, large)) == form(reads(large, small))  # each with its own captures
    swapped = lambda x: x - (small + 0.0) + (large + 0.0)  # noqa: E731
    assert form(swapped) != form(reads(small, large))


def drawn(x):
    return x + tf.random.uniform([2])


def called(x):
    return tf.numpy_function(np.sin, [x], tf.float32)


def queued(x):
    queue = tf.raw_ops.FIFOQueueV2(component_types=[tf.float32])
    tf.raw_ops.QueueEnqueueV2(handle=queue, components=[x])
    return x + tf.cast(tf.raw_ops.QueueSizeV2(handle=queue), tf.float32)


@pytest.mark.parametrize("function", [drawn, called, lambda x: tf.function(drawn)(x), queued])
def test_state_of_random_numbers_and_queues_and_python_have_no_form(function):
    assert form(function) is None


def test_large_constants_have_no_form(monkeypatch):
    """Who keeps the program would keep them, too."""
    adds = lambda x: x + tf.constant(np.arange(2_000.0, dtype=np.float32))[:2]  # noqa: E731
    assert form(adds) is not None
    monkeypatch.setattr(_graph_form, "LARGEST", 7_999)
    assert form(adds) is None


def test_texts_that_look_like_places_count():
    """Parsed are two keys, each named as some node's place would be."""

    def parsed(key):
        spec = {f"loc:@{key}": tf.io.FixedLenFeature([], tf.int64)}

        def parse(serialized):
            tf.identity(serialized, name=key)
            return tf.io.parse_single_example(serialized, spec)[f"loc:@{key}"]

        return parse

    text = tf.TensorSpec([], tf.string)
    assert form(parsed("aa"), text) not in (None, form(parsed("bb"), text))


def test_an_argument_that_is_no_tensor_has_no_form():
    program = tf.function(lambda x, how: x, autograph=False)
    assert graph_form(program.get_concrete_function(VECTOR, "twice")) is None
