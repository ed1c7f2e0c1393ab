"""The quick reading of tensors: what the exact reading gives, or nothing."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.export.serving_protos import message_class
from serving.common.tensor_protos import from_message, to_proto
from serving.server.codec.stacked_tensors import read_stacked
from serving.server.runtime.signature import Signature
from serving.server.runtime.stacked_arrays import StackedArrays


def sent(arrays: dict[str, np.ndarray], content: bool = True) -> dict[str, bytes]:
    return {name: to_proto(array, content) for name, array in arrays.items()}


@pytest.mark.parametrize("rows", [1, 3, 200])
@pytest.mark.parametrize("written", ["content", "values", "tensorflow"])
def test_every_way_of_writing_gives_the_arrays(
    signature: Signature, values: Any, rows: int, written: str
) -> None:
    arrays = values(rows)
    if written == "tensorflow":
        messages = {k: tf.make_tensor_proto(v).SerializeToString() for k, v in arrays.items()}
    else:
        messages = sent(arrays, written == "content")
    found = read_stacked(messages, signature)
    assert found is not None
    assert found.rows == rows
    assert set(found) == set(arrays)
    assert len(found) == len(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(KeyError):
        found["none"]


def broken(name: str, arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    """Messages that the quick reading must leave alone."""
    messages = sent(arrays)
    tensor = message_class("Tensor").FromString(messages["b"])
    if name == "another type":
        messages["b"] = to_proto(arrays["b"].astype(np.int32), True)
    elif name == "another number of rows":
        messages["b"] = to_proto(arrays["b"][:1], True)
    elif name == "rows that differ between types":
        messages["h"] = to_proto(arrays["h"][:1], True)
    elif name == "no message":
        messages["b"] = b"\xff\xff"
    elif name == "nothing":
        messages["b"] = b""
    elif name == "content cut short":
        tensor.tensor_content = tensor.tensor_content[:-1]
        messages["b"] = tensor.SerializeToString()
    elif name == "a scalar":
        messages["h"] = to_proto(np.array(1.5), True)
    elif name == "another rank":
        messages["g"] = to_proto(arrays["g"][:, None], True)
    elif name == "fewer values than the shape":
        tensor.tensor_content = b""
        tensor.int64_val.append(7)
        messages["b"] = tensor.SerializeToString()
    elif name == "a size below zero":
        tensor.tensor_shape.dim[0].size = -2
        messages["b"] = tensor.SerializeToString()
    elif name == "a type said twice":
        messages["b"] += b"\x08\x03"
    elif name == "no rows":
        messages = sent({key: array[:0] for key, array in arrays.items()})
    elif name == "another column":
        messages["w"] = to_proto(arrays["w"][:, :1], True)
    return messages


@pytest.mark.parametrize(
    "name",
    [
        "another type", "another number of rows", "rows that differ between types", "no message",
        "nothing", "content cut short", "a scalar", "another rank", "fewer values than the shape",
        "a size below zero", "a type said twice", "no rows", "another column",
    ],
)  # fmt: skip
@pytest.mark.parametrize("rows", [1, 2])
def test_what_is_odd_is_left_to_the_exact_reading(
    signature: Signature, values: Any, name: str, rows: int
) -> None:
    if name in ("another number of rows", "rows that differ between types") and rows == 1:
        return
    assert read_stacked(broken(name, values(rows)), signature) is None


def test_a_changed_byte_gives_what_the_exact_reading_gives_or_nothing(
    signature: Signature, values: Any
) -> None:
    draw = np.random.default_rng(0)
    whole, read = sent(values(2)), message_class("Tensor").FromString
    taken = 0
    for _ in range(3000):
        messages = dict(whole)
        name = sorted(messages)[draw.integers(len(messages))]
        changed = bytearray(messages[name])
        changed[draw.integers(len(changed))] = draw.integers(256)
        messages[name] = bytes(changed)
        found = read_stacked(messages, signature)
        if found is None:
            continue
        taken += 1
        exact = from_message(read(messages[name]), 10**6)
        assert found[name].dtype == exact.dtype
        np.testing.assert_array_equal(found[name], exact)
    assert taken > 1000  # ids and text may have any value


def test_requests_are_joined_row_by_row(signature: Signature, values: Any) -> None:
    """Against the sums by hand, stacked requests and plain ones in one batch."""
    first, second = values(1), values(3)
    stacked = [read_stacked(sent(arrays), signature) for arrays in (first, second)]
    assert all(isinstance(arrays, StackedArrays) for arrays in stacked)
    assert signature.row_shapes(stacked[0]) == signature.row_shapes(second)
    assert signature.row_shapes({**second, "b": second["b"][:, None]}) is None  # unlike its "a"
    expected = 2 * np.concatenate([first["a"], second["a"]])
    expected -= np.concatenate([first["b"], second["b"]])
    for batch in (stacked, [first, stacked[1]], [stacked[0], second], [first, second]):
        found = signature.run_together(batch)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found["y"], expected)
    alone = signature.run(stacked[1])  # type: ignore[arg-type]
    np.testing.assert_array_equal(alone["y"], 2 * second["a"] - second["b"])
    wide = second["w"].sum(1) + second["c"] - 2 * second["d"]
    np.testing.assert_allclose(alone["z"], wide, rtol=1e-6)


def test_a_part_has_those_rows_of_every_input(signature: Signature, values: Any) -> None:
    whole = values(7)
    stacked = read_stacked(sent(whole), signature)
    assert stacked is not None
    part = stacked.part(2, 5)
    assert part.rows == 3
    for name, array in whole.items():
        np.testing.assert_array_equal(part[name], array[2:5])
