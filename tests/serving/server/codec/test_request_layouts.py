"""Reading by layout: what protobuf reads, or nothing."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from idefn_tf.export.serving_protos import message_class
from serving.common.tensor_protos import from_message, to_proto
from serving.server.codec import request_layouts
from serving.server.codec.request_layouts import RequestLayouts, holds_once, layouts_of
from serving.server.runtime.signature import Signature, TensorSpec
from serving.server.runtime.stacked_arrays import StackedArrays


def part(tag: int, value: bytes) -> bytes:
    """A field of bytes as protobuf writes it: tag, length, value."""
    length = (
        bytes([len(value)])
        if len(value) < 128
        else bytes([len(value) % 128 + 128, len(value) >> 7])
    )
    return bytes([tag]) + length + value


def entry(name: str, tensor: bytes) -> bytes:
    return part(0x0A, name.encode()) + part(0x12, tensor)


def read(body: bytes, signature: Signature) -> StackedArrays | None:
    return layouts_of(signature).read(message_class("PredictEntries").FromString(body).inputs)


def written(entries: list[bytes]) -> bytes:
    return part(0x0A, part(0x0A, b"many")) + b"".join(part(0x12, one) for one in entries)


def assert_as_protobuf_reads(found: StackedArrays, body: bytes, signature: Signature) -> None:
    tensors = message_class("TensorsRequest").FromString(body).inputs
    assert set(tensors) == set(found) == set(signature.inputs)
    for name, spec in signature.inputs.items():
        exact = from_message(tensors[name], 10**6)
        assert found[name].dtype == exact.dtype == spec.dtype.as_numpy_dtype
        assert found[name].shape == exact.shape
        assert spec.accepts(exact.shape)
        assert found[name].tobytes() == exact.tobytes() or exact.dtype == object
        assert exact.dtype != object or found[name].tolist() == exact.tolist()
    assert found.rows == len(exact)


@pytest.mark.parametrize("rows", [1, 2, 5, 12])
@pytest.mark.parametrize("by", ["the client", "TensorFlow"])
def test_the_usual_way_of_writing_is_read(
    signature: Signature, values: Any, rows: int, by: str
) -> None:
    """TensorFlow writes truth values, and a single number, as typed values: they have no layout."""
    request = message_class("PredictRequest")()
    for name, array in reversed(values(rows, longest=8).items()):
        if by == "the client" or name == "k":
            request.inputs[name] = to_proto(array, content=True)
        else:
            request.inputs[name] = tf.make_tensor_proto(array).SerializeToString()
    body = request.SerializeToString()
    found = read(body, signature)
    assert (found is None) == (by == "TensorFlow" and rows == 1)
    if found is not None:
        assert_as_protobuf_reads(found, body, signature)
        np.testing.assert_array_equal(found["a"], values(rows)["a"])


def odd(kind: str, name: str, tensor: bytes) -> list[bytes]:
    """An input written in another way than the usual one."""
    message = message_class("Tensor").FromString(tensor)
    if kind == "typed values":
        array = from_message(message, 10**6)
        return [entry(name, to_proto(array, content=False))]
    if kind == "a named dimension":
        message.tensor_shape.dim[0].name = "rows"
        return [entry(name, message.SerializeToString())]
    if kind == "one row more":
        message.tensor_shape.dim[0].size += 1
        return [entry(name, message.SerializeToString())]
    return {
        "value first": [part(0x12, tensor) + part(0x0A, name.encode())],
        "said twice": [entry(name, tensor), entry(name, tensor)],
        "missing": [],
        "another name": [entry(name + "x", tensor)],
        "an unknown field": [entry(name, tensor) + part(0x1A, b"")],
        "an unknown field in the tensor": [entry(name, tensor + b"\xa2\x06\x00")],
        "another type": [entry(name, b"\x08\x03" + tensor[2:])],
        "a type at the end": [entry(name, tensor + b"\x08\x00")],
        "a longer number than need be": [entry(name, b"\x08\x87\x00" + tensor[2:])],
        "cut short": [entry(name, tensor[:-1])],
        "a tensor twice": [part(0x12, tensor[:2]) + entry(name, tensor)],
    }[kind]  # fmt: skip


ODD = (
    "typed values", "a named dimension", "one row more", "value first", "said twice", "missing",
    "another name", "an unknown field", "an unknown field in the tensor", "another type",
    "a type at the end", "a longer number than need be", "cut short", "a tensor twice",
)  # fmt: skip


@given(data=st.data(), rows=st.integers(1, 3))
def test_what_is_read_is_what_protobuf_reads(
    signature: Signature, values: Any, data: st.DataObject, rows: int
) -> None:
    """Odd ways of writing, any order of inputs, then changed bytes."""
    arrays = values(rows, longest=8)
    kinds = data.draw(
        st.dictionaries(st.sampled_from(sorted(arrays)), st.sampled_from(ODD), max_size=2)
    )
    entries = []
    for name, array in arrays.items():
        tensor = to_proto(array, content=True)
        entries += odd(kinds[name], name, tensor) if name in kinds else [entry(name, tensor)]
    body = bytearray(written(data.draw(st.permutations(entries))))
    for _ in range(data.draw(st.integers(0, 2))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(body), signature)
    except DecodeError:
        return
    if found is not None:
        assert_as_protobuf_reads(found, bytes(body), signature)


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["a", "e", "w"])
def test_another_way_of_writing_is_left_alone(
    signature: Signature, values: Any, kind: str, name: str
) -> None:
    """Texts have typed values only."""
    entries = []
    for key, array in values(2, longest=8).items():
        tensor = to_proto(array, content=True)
        entries += odd(kind, key, tensor) if key == name else [entry(key, tensor)]
    found = read(written(entries), signature)
    assert (found is None) != (kind == "typed values" and name == "e")


def test_a_changed_byte_is_a_changed_value_or_nothing(signature: Signature, values: Any) -> None:
    """About half of the bytes are values."""
    draw = np.random.default_rng(0)
    whole = written([entry(k, to_proto(v, True)) for k, v in values(3, longest=8).items()])
    taken = 0
    for _ in range(3000):
        changed = bytearray(whole)
        changed[draw.integers(len(changed))] = draw.integers(256)
        try:
            found = read(bytes(changed), signature)
        except DecodeError:
            continue
        if found is not None:
            taken += 1
            assert_as_protobuf_reads(found, bytes(changed), signature)
    assert 1000 < taken < 2500


def test_long_inputs_and_long_texts_are_left_to_the_general_reading(
    signature: Signature, values: Any
) -> None:
    """The longest input has 16 KiB, the longest tensor of text 127 bytes."""
    arrays = values(1, longest=8)
    arrays["e"] = np.array(
        [b"x" * 117], object
    )  # 10 bytes before it: 08 07 12 04 12 02 08 01 42 75
    request = written([entry(k, to_proto(v, True)) for k, v in arrays.items()])
    assert read(request, signature) is not None
    arrays["e"] = np.array([b"x" * 118], object)
    assert (
        read(written([entry(k, to_proto(v, True)) for k, v in arrays.items()]), signature) is None
    )
    long = [b"\x0a\x01a" + b"\0" * 16_384] + [b""] * 9
    assert RequestLayouts(signature).read(long) is None


def test_unknown_lengths_are_forgotten_before_they_are_many(signature: Signature) -> None:
    """600 lengths that no number of rows has, and those that it has, take 256 places at most."""
    layouts = RequestLayouts(signature)
    for length in range(600):
        entries = [entry("a", b"\0" * length)] + [entry(name, b"") for name in "bcdefghkw"]
        assert layouts.read(entries) is None
        assert len(layouts._known) <= 256


def test_a_layout_is_made_for_whole_requests_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """One long input and 200 empty ones make nothing, and do not keep others of its length out."""
    names = [f"{place:03}" for place in range(201)]
    specs = {name: TensorSpec(name, name, tf.int8, "int8", (-1,), "int8") for name in names}
    signature: Any = SimpleNamespace(
        groups=tuple((name,) for name in names), inputs=specs, stackable=True
    )
    made: list[int] = []
    make = request_layouts._entry

    def counted(spec: TensorSpec, rows: int) -> bytes:
        made.append(rows)
        return make(spec, rows)

    monkeypatch.setattr(request_layouts, "_entry", counted)
    layouts, rows = RequestLayouts(signature), 15_000
    whole = [make(specs[name], rows) for name in names]
    empty = to_proto(np.zeros(0, np.int8), content=True)
    for _ in range(3):
        assert layouts.read([whole[0]] + [entry(name, empty) for name in names[1:]]) is None
    assert made == []
    found = layouts.read(whole)
    assert found is not None
    assert found.rows == rows
    assert made == [rows] * len(names)


@pytest.mark.parametrize("rows", [1, 16, 127, 128, 255, 1000, 2047])
@pytest.mark.parametrize("shape", [(-1,), (-1, 3), (-1, 2, 130)])
def test_an_inputs_length_is_reckoned(rows: int, shape: tuple[int, ...]) -> None:
    spec = TensorSpec("a" * 130, "a", tf.float32, "float", shape, "float32")
    length = len(request_layouts._entry(spec, rows))
    assert request_layouts._length(spec, rows) == length
    assert request_layouts._rows(spec, length) == rows
    assert request_layouts._rows(spec, length + 1) == 0


def test_what_comes_in_pieces_is_told_apart() -> None:
    """By protobuf's own writing: one entry an input, one tensor an entry."""

    def once(body: bytes) -> bool:
        entries = message_class("PredictEntries").FromString(body).inputs
        return holds_once(entries, message_class("PredictRequest").FromString(body).inputs)

    whole = [entry("a", b"x" * 200), entry("é", b"")]
    assert once(written(whole))
    assert once(message_class("PredictRequest")(inputs={"a": b"x", "b": b"y"}).SerializeToString())
    assert not once(written([*whole, entry("a", b"x" * 200)]))
    assert not once(written([part(0x0A, b"a") + part(0x12, b"x") + part(0x12, b"y")]))
    assert not once(written([entry("a", b"x") + part(0x1A, b"unknown")]))
