"""Triton's configuration says what the graph takes and gives."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (requirements/onnx-export.in)")

from idefn_tf.export.onnx.triton import config_text

pytestmark = pytest.mark.onnx

#: Field by field after model_config.proto: text in quotes, enumerations without.
TEXT = """\
name: "cvr"
backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: 0
input [
  { name: "at" data_type: TYPE_INT64 dims: [ -1 ] },
  { name: "brand" data_type: TYPE_INT64 dims: [ -1 ] },
  { name: "depth" data_type: TYPE_FP32 dims: [ -1 ] },
  { name: "device" data_type: TYPE_INT64 dims: [ -1 ] },
  { name: "hour" data_type: TYPE_INT64 dims: [ -1 ] },
  { name: "margin" data_type: TYPE_FP32 dims: [ -1 ] },
  { name: "price" data_type: TYPE_FP32 dims: [ -1 ] },
  { name: "segment" data_type: TYPE_STRING dims: [ -1 ] },
  { name: "shift" data_type: TYPE_INT64 dims: [ -1 ] },
  { name: "shop" data_type: TYPE_INT64 dims: [ -1 ] },
  { name: "tags" data_type: TYPE_STRING dims: [ -1, 3 ] },
  { name: "tags_weights" data_type: TYPE_FP32 dims: [ -1, 3 ] },
  { name: "topics" data_type: TYPE_INT64 dims: [ -1, 2 ] },
  { name: "user" data_type: TYPE_INT64 dims: [ -1 ] }
]
output [
  { name: "ctcvr" data_type: TYPE_FP32 dims: [ -1 ] },
  { name: "ctr" data_type: TYPE_FP32 dims: [ -1 ] },
  { name: "cvr" data_type: TYPE_FP32 dims: [ -1 ] }
]
"""


def test_it_names_every_tensor(onnx_version):
    head, _, text = config_text(onnx_version).partition("\n")
    assert head.startswith("# Written by")
    assert text == TEXT


def test_it_is_a_message_in_text_format():
    """The fields of inference.ModelConfig that are used, by their numbers in model_config.proto."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="triton_test.proto", package="triton_test")
    enum = file.enum_type.add(name="DataType")
    for number, name in (
        (0, "TYPE_INVALID"),
        (5, "TYPE_INT64"),
        (11, "TYPE_FP32"),
        (13, "TYPE_STRING"),
    ):
        enum.value.add(name=name, number=number)
    tensor = file.message_type.add(name="Tensor")
    tensor.field.add(name="name", number=1, type=kinds.TYPE_STRING, label=1)
    tensor.field.add(
        name="data_type", number=2, type=kinds.TYPE_ENUM, label=1, type_name=".triton_test.DataType"
    )
    tensor.field.add(name="dims", number=4, type=kinds.TYPE_INT64, label=3)
    model = file.message_type.add(name="ModelConfig")
    for name, number in (("name", 1), ("default_model_filename", 8), ("backend", 17)):
        model.field.add(name=name, number=number, type=kinds.TYPE_STRING, label=1)
    model.field.add(name="max_batch_size", number=4, type=kinds.TYPE_INT32, label=1)
    for name, number in (("input", 5), ("output", 6)):
        model.field.add(
            name=name,
            number=number,
            type=kinds.TYPE_MESSAGE,
            label=3,
            type_name=".triton_test.Tensor",
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    config = message_factory.GetMessageClass(pool.FindMessageTypeByName("triton_test.ModelConfig"))
    found = text_format.Parse(f"# a remark\n{TEXT}", config())
    assert len(found.input) == 14
    assert list(found.input[10].dims) == [-1, 3]
    assert [tensor.data_type for tensor in found.output] == [11, 11, 11]
