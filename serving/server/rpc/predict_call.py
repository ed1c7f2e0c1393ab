"""Predict: a request's tensors to arrays, and outputs to an answer.

Checks, their order and their words are TensorFlow Serving's own.

Source: tensorflow_serving/servables/tensorflow/predict_util.cc, release 2.17.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from idefn_tf.export.serving_protos import message_class
from serving.common.tensor_protos import TensorError, fill, from_message
from serving.server.codec.request_layouts import holds_once, layouts_of
from serving.server.codec.stacked_tensors import read_stacked
from serving.server.errors import StatusError, invalid_argument
from serving.server.flags import Limits
from serving.server.json_text import echo
from serving.server.rpc.parse import parse
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import DEFAULT, Arrays, Signature


def signature_of(request: Any, servable: Servable) -> Signature:
    """The signature that a request asks for.

    Raises:
        StatusError: FAILED_PRECONDITION, there is none of this name, or it has no inputs.
    """
    name = request.model_spec.signature_name or DEFAULT
    found = servable.signatures.get(name)
    if found is None or not found.inputs:
        raise StatusError("FAILED_PRECONDITION", f'Serving signature key "{echo(name)}" not found.')
    return found


def inputs_of(request: Any, body: bytes, signature: Signature, limits: Limits) -> Arrays:
    """Reads the inputs.

    Args:
        request: A PredictRequest, read as PredictEntries.
        body: The bytes that it was read from.
        signature: What the inputs are for.
        limits: What a request may cost.

    Raises:
        StatusError: INVALID_ARGUMENT with TensorFlow Serving's message.
    """
    stacked = layouts_of(signature).read(request.inputs)
    if stacked is None:
        inputs = parse("PredictRequest", body).inputs
        _check_names(inputs, signature)
        _check_filter(request.output_filter, signature)
        # the exact reading puts together what came in pieces
        stacked = read_stacked(inputs, signature) if holds_once(request.inputs, inputs) else None
    else:
        _check_filter(request.output_filter, signature)
    if stacked is not None:
        check_rows(stacked.rows, limits)
        return stacked
    arrays = _read_exactly(body, signature, limits.max_body_bytes)
    check_rows(max([len(array) for array in arrays.values() if array.ndim], default=0), limits)
    return arrays


def check_rows(count: int, limits: Limits) -> None:
    """Refuses a request of too many rows.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if count > limits.max_rows:
        raise invalid_argument(f"Request has more rows than the server accepts: {limits.max_rows}")


def answer_of(
    request: Any, servable: Servable, outputs: Mapping[str, np.ndarray], content: bool
) -> Any:
    """Writes a PredictResponse.

    Args:
        request: The PredictRequest; its filter says which outputs are wanted.
        servable: The version that answered.
        outputs: What it gave.
        content: Whether numbers are written as raw tensor content.
    """
    answer = message_class("TensorsResponse")()
    name_version(answer.model_spec, servable, request.model_spec.signature_name or DEFAULT)
    for key in request.output_filter or outputs:
        fill(answer.outputs[key], outputs[key], content)
    return answer


def name_version(spec: Any, servable: Servable, signature: str) -> None:
    """Writes into an answer's model_spec who answered."""
    spec.name, spec.signature_name = servable.name, signature
    spec.version.value = servable.version


def _read_exactly(body: bytes, signature: Signature, most: int) -> Arrays:
    """One by one, in the signature's order, with words for what is wrong."""
    tensors = parse("TensorsRequest", body).inputs
    arrays = {key: _array(key, tensors[key], most) for key in signature.inputs}
    for key, spec in signature.inputs.items():
        given = "string" if arrays[key].dtype == object else arrays[key].dtype.name
        if given != spec.type:
            raise invalid_argument(f"Expects arg[{key}] to be {spec.type} but {given} is provided")
    return arrays


def _array(key: str, tensor: Any, most: int) -> np.ndarray:
    try:
        return from_message(tensor, most)
    except TensorError as error:
        raise invalid_argument(f"tensor parsing error: {echo(key)}: {error}") from None


def _check_names(inputs: Mapping[str, Any], signature: Signature) -> None:
    names = signature.inputs
    if len(inputs) == len(names) and all(map(inputs.__contains__, names)):
        return
    sent, wanted = set(inputs), set(names)
    if len(sent) != len(wanted):
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({{{_listed(sent)}}}) != len({{{_listed(wanted)}}}). "
            f"Sent extra: {{{_listed(sent - wanted)}}}. "
            f"Missing but required: {{{_listed(wanted - sent)}}}."
        )
    raise invalid_argument(
        f"Signature input {min(wanted - sent)} was not found in the request; "
        f"sent: {{{_listed(sent)}}}"
    )


def _listed(names: set[str]) -> str:
    return echo(",".join(sorted(names)))


def _check_filter(asked: Sequence[str], signature: Signature) -> None:
    seen: set[str] = set()
    for alias in asked:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {echo(alias)} Outputs expected to "
                f"be in the set {{{','.join(sorted(signature.outputs))}}}."
            )
        if alias in seen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
