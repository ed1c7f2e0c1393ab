"""Every operator said in ONNX gives what NumPy or Python gives, at the values where others fail."""

import math

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (requirements/onnx-export.in)")

import onnxruntime
from tf2onnx import optimizer, tfonnx

from idefn_tf.export.onnx.key_tables import KeyTables
from idefn_tf.export.onnx.operators import OPSET, handlers

pytestmark = pytest.mark.onnx


def run(function, tables=None, **arrays):
    """Converts a function of named arrays and runs it in ONNX Runtime."""
    specs = {
        name: tf.TensorSpec([None, *values.shape[1:]], tf.as_dtype(values.dtype), name)
        for name, values in arrays.items()
    }
    traced = tf.function(function, autograph=False).get_concrete_function(**specs)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(traced.graph.as_graph_def(), name="")
        made = tfonnx.process_tf_graph(
            graph,
            opset=OPSET,
            custom_op_handlers=handlers((tables or KeyTables()).keys),
            input_names=[f"{name}:0" for name in arrays],
            output_names=[traced.outputs[0].name],
        )
    proto = optimizer.optimize_graph(made).make_model("test")
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = {
        f"{name}:0": np.vectorize(bytes.decode, otypes=[object])(values)
        if values.dtype == object
        else values
        for name, values in arrays.items()
    }
    return session.run(None, feed)[0]


LOGITS = np.arange(-20, 20, 0.001, dtype=np.float32)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (-1, 20)])
def test_sigmoid_is_right_and_rises_where_conversion_rates_live(shape):
    logits = LOGITS.reshape(shape)
    found = run(lambda x: tf.sigmoid(x), x=logits).ravel()
    truth = np.array([1 / (1 + math.exp(-float(x))) for x in LOGITS])
    np.testing.assert_allclose(found, truth, rtol=1e-6)
    if shape != (-1, 20):
        assert (np.diff(found[LOGITS < 0]) > 0).all()


def test_sigmoid_of_what_exp_cannot_hold():
    found = run(tf.sigmoid, x=np.array([-1e4, -100, 100, 1e4, -np.inf, np.inf], np.float32))
    assert found.tolist() == [0, np.float32(math.exp(-100)), 1, 1, 0, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log1p_keeps_small_numbers(dtype):
    values = np.array([0, 1e-30, 1e-12, -1e-9, 1e-4, 0.5, -0.5, 1e6, 1e30], dtype)
    found = run(tf.math.log1p, x=values)
    truth = np.array([math.log1p(float(x)) for x in values])
    np.testing.assert_allclose(found, truth, rtol=3e-7 if dtype == np.float32 else 1e-15)
    ends = run(tf.math.log1p, x=np.array([-1, -2, np.inf, np.nan], dtype))
    assert ends[0] == -np.inf
    assert np.isnan(ends[[1, 3]]).all()
    assert ends[2] == np.inf


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_search_counts_what_is_before(side, dtype):
    cuts = np.array([-3, 0, 0, 2, 2**24], dtype)
    values = np.array([-4, -3, 0, 1, 2, 2**24 - 1, 2**24, 2**40], dtype)
    found = run(lambda x: tf.searchsorted(tf.constant(cuts), x, side=side), x=values)
    truth = [sum(c < v or (c == v and side == "right") for c in cuts) for v in values]
    assert found.tolist() == truth
    assert found.dtype == np.int32


def test_search_compares_integers_as_integers():
    cuts = tf.constant([2**53 + 1], tf.int64)
    found = run(
        lambda x: tf.searchsorted(cuts, x, side="right"), x=np.array([2**53, 2**53 + 1], np.int64)
    )
    assert found.tolist() == [0, 1]


PAIRS = [(a, b) for a in (-7, -6, -1, 0, 1, 6, 7, -(2**53) - 1) for b in (-3, -1, 1, 3)]


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
def test_division_of_negative_numbers_rounds_down(dtype):
    pairs = [(a, b) for a, b in PAIRS if dtype == np.int64 or abs(a) < 2**24]
    x, y = (np.array(part, dtype) for part in zip(*pairs, strict=True))
    assert run(tf.math.floordiv, x=x, y=y).tolist() == [a // b for a, b in pairs]
    assert run(tf.math.floormod, x=x, y=y).tolist() == [a % b for a, b in pairs]


def test_choice_takes_nothing_of_the_other_branch():
    values = np.array([1.0, np.nan, np.inf, -np.inf], np.float32)
    found = run(lambda x: tf.where(tf.math.is_finite(x), x, 7.0), x=values)
    assert found.tolist() == [1, 7, 7, 7]
    large = np.array([2**53 + 1, 5], np.int64)
    assert run(lambda x: tf.where(x > 6, x, -1), x=large).tolist() == [2**53 + 1, -1]


def test_text_is_compared_with_a_constant():
    texts = np.array([b"", b"a", "ü".encode(), b"A"], object)
    assert run(lambda x: tf.equal(x, "a"), x=texts).tolist() == [False, True, False, False]
    assert run(lambda x: tf.not_equal(x, ""), x=texts).tolist() == [False, True, True, True]


def test_look_ups_find_keys_alone():
    tables = KeyTables()
    numbers = tables.add([7, -5, 2**53, 2**53 + 1, -(2**63), 2**63 - 1])
    asked = np.array([7, -5, 2**53 + 1, 2**53, 2**53 + 2, -(2**63), 2**63 - 1, -1, 0], np.int64)
    found = run(numbers.lookup, tables, values=asked)
    assert found.tolist() == [0, 1, 3, 2, -1, 4, 5, -1, -1]
    texts = tables.add(["a", "ü c", "b"])
    asked = np.array(["a", "b", "ü c", "A", "", "a "], object)
    asked = np.array([text.encode() for text in asked], object)
    assert run(texts.lookup, tables, values=asked).tolist() == [0, 2, 1, -1, -1, -1]


DIGITS = [0, 7, -3, 10, 42, -42, 100, 999, -999, 1000, 12345, 9999999, 10**7, -(10**7), 10**8]
DIGITS += [10**15 - 1, 10**15, -(10**15), 10**16, 10**17, 10**18, 2**53 + 1, 2**63 - 1, -(2**63)]


@pytest.mark.parametrize("count", [2, 512, 10**6 + 3, 2**31 - 1])
def test_integers_are_hashed_by_their_digits(count):
    rng = np.random.default_rng(0)
    drawn = [rng.integers(-(10**n), 10**n, 200) for n in range(1, 19)]
    values = np.concatenate([np.array(DIGITS, np.int64), *drawn]).reshape(-1, 2)

    def hashed(values):
        return tf.strings.to_hash_bucket_fast(tf.strings.as_string(values), count)

    found = run(hashed, values=values)
    assert found.tolist() == hashed(tf.constant(values)).numpy().tolist()
    assert len(np.unique(found)) > min(count, 1000) / 2


def test_a_hash_of_text_is_no_arithmetic():
    texts = np.array([b"a"], object)
    with pytest.raises(NotImplementedError, match="of text, which ONNX cannot look into"):
        run(lambda x: tf.strings.to_hash_bucket_fast(x, 9), x=texts)


def test_segments_are_summed_in_order_and_none_is_none():
    rows = np.array([0, 0, 2, 2, 2, 3], np.int64)
    values = np.array([[1, 2], [3, 4], [5, -6], [7, 8], [-9, 10], [0, -1]], np.float32)
    summed = run(tf.math.segment_sum, data=values, segment_ids=rows)
    assert summed.tolist() == [[4, 6], [0, 0], [3, 12], [0, -1]]
    most = run(tf.math.segment_max, data=values, segment_ids=rows)
    assert most[[0, 2, 3]].tolist() == [[3, 4], [7, 10], [0, -1]]
    flat = run(tf.math.segment_sum, data=values[:, 0], segment_ids=rows)
    assert flat.tolist() == [4, 0, 3, 0]
    deep = run(tf.math.segment_sum, data=values.reshape(6, 2, 1), segment_ids=rows)
    assert deep.ravel().tolist() == [4, 6, 0, 0, 3, 12, 0, -1]
    none = run(tf.math.segment_sum, data=values[:0], segment_ids=rows[:0])
    assert none.shape == (0, 2)


def test_many_entries_of_one_segment_are_all_counted():
    rows = np.repeat(np.arange(50), 2_000)
    ones = np.ones((len(rows), 3), np.float32)
    for _ in range(20):  # threads that add to one place would lose some, now and then
        assert (run(tf.math.segment_sum, data=ones, segment_ids=rows) == 2_000).all()
