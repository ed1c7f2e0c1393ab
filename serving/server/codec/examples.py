"""Classify and regress: JSON examples to tf.Example protos, and the answers' form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from serving.server import json_text
from serving.server.codec import format
from serving.server.codec.exact_tensors import decode_base64
from serving.server.errors import StatusError, invalid_argument
from serving.server.runtime.servable import Servable
from serving.server.runtime.signature import CLASSIFY, DEFAULT, REGRESS, Signature

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def serialize(request: dict[str, Any]) -> np.ndarray:
    """Reads `examples` (and `context`) of a request.

    Args:
        request: The request's JSON.

    Returns:
        Serialized tf.Example protos, shape [number of examples].

    Raises:
        StatusError: INVALID_ARGUMENT with TensorFlow Serving's message.
    """
    context = _example(request["context"]) if "context" in request else None
    if "examples" not in request:
        raise _format_error(
            request, "When method is classify, key 'examples' is expected and was not found"
        )
    listed = request["examples"]
    if type(listed) is not list:
        raise _format_error(request, "Expecting 'examples' value to be an list/array")
    if not listed:
        raise _format_error(request, "'examples' value is an empty array")
    serialized = np.empty(len(listed), object)
    for index, value in enumerate(listed):
        example = _example(value)
        if context is not None:
            merged = tf.train.Example()
            merged.CopyFrom(context)
            for name, feature in example.features.feature.items():
                merged.features.feature[name].CopyFrom(feature)
            example = merged
        serialized[index] = example.SerializeToString()
    return serialized


def of_input(given: Any) -> np.ndarray:
    """Reads tensorflow.serving.Input of a gRPC request.

    Args:
        given: The message.

    Returns:
        Serialized tf.Example protos, shape [number of examples].

    Raises:
        StatusError: INVALID_ARGUMENT with TensorFlow Serving's message.
    """
    kind = given.WhichOneof("kind")
    listed = list(getattr(given, kind).examples) if kind else []
    if not listed:
        raise invalid_argument("Input is empty.")
    serialized = np.empty(len(listed), object)
    serialized[:] = listed
    context = given.example_list_with_context.context if kind != "example_list" else b""
    if not context:
        return serialized
    for index, body in enumerate(listed):
        merged = tf.train.Example()
        try:
            merged.ParseFromString(context)
            example = tf.train.Example.FromString(body)
        except DecodeError:
            raise invalid_argument("Input holds no tf.Example") from None
        for name, feature in example.features.feature.items():
            merged.features.feature[name].CopyFrom(feature)
        serialized[index] = merged.SerializeToString()
    return serialized


def _format_error(request: dict[str, Any], text: str) -> StatusError:
    return invalid_argument(f"JSON Value: {json_text.quote(request)} {text}")


def _example(value: Any) -> tf.train.Example:
    if type(value) is not dict:
        raise invalid_argument(
            f"Example must be JSON object but got JSON {json_text.type_name(value)}"
        )
    example = tf.train.Example()
    for name, content in value.items():
        feature = tf.train.Feature()
        for item in content if type(content) is list else [content]:
            _add(item, name, feature)
        if not json_text.is_utf8(name):  # Python's protobuf takes no other name
            raise invalid_argument(f"Feature: {json_text.echo(name)} has a name that is not UTF-8")
        example.features.feature[name].CopyFrom(feature)
    return example


def _add(value: Any, name: str, feature: tf.train.Feature) -> None:
    kind = type(value)
    if kind is float:
        _list(feature, "float_list", name).append(_float32(value))
    elif kind is bool or kind is int:
        numbers = _list(feature, "int64_list", name)
        if value >= 2**63:
            raise invalid_argument(
                f"Feature: {json_text.echo(name)} has uint64 element. Only int64 is supported."
            )
        numbers.append(int(value))
    elif kind is str:
        _list(feature, "bytes_list", name).append(value.encode("utf-8", "surrogateescape"))
    elif kind is dict and len(value) == 1 and type(value.get("b64")) is str:
        _list(feature, "bytes_list", name).append(decode_base64(value))
    else:
        raise invalid_argument(
            f"Feature: {json_text.echo(name)} has element with unexpected JSON type: "
            f"{json_text.type_name(value)}"
        )


def _float32(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _list(feature: tf.train.Feature, kind: str, name: str) -> Any:
    present = feature.WhichOneof("kind")
    if present not in (None, kind):
        raise invalid_argument(
            f"Unexpected element type in feature: {json_text.echo(name)} expecting type: "
            f"{_KINDS[present]}"
        )
    return getattr(feature, kind).value


def find(verb: str, servable: Servable, name: str, check_method: bool) -> Signature:
    """The signature of a classify or regress request.

    Args:
        verb: "classify" or "regress".
        servable: The version that answers.
        name: The signature's name; "" for serving_default.
        check_method: Whether its method name must be the verb's.

    Raises:
        StatusError: There is none of this name, or its inputs and outputs have other names.
    """
    wanted = name or DEFAULT
    signature = servable.signatures.get(wanted)
    if signature is None:
        raise invalid_argument(f"No signature was found with the name: {json_text.echo(wanted)}")
    method, kind = (CLASSIFY, "classification") if verb == "classify" else (REGRESS, "regression")
    if check_method and signature.method_name != method:
        raise invalid_argument(
            f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}"
        )
    (_check_classify if verb == "classify" else _check_regress)(signature)
    return signature


def results(verb: str, outputs: Mapping[str, np.ndarray], count: int) -> bytes:
    """Writes the answer: {"results": ...}.

    Args:
        verb: "classify" or "regress".
        outputs: What the graph gave.
        count: The number of examples.

    Returns:
        The body.

    Raises:
        StatusError: The outputs have another shape or type than the verb asks for.
    """
    if verb == "classify":
        text = _classes(outputs, count)
        return f'{{\n    "results": [{text}\n    ]\n}}'.encode("utf-8", "surrogateescape")
    return f'{{\n    "results": [{_values(outputs, count)}]\n}}'.encode()


def _check_classify(signature: Signature) -> None:
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(
            f"Expected one or two output Tensors, found {len(signature.outputs)}"
        )
    if "inputs" not in signature.inputs:
        raise StatusError(
            "FAILED_PRECONDITION",
            f"No classification inputs found in SignatureDef: {signature.name}",
        )
    if not {"classes", "scores"} & set(signature.outputs):
        raise StatusError(
            "FAILED_PRECONDITION",
            'Expected classification signature outputs to contain at least one of "classes" or '
            f'"scores". Signature was: {signature.name}',
        )


def _check_regress(signature: Signature) -> None:
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    for key, word in (("inputs", "inputs"), ("outputs", "outputs")):
        if key not in getattr(signature, word):
            raise StatusError(
                "FAILED_PRECONDITION",
                f"No regression {word} found in SignatureDef: {signature.name}",
            )


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _enum(array: np.ndarray) -> str:
    return "DT_" + tf.dtypes.as_dtype(array.dtype).name.replace("float32", "float").upper()


def classes_of(
    outputs: Mapping[str, np.ndarray], count: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The labels and scores of classify, [examples, classes], either of them None.

    Raises:
        StatusError: They have another shape or type.
    """
    for key, wanted in (("classes", "DT_STRING"), ("scores", "DT_FLOAT")):
        array = outputs.get(key)
        if array is None:
            continue
        if array.ndim != 2:
            raise invalid_argument(
                f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}"
            )
        if array.dtype != (object if key == "classes" else np.float32):
            raise invalid_argument(f"Expected {key} Tensor of {wanted}. Got: {_enum(array)}")
        if array.shape[0] != count:
            raise invalid_argument(
                f"Expected {key} output batch size of {count}. Got: {array.shape[0]}"
            )
    classes, scores = outputs.get("classes"), outputs.get("scores")
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid_argument(
            "Tensors class and score should match in dim_size(1). Got "
            f"{classes.shape[1]} vs. {scores.shape[1]}"
        )
    return classes, scores


def _classes(outputs: Mapping[str, np.ndarray], count: int) -> str:
    classes, scores = classes_of(outputs, count)
    shape = (classes if classes is not None else scores).shape  # type: ignore[union-attr]
    labels = ['""'] * (shape[0] * shape[1]) if classes is None else format.leaves("", classes)
    numbers = ["0.0"] * len(labels) if scores is None else format.leaves("", scores)
    pairs = [f"[{label}, {number}]" for label, number in zip(labels, numbers, strict=True)]
    width = shape[1]
    rows = [", ".join(pairs[i * width : (i + 1) * width]) for i in range(shape[0])]
    return ", ".join(f"[{row}]" for row in rows)


def values_of(outputs: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """The values of regress, [examples].

    Raises:
        StatusError: They have another shape or type.
    """
    array = outputs["outputs"]
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        raise invalid_argument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
            f"but got {_shape(array)}"
        )
    if array.shape[0] != count:
        raise invalid_argument(
            f"Input batch size did not match output batch size: {count} vs. {array.shape[0]}"
        )
    if array.dtype != np.float32:
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {_enum(array)}")
    return array.ravel()


def _values(outputs: Mapping[str, np.ndarray], count: int) -> str:
    return ", ".join(format.floats(values_of(outputs, count)))
