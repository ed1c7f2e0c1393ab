"""Numbers and arrays as JSON text, against C's printf rules written down once more."""

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.server import json_text
from serving.server.codec import format
from serving.server.errors import StatusError


def as_float32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def rule(value: float, single: bool) -> str:
    """%g if it comes back, else 9 or 17 digits; a point or exponent always; bare NaN, Infinity."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    text = f"{value:.6g}"
    back = as_float32(float(text)) if single else float(text)
    if back != value:
        text = f"{value:.{9 if single else 17}g}"
    return text if set(text) & set(".e") else text + ".0"


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32)))
def test_float32(values: np.ndarray) -> None:
    expected = [rule(value, True) for value in values.tolist()]
    assert format.floats(values) == expected
    assert [json_text.decimal(value, True) for value in values.tolist()] == expected


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats()))
def test_float64(values: np.ndarray) -> None:
    assert format.floats(values) == [rule(value, False) for value in values.tolist()]


def test_many_float32_of_every_kind() -> None:
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2**32, 20_000, dtype=np.uint64).astype(np.uint32)
    digits = generator.integers(-999_999, 999_999, 20_000)
    powers = generator.integers(-44, 33, 20_000)
    short = [float(f"{d}e{p}") for d, p in zip(digits, powers, strict=True)]
    for values in (bits.view(np.float32), np.float32(short), generator.random(20_000, np.float32)):
        assert format.floats(values) == [rule(value, True) for value in values.tolist()]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (5.0, "5.0"),
        (0.1, "0.1"),
        (1 / 3, "0.333333343"),
        (1e-5, "1e-05"),
        (1e6, "1e+06"),
        (999999.0, "999999.0"),
        (16777216.0, "16777216.0"),
        (3.4028234663852886e38, "3.40282347e+38"),
        (1.401298464324817e-45, "1.4013e-45"),
    ],
)
def test_float32_by_hand(value: float, text: str) -> None:
    few = np.array([value], np.float32)
    assert format.floats(few) == [text]
    assert format.floats(np.repeat(few, 40)) == [text] * 40


def test_layout_is_tensorflow_servings() -> None:
    """The text of the REST guide's examples, spaces and line ends included."""
    one = {"y": np.float32([2.5, 3, 4.5])}
    assert format.predictions(one) == b'{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}'
    two = {"a": np.int64([1, 2]), "b": np.float32([[0.5], [1]])}
    assert format.predictions(two).decode() == (
        '{\n    "predictions": [\n'
        '        {\n            "a": 1,\n            "b": [0.5]\n        },\n'
        '        {\n            "a": 2,\n            "b": [1.0]\n        }\n    ]\n}'
    )


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int8, np.uint8, np.int32, np.int64, np.bool_]),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4),
    )
)
def test_arrays_come_back(array: np.ndarray) -> None:
    def back(text: bytes, key: str) -> np.ndarray:
        return np.array(json.loads(text)[key], array.dtype).reshape(array.shape)

    named = {"out": array}
    np.testing.assert_array_equal(back(format.columns(named), "outputs"), array)
    if array.shape[0]:
        np.testing.assert_array_equal(back(format.predictions(named), "predictions"), array)
        both = {"a%s": array, "b": array}
        rows = json.loads(format.predictions(both))["predictions"]
        assert len(rows) == array.shape[0]
        found = np.array([row["a%s"] for row in rows], array.dtype).reshape(array.shape)
        np.testing.assert_array_equal(found, array)
        assert json.loads(format.columns(both))["outputs"].keys() == both.keys()


def test_strings() -> None:
    values = np.array([b"plain", "é".encode(), b'"\\\n\x01', b"\xff"], object)
    text = format.columns({"out": values})
    assert text.endswith(b'["plain", "\xc3\xa9", "\\"\\\\\\n\\u0001", "\xff"]\n}')
    coded = json.loads(format.columns({"out_bytes": values}))["outputs"]
    assert coded[3] == {"b64": "/w=="}
    scalar = np.asarray(b"one", object)
    assert json.loads(format.columns({"out": scalar})) == {"outputs": "one"}


def test_small_floats_are_written_as_float32() -> None:
    values = np.array([0.1, 2.0], np.float16)
    assert json.loads(format.columns({"out": values})) == {"outputs": [0.0999755859, 2.0]}


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"a": np.float32(1)}, "Tensor name: a has no shape information "),
        ({"a": np.zeros((0, 2))}, "Tensor name: a has invalid batch size: 0"),
        (
            {"a": np.zeros(2), "b": np.zeros(3)},
            "Tensor name: b has inconsistent batch size: 3 expecting: 2",
        ),
        ({"a": np.zeros(2, np.complex64)}, "Failed to write JSON value for tensor type: complex64"),
    ],
)
def test_what_rows_cannot_show(outputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(StatusError) as found:
        format.predictions({name: np.asarray(array) for name, array in outputs.items()})
    assert found.value.message == message
    assert found.value.http_status == 400
