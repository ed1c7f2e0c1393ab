"""The few messages of TensorFlow Serving that an export writes, built from field numbers.

tensorflow-serving-api does not exist for every TensorFlow, so the messages are declared here, in a
pool of their own. What is a message of TensorFlow's own when serialized (TensorProto, Example) is
declared as bytes, which are encoded alike.
"""

from __future__ import annotations

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "idefn_tf.wire"
#: message: (field, number, type); "repeated" and "map" (from text to bytes) precede a type.
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "ModelSpec": (("name", 1, "string"), ("signature_name", 3, "string")),
    "PredictRequest": (("model_spec", 1, "ModelSpec"), ("inputs", 2, "map bytes")),
    "ExampleList": (("examples", 1, "repeated bytes"),),
    "Input": (("example_list", 1, "ExampleList"),),
    # ClassificationRequest and RegressionRequest have the same fields
    "ExampleRequest": (("model_spec", 1, "ModelSpec"), ("input", 2, "Input")),
    "PredictLog": (("request", 1, "PredictRequest"),),
    "ExampleLog": (("request", 1, "ExampleRequest"),),
    "PredictionLog": (
        ("classify_log", 2, "ExampleLog"),
        ("regress_log", 3, "ExampleLog"),
        ("predict_log", 6, "PredictLog"),
    ),
}
_Field = descriptor_pb2.FieldDescriptorProto
_PRIMITIVES = {"string": _Field.TYPE_STRING, "bytes": _Field.TYPE_BYTES}


@functools.cache
def message_class(name: str) -> Any:
    """Returns the class of a message, e.g. "PredictionLog"."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="idefn_tf/wire.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            _add_field(message, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _add_field(message: Any, name: str, number: int, kind: str) -> None:
    *modifier, base = kind.split()
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    if modifier == ["map"]:
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, base)
        base = f"{message.name}.{entry.name}"
    if modifier:
        field.label = _Field.LABEL_REPEATED
    if base in _PRIMITIVES:
        field.type = _PRIMITIVES[base]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{base}"
