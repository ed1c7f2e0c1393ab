"""Requests without a schema: inputs as the served model's metadata lists them."""

from typing import Any

import pytest

from serving.common.request import RequestBuilder


def metadata(dtype: str, *sizes: int) -> dict[str, Any]:
    """The answer to GET .../metadata of a model with one input."""
    shape = {"dim": [{"size": str(size), "name": ""} for size in sizes]}
    inputs = {"price": {"dtype": dtype, "tensor_shape": shape, "name": "price:0"}}
    signatures = {"serving_default": {"inputs": inputs, "outputs": {}}}
    return {"metadata": {"signature_def": {"signature_def": signatures}}}


def test_the_inputs_of_the_metadata_are_asked_for() -> None:
    builder = RequestBuilder.from_metadata(metadata("DT_INT64", -1, 3))
    assert builder.columns({"price": [7, 8]}) == {"price": [[7, 8, -1]]}


@pytest.mark.parametrize(
    ("dtype", "sizes"),
    [("DT_DOUBLE", (-1,)), ("DT_FLOAT", ()), ("DT_FLOAT", (-1, 2, 3)), ("DT_FLOAT", (-1, -1))],
)
def test_an_input_that_no_exported_model_has_is_refused(dtype: str, sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError) as refused:
        RequestBuilder.from_metadata(metadata(dtype, *sizes))
    shown = f"{dtype} of shape {list(sizes)} is no input of an exported model"
    assert str(refused.value) == f"price: {shown}; send the JSON yourself"


def test_a_request_of_no_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^inputs: must name at least one input, received none$"):
        RequestBuilder([])
