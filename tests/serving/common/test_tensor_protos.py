"""TensorProto against TensorFlow's own reading and writing."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from serving.common.tensor_protos import TensorError, to_array, to_proto

MOST = 1000
KINDS = ["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16",
         "uint32", "uint64", "bool"]  # fmt: skip


def tensor(serialized):
    return tf.make_tensor_proto(0).FromString(serialized)


@pytest.mark.parametrize("content", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_go_both_ways(kind, content):
    values = np.array([[0, 1, 2], [3, 120, 1]]).astype(kind)
    written = to_proto(values, content)
    np.testing.assert_array_equal(tf.make_ndarray(tensor(written)), values)
    read = to_array(written, MOST)
    np.testing.assert_array_equal(read, values)
    assert read.dtype == values.dtype
    own = tf.make_tensor_proto(values).SerializeToString()
    np.testing.assert_array_equal(to_array(own, MOST), values)


@pytest.mark.parametrize("content", [False, True])
def test_the_largest_whole_numbers_are_read(content):
    values = np.array([2**63, 2**64 - 1, 0], np.uint64)
    read = to_array(to_proto(values, content), MOST)
    assert read.dtype == np.uint64
    assert read.tolist() == values.tolist()


def test_text_goes_both_ways_raw_content_too():
    values = np.array([b"a", b"", "\u00fc".encode() * 200], object)
    assert tf.make_ndarray(tensor(to_proto(values))).tolist() == values.tolist()
    assert to_array(to_proto(values), MOST).tolist() == values.tolist()
    proto = tensor(to_proto(values))
    del proto.string_val[:]
    proto.tensor_content = bytes([1, 0, 0x90, 3]) + b"a" + values[2]
    assert to_array(proto.SerializeToString(), MOST).tolist() == values.tolist()
    proto.tensor_content = b"\x01\x00"
    with pytest.raises(TensorError):
        to_array(proto.SerializeToString(), MOST)


@given(st.lists(st.floats(width=32), max_size=6), st.integers(0, 5))
def test_fewer_and_more_values_than_the_shape(values, size):
    proto = tf.make_tensor_proto(np.zeros(size, np.float32))
    proto.tensor_content = b""
    del proto.float_val[:]
    proto.float_val.extend(values)
    expected = [*values[:size], *[values[-1] if values else 0.0] * (size - len(values))]
    found = to_array(proto.SerializeToString(), MOST)
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: setattr(p, "dtype", 14), "DataType 14 is not read"),
        (lambda p: setattr(p.tensor_shape, "unknown_rank", True), "not that of a tensor"),
        (lambda p: setattr(p.tensor_shape.dim[0], "size", -1), "not that of a tensor"),
        (lambda p: setattr(p.tensor_shape.dim[0], "size", 10**12), "more than the server accepts"),
        (
            lambda p: p.tensor_shape.CopyFrom(tf.TensorShape([0, 2**62]).as_proto()),
            "0, 46116860184",
        ),
        (lambda p: setattr(p, "tensor_content", b"123"), "3 bytes for 2 values"),
    ],
)
def test_what_cannot_be_is_refused(change, said):
    proto = tf.make_tensor_proto(np.ones(2, np.float32))
    change(proto)
    with pytest.raises(TensorError, match=said):
        to_array(proto.SerializeToString(), MOST)


def test_another_type_is_not_written():
    with pytest.raises(TensorError, match="complex64 has no TensorProto here"):
        to_proto(np.zeros(1, np.complex64))


def test_bytes_that_are_no_tensor_and_lengths_that_lie_are_refused():
    with pytest.raises(TensorError, match=r"^not a TensorProto$"):
        to_array(b"\xff", MOST)
    texts = tensor(b"")
    texts.dtype = tf.string.as_datatype_enum
    texts.tensor_shape.dim.add(size=2)
    texts.tensor_content = b"\x01\x02abc"  # one byte and two
    assert to_array(texts.SerializeToString(), MOST).tolist() == [b"a", b"bc"]
    texts.tensor_content = b"\x01\x02abcd"
    with pytest.raises(TensorError, match=r"^tensor_content has other lengths than it says$"):
        to_array(texts.SerializeToString(), MOST)
