"""Lists of tf.Example: what is shared joins each of them, and bytes that are none are refused."""

from typing import Any

import pytest
import tensorflow as tf

from idefn_tf.export.serving_protos import message_class
from serving.server.codec import examples
from serving.server.errors import StatusError


def example(**values: float) -> tf.train.Example:
    made = tf.train.Example()
    for name, value in values.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def with_context(context: bytes, *listed: bytes) -> Any:
    given = message_class("Input")()
    given.example_list_with_context.context = context
    given.example_list_with_context.examples.extend(listed)
    return given


def read(body: bytes) -> dict[str, list[float]]:
    features = tf.train.Example.FromString(body).features.feature
    return {name: list(feature.float_list.value) for name, feature in features.items()}


def test_what_is_shared_joins_every_example_and_yields_to_its_own() -> None:
    shared, own = example(x=1.0, y=2.0), example(y=5.0, z=4.0)
    listed = [own.SerializeToString(), b""]
    found = examples.of_input(with_context(shared.SerializeToString(), *listed))
    assert [read(body) for body in found] == [
        {"x": [1.0], "y": [5.0], "z": [4.0]},
        {"x": [1.0], "y": [2.0]},
    ]


def test_without_a_context_the_bytes_are_handed_on() -> None:
    body = example(x=1.0).SerializeToString()
    assert examples.of_input(with_context(b"", body, body)).tolist() == [body, body]


@pytest.mark.parametrize(("context", "body"), [(b"\xff", b""), (b"\n\x00", b"\xff")])
def test_bytes_that_are_no_example_are_refused(context: bytes, body: bytes) -> None:
    with pytest.raises(StatusError, match=r"^INVALID_ARGUMENT: Input holds no tf\.Example$"):
        examples.of_input(with_context(context, body))


@pytest.mark.parametrize("given", [message_class("Input")(), with_context(b"\n\x00")])
def test_an_empty_list_is_refused(given: Any) -> None:
    with pytest.raises(StatusError, match=r"^INVALID_ARGUMENT: Input is empty\.$"):
        examples.of_input(given)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({}, "key 'examples' is expected and was not found"),
        ({"examples": {}}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [[1]]}, "Example must be JSON object but got JSON"),
        ({"examples": [{"x": 2**63}]}, "has uint64 element. Only int64 is supported."),
        ({"examples": [{"\udcff": 1}]}, "has a name that is not UTF-8"),
    ],
)
def test_json_that_is_no_list_of_examples_is_refused(request_: dict[str, Any], told: str) -> None:
    with pytest.raises(StatusError) as refused:
        examples.serialize(request_)
    assert (refused.value.code, refused.value.http_status) == ("INVALID_ARGUMENT", 400)
    assert told in refused.value.message


def test_a_context_of_json_yields_to_the_example() -> None:
    request = {"context": {"x": 1.0, "y": 2.0}, "examples": [{"y": 5.0}, {}]}
    found = [read(body) for body in examples.serialize(request)]
    assert found == [{"x": [1.0], "y": [5.0]}, {"x": [1.0], "y": [2.0]}]
