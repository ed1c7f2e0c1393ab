"""Request values to arrays: the quick reading against the exact one, and both against plain rules."""

import base64
import math
import struct
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.server import exact, tensors
from serving.server.errors import StatusError
from serving.server.signature import TensorSpec

TYPES = ["float32", "float64", "int8", "uint8", "int16", "int32", "int64", "uint32", "uint64"]
TYPES += ["string", "bool"]


def spec(name: str, kind: str) -> TensorSpec:
    shown = {"float32": "float", "float64": "double"}.get(kind, kind)
    return TensorSpec(name, f"{name}:0", tf.dtypes.as_dtype(kind), shown, None, kind)


RANGES = {"int64": (-(2**63), 2**63 - 1), "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1)}


class RefusedError(Exception):
    """The plain rules refuse a value."""


def plain_leaf(value: Any, kind: str) -> Any:
    """One value by the rules of the fact sheet, written down once more without NumPy tricks."""
    if kind == "string":
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str):
            try:
                return base64.b64decode(value["b64"] + "=" * (-len(value["b64"]) % 4), validate=True)
            except ValueError:
                raise RefusedError from None
        raise RefusedError
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise RefusedError
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError
    if kind == "float64":
        return float(value)
    if kind == "float32":
        try:
            return struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            return math.copysign(math.inf, value)
    low, high = RANGES.get(kind, (-(2**31), 2**31 - 1))
    if isinstance(value, float) or not low <= value <= high:
        raise RefusedError
    bits = {"int8": 8, "uint8": 8, "int16": 16}.get(kind)
    if bits is None:
        return value
    wrapped = value % 2**bits
    return wrapped - 2**bits if not kind.startswith("u") and wrapped >= 2 ** (bits - 1) else wrapped


def plain_tensor(value: Any, kind: str) -> tuple[tuple[int, ...], list[Any]]:
    """Shape and leaves of a value; refused unless it is a rectangle."""
    if not isinstance(value, list):
        return (), [plain_leaf(value, kind)]
    parts = [plain_tensor(inner, kind) for inner in value]
    if len({shape for shape, _ in parts}) > 1:
        raise RefusedError
    inner = parts[0][0] if parts else ()
    return (len(value), *inner), [leaf for _, leaves in parts for leaf in leaves]


def plain_request(document: Any, kinds: dict[str, str]) -> dict[str, tuple[Any, list[Any]]]:
    """Shapes and leaves by input for a whole request."""
    if ("instances" in document) == ("inputs" in document):
        raise RefusedError

    def is_object(value: Any) -> bool:
        bytes_object = isinstance(value, dict) and list(value) == ["b64"]
        return isinstance(value, dict) and not (bytes_object and isinstance(value["b64"], str))

    if "inputs" in document:
        given_inputs = document["inputs"]
        if not is_object(given_inputs):
            if len(kinds) > 1:
                raise RefusedError
            given_inputs = dict.fromkeys(kinds, given_inputs)
        if not kinds.keys() <= given_inputs.keys():
            raise RefusedError
        return {name: plain_tensor(given_inputs[name], kind) for name, kind in kinds.items()}
    rows = document["instances"]
    if not isinstance(rows, list) or not rows:
        raise RefusedError
    if not is_object(rows[0]):
        if len(kinds) > 1 or any(map(is_object, rows)):
            raise RefusedError
        return {name: plain_tensor(rows, kind) for name, kind in kinds.items()}
    if any(not is_object(row) or row.keys() != kinds.keys() for row in rows):
        raise RefusedError
    return {name: plain_tensor([r[name] for r in rows], kind) for name, kind in kinds.items()}


leaves = st.one_of(
    st.integers(-300, 300),
    st.sampled_from([2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]),
    st.floats(width=32),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.just({"b64": "AP8="}),
    st.just({"b64": "@"}),
    st.just({"b64": 1}),
    st.just({}),
)
# mostly alike, as real requests are, so that the quick reading gets its share
alike_leaves = st.sampled_from(
    [st.integers(-100, 100), st.floats(width=32, allow_nan=False), st.text(max_size=3), st.booleans()]
).flatmap(lambda kind: st.lists(kind, min_size=1, max_size=4))
tensor_values = st.one_of(
    leaves,
    alike_leaves,
    st.lists(alike_leaves, min_size=1, max_size=3),
    st.lists(st.lists(leaves, max_size=3), max_size=3),
    st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=6),
)
kinds_of_inputs = st.dictionaries(
    st.sampled_from("abc"), st.sampled_from(TYPES), min_size=1, max_size=3
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, Any]]:
    kinds = dict(sorted(draw(kinds_of_inputs).items()))
    form = draw(st.sampled_from(["rows", "rows", "plain rows", "columns", "plain columns", "odd"]))
    names = list(kinds) if draw(st.integers(0, 9)) else [*kinds, "z"]
    if form == "rows":
        columns = {name: draw(alike_leaves | st.lists(tensor_values, max_size=4)) for name in names}
        count = min(map(len, columns.values()))
        rows = [{name: columns[name][index] for name in names} for index in range(count)]
        if rows and not draw(st.integers(0, 7)):
            rows.append(draw(st.sampled_from([{}, 1, [], {names[0]: 1}])))
        return kinds, {"instances": rows}
    if form == "plain rows":
        return kinds, {"instances": draw(tensor_values)}
    if form == "columns":
        return kinds, {"inputs": {name: draw(tensor_values) for name in names}}
    if form == "plain columns":
        return kinds, {"inputs": draw(tensor_values)}
    return kinds, draw(st.sampled_from([{}, {"instances": [1], "inputs": [1]}, {"instances": 3}]))


def check(kinds: dict[str, str], document: dict[str, Any]) -> None:
    inputs = {name: spec(name, kind) for name, kind in kinds.items()}
    groups: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        groups.setdefault(kind, []).append(name)
    alike = [tuple(names) for names in groups.values()]
    try:
        expected = plain_request(document, kinds)
    except RefusedError:
        for grouping in (alike, None):
            with pytest.raises(StatusError) as refused:
                tensors.from_request(document, inputs, grouping)
            assert refused.value.http_status == 400
            assert refused.value.message
        return
    for grouping in (alike, None):
        arrays, rows = tensors.from_request(document, inputs, grouping)
        assert rows == ("instances" in document)
        for name, (shape, values) in expected.items():
            array = arrays[name]
            assert array.shape == shape
            assert array.dtype == (object if kinds[name] == "string" else np.dtype(kinds[name]))
            assert repr(array.ravel().tolist()) == repr(values)


@settings(max_examples=300, deadline=None)
@given(requests())
def test_requests_are_read_by_the_rules(request_: tuple[dict[str, str], dict[str, Any]]) -> None:
    check(*request_)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(requests())
def test_requests_long(request_: tuple[dict[str, str], dict[str, Any]]) -> None:
    check(*request_)


@pytest.mark.parametrize("kind", TYPES)
def test_the_quick_reading_is_used_and_right(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain columns and rows never need the exact reading."""

    def unexpected(*_: Any) -> Any:
        raise AssertionError("the exact reading was used")

    monkeypatch.setattr(tensors, "exact_rows", unexpected)
    monkeypatch.setattr(tensors, "exact", unexpected)
    value: Any = {"string": "é", "bool": True}.get(kind, 7)
    inputs = {name: spec(name, kind) for name in "ab"}
    for inner in (value, [value, value], [[value], [value]]):
        for document in (
            {"inputs": {"a": [inner] * 20, "b": [inner] * 20}},
            {"instances": [{"b": inner, "a": inner}] * 20},
        ):
            for grouping in ([("a", "b")], None):
                arrays, _ = tensors.from_request(document, inputs, grouping)
                assert arrays["a"].shape == (20, *np.shape(inner))
                wanted = value.encode() if kind == "string" else value
                assert set(arrays["b"].ravel().tolist()) == {wanted}


def test_types_that_json_cannot_feed() -> None:
    inputs = {"x": spec("x", "complex64")}
    with pytest.raises(StatusError, match="Conversion of JSON Value: 1 to type: complex64") as found:
        tensors.from_request({"inputs": [1]}, inputs)
    assert found.value.http_status == 501


def test_row_count_before_conversion() -> None:
    assert tensors.row_count({"instances": [1, 2, 3]}) == 3
    assert tensors.row_count({"inputs": {"a": [1, 2], "b": 1}}) == 2
    assert tensors.row_count({"inputs": 1.0}) == 1
    assert tensors.row_count({"examples": [{}] * 4}) == 4


@pytest.mark.parametrize(
    ("text", "value"),
    [("", b""), ("YQ==", b"a"), ("YQ", b"a"), ("YWI", b"ab"), ("YWJj", b"abc"), ("//8=", b"\xff\xff")],
)
def test_base64(text: str, value: bytes) -> None:
    assert exact.decode_base64({"b64": text}) == value


@pytest.mark.parametrize("text", ["Y", "YQ=", "YQ===", "Y=Q=", "YQ==YQ==", "YWJj=", "\u00e9"])
def test_what_is_not_base64(text: str) -> None:
    with pytest.raises(StatusError, match="Unable to base64 decode"):
        exact.decode_base64({"b64": text})
