"""Request values to arrays: the quick reading and the exact one, both against plain rules."""

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings

from serving.server.codec import exact_tensors, tensors
from serving.server.errors import StatusError
from serving.server.runtime.signature import TensorSpec
from serving.server.runtime.stacked_arrays import StackedArrays


def spec(name: str, kind: str) -> TensorSpec:
    shown = {"float32": "float", "float64": "double"}.get(kind, kind)
    return TensorSpec(name, f"{name}:0", tf.dtypes.as_dtype(kind), shown, None, kind)


def load_rules() -> Any:
    path = Path(__file__).parents[2] / "conformance" / "plain_rules.py"
    spec_ = importlib.util.spec_from_file_location("plain_rules", path)
    assert spec_ is not None
    assert spec_.loader is not None
    module = importlib.util.module_from_spec(spec_)
    spec_.loader.exec_module(module)
    return module


rules = load_rules()


def check(kinds: dict[str, str], document: dict[str, Any]) -> None:
    inputs = {name: spec(name, kind) for name, kind in kinds.items()}
    groups: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        groups.setdefault(kind, []).append(name)
    alike = [tuple(names) for names in groups.values()]
    try:
        expected = rules.plain_request(document, kinds)
    except rules.RefusedError:
        for grouping in (alike, None):
            with pytest.raises(StatusError) as refused:
                tensors.from_request(document, inputs, grouping)
            assert refused.value.http_status == 400
            assert refused.value.message
        return
    for grouping, stacked in ((alike, False), (None, False), (alike, True)):
        arrays, rows = tensors.from_request(document, inputs, grouping, stacked)
        assert rows == ("instances" in document)
        for name, (shape, values) in expected.items():
            array = arrays[name]
            assert array.shape == shape
            assert array.dtype == (object if kinds[name] == "string" else np.dtype(kinds[name]))
            assert repr(array.ravel().tolist()) == repr(values)


@settings(max_examples=300, deadline=None)
@given(rules.requests())
def test_requests_are_read_by_the_rules(request_: tuple[dict[str, str], dict[str, Any]]) -> None:
    check(*request_)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(rules.requests())
def test_requests_long(request_: tuple[dict[str, str], dict[str, Any]]) -> None:
    check(*request_)


@pytest.mark.parametrize("kind", rules.TYPES)
def test_the_quick_reading_is_used_and_right(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("rank", [1, 2, 30, 31, 32, 33, 34, 254, 20_000])
def test_ranks(rank: int) -> None:
    value: Any = 1.5
    for _ in range(rank):
        value = [value]
    inputs = {"x": spec("x", "float32")}
    for document in ({"inputs": {"x": value}}, {"inputs": value}):
        if rank > exact_tensors.MAX_RANK:
            with pytest.raises(StatusError, match="tensor parsing error: x"):
                tensors.from_request(document, inputs)
        else:
            arrays, _ = tensors.from_request(document, inputs)
            assert arrays["x"].shape == (1,) * rank
    while isinstance(value, list):  # taken apart here: freeing it at once would recurse
        value = value.pop()


def test_types_that_json_cannot_feed() -> None:
    inputs = {"x": spec("x", "complex64")}
    with pytest.raises(
        StatusError, match="Conversion of JSON Value: 1 to type: complex64"
    ) as found:
        tensors.from_request({"inputs": [1]}, inputs)
    assert found.value.http_status == 501


@pytest.mark.parametrize("rows", [1, 20])
def test_columns_are_stacked_as_the_session_takes_them(rows: int) -> None:
    """Two inputs in one array, one by itself; not where a shape or a number of rows is another."""
    inputs = {name: spec(name, "int64") for name in "abc"}
    inputs["c"] = dataclasses.replace(inputs["c"], shape=(-1, 2))
    alike = [("a", "b"), ("c",)]
    columns = {"a": [7] * rows, "b": list(range(rows)), "c": [[1, 2]] * rows}
    arrays, _ = tensors.from_request({"inputs": columns}, inputs, alike, stacked=True)
    assert isinstance(arrays, StackedArrays)
    assert arrays.rows == rows
    assert [feed.tolist() for feed in arrays.feeds] == [[columns["a"], columns["b"]], columns["c"]]
    for odd in ({"c": [[1, 2]] * (rows + 1)}, {"c": [[1, 2, 3]] * rows}, {"c": [1] * rows}):
        plain, _ = tensors.from_request({"inputs": columns | odd}, inputs, alike, stacked=True)
        assert type(plain) is dict
        assert plain["c"].tolist() == odd["c"]


def test_row_count_before_conversion() -> None:
    assert tensors.row_count({"instances": [1, 2, 3]}) == 3
    assert tensors.row_count({"inputs": {"a": [1, 2], "b": 1}}) == 2
    assert tensors.row_count({"inputs": 1.0}) == 1
    assert tensors.row_count({"examples": [{}] * 4}) == 4


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", b""),
        ("YQ==", b"a"),
        ("YQ", b"a"),
        ("YWI", b"ab"),
        ("YWJj", b"abc"),
        ("//8=", b"\xff\xff"),
    ],
)
def test_base64(text: str, value: bytes) -> None:
    assert exact_tensors.decode_base64({"b64": text}) == value


@pytest.mark.parametrize("text", ["Y", "YQ=", "YQ===", "Y=Q=", "YQ==YQ==", "YWJj=", "\u00e9"])
def test_what_is_not_base64(text: str) -> None:
    with pytest.raises(StatusError, match="Unable to base64 decode"):
        exact_tensors.decode_base64({"b64": text})


def test_rows_of_other_shapes_are_refused_by_both_shapes():
    inputs = {"tags": spec("tags", "int64")}
    document = {"instances": [{"tags": [[1, 2]]}, {"tags": [[1], [2]]}]}
    with pytest.raises(StatusError, match=r"Expecting shape \[1,2\] but got: \[2,1\]"):
        exact_tensors.exact_rows(document["instances"], inputs)
