"""The messages of TensorFlow Serving that exports write and servers read, by field numbers.

tensorflow-serving-api does not exist for every TensorFlow, so the messages are declared here, in a
pool of their own and without TensorFlow. What is a message of TensorFlow's own when serialized
(TensorProto, Example), or is never looked into, is declared as bytes, which are encoded alike; an
enumeration that has no text here is declared as int32. `TENSOR` is TensorFlow's own message.

Source: tensorflow_serving/{apis,config}/*.proto and session_bundle_config.proto, release 2.17.
"""

from __future__ import annotations

import functools
from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    wrappers_pb2,
)

PACKAGE = "tensorflow.serving"
_POLICY = "FileSystemStoragePathSourceConfig.ServableVersionPolicy"
_INT64, _BOOL = ".google.protobuf.Int64Value", ".google.protobuf.BoolValue"


def _predict_request(inputs: str) -> tuple[tuple[str, int, str], ...]:
    """Returns the fields of a PredictRequest whose inputs are read as a type.

    Nothing here reads the last three. They are declared so that a damaged message is refused, as
    elsewhere, and not skipped for a field that is unknown.
    """
    return (
        ("model_spec", 1, "ModelSpec"),
        ("inputs", 2, inputs),
        ("output_filter", 3, "repeated string"),
        ("predict_streamed_options", 5, "PredictStreamedOptions"),
        ("client_id", 6, "bytes"),
        ("request_options", 7, "RequestOptions"),
    )


#: message: (field, number, type, oneof); "repeated" and "map" (from text) precede a type.
_MESSAGES: dict[str, tuple[tuple[str, int, str] | tuple[str, int, str, str], ...]] = {
    # requests and warm-up records
    "ModelSpec": (
        ("name", 1, "string"),
        ("version", 2, _INT64, "version_choice"),
        ("version_label", 4, "string", "version_choice"),
        ("signature_name", 3, "string"),
    ),
    "PredictRequest": _predict_request("map bytes"),
    "PredictStreamedOptions": (("request_state", 1, "int32"), ("split_dimensions", 2, "map int32")),
    "RequestOptions": (("client_id", 1, "bytes"), ("deterministic_mode", 2, "int32")),
    # PredictRequest with the entries of its map as their bytes, in the order that they came in
    "PredictEntries": _predict_request("repeated bytes"),
    "PredictResponse": (("outputs", 1, "map bytes"), ("model_spec", 2, "ModelSpec")),
    "ExampleList": (("examples", 1, "repeated bytes"),),
    "ExampleListWithContext": (("examples", 1, "repeated bytes"), ("context", 2, "bytes")),
    "Input": (
        ("example_list", 1, "ExampleList", "kind"),
        ("example_list_with_context", 2, "ExampleListWithContext", "kind"),
    ),
    # ClassificationRequest and RegressionRequest have the same fields
    "ExampleRequest": (("model_spec", 1, "ModelSpec"), ("input", 2, "Input")),
    "Class": (("label", 1, "string"), ("score", 2, "float")),
    "Classifications": (("classes", 1, "repeated Class"),),
    "ClassificationResult": (("classifications", 1, "repeated Classifications"),),
    "ClassificationResponse": (
        ("result", 1, "ClassificationResult"),
        ("model_spec", 2, "ModelSpec"),
    ),
    "Regression": (("value", 1, "float"),),
    "RegressionResult": (("regressions", 1, "repeated Regression"),),
    "RegressionResponse": (("result", 1, "RegressionResult"), ("model_spec", 2, "ModelSpec")),
    "InferenceTask": (("model_spec", 1, "ModelSpec"), ("method_name", 2, "string")),
    "MultiInferenceRequest": (("tasks", 1, "repeated InferenceTask"), ("input", 2, "Input")),
    "InferenceResult": (
        ("model_spec", 1, "ModelSpec"),
        ("classification_result", 2, "ClassificationResult", "result"),
        ("regression_result", 3, "RegressionResult", "result"),
    ),
    "MultiInferenceResponse": (("results", 1, "repeated InferenceResult"),),
    "GetModelMetadataRequest": (
        ("model_spec", 1, "ModelSpec"),
        ("metadata_field", 2, "repeated string"),
    ),
    "GetModelMetadataResponse": (
        ("model_spec", 1, "ModelSpec"),
        ("metadata", 2, "map .google.protobuf.Any"),
    ),
    "SignatureDefMap": (("signature_def", 1, "map bytes"),),
    "GetModelStatusRequest": (("model_spec", 1, "ModelSpec"),),
    "StatusProto": (("error_code", 1, "int32"), ("error_message", 2, "string")),
    "ModelVersionStatus": (
        ("version", 1, "int64"),
        ("state", 2, "int32"),
        ("status", 3, "StatusProto"),
    ),
    "GetModelStatusResponse": (("model_version_status", 1, "repeated ModelVersionStatus"),),
    # tensorflow.TensorProto and grpc.health.v1's two messages, by their fields
    "TensorShape": (("dim", 2, "repeated TensorShape.Dim"), ("unknown_rank", 3, "bool")),
    "TensorShape.Dim": (("size", 1, "int64"), ("name", 2, "string")),
    "Tensor": (
        ("dtype", 1, "int32"),
        ("tensor_shape", 2, "TensorShape"),
        ("version_number", 3, "int32"),
        ("tensor_content", 4, "bytes"),
        ("float_val", 5, "repeated float"),
        ("double_val", 6, "repeated double"),
        ("int_val", 7, "repeated int32"),
        ("string_val", 8, "repeated bytes"),
        ("scomplex_val", 9, "repeated float"),
        ("int64_val", 10, "repeated int64"),
        ("bool_val", 11, "repeated bool"),
        ("dcomplex_val", 12, "repeated double"),
        ("half_val", 13, "repeated int32"),
        ("resource_handle_val", 14, "repeated ResourceHandle"),
        ("variant_val", 15, "repeated VariantTensorData"),
        ("uint32_val", 16, "repeated uint32"),
        ("uint64_val", 17, "repeated uint64"),
        ("float8_val", 18, "bytes"),
    ),
    # what no model here takes, declared for the reason that _predict_request gives
    "ResourceHandle": (
        ("device", 1, "string"),
        ("container", 2, "string"),
        ("name", 3, "string"),
        ("hash_code", 4, "uint64"),
        ("maybe_type_name", 5, "string"),
        ("dtypes_and_shapes", 6, "repeated ResourceHandle.DtypeAndShape"),
    ),
    "ResourceHandle.DtypeAndShape": (("dtype", 1, "int32"), ("shape", 2, "TensorShape")),
    "VariantTensorData": (
        ("type_name", 1, "string"),
        ("metadata", 2, "bytes"),
        ("tensors", 3, "repeated Tensor"),
    ),
    # PredictRequest and PredictResponse with their tensors read at once
    "TensorsRequest": _predict_request("map Tensor"),
    "TensorsResponse": (("outputs", 1, "map Tensor"), ("model_spec", 2, "ModelSpec")),
    "HealthCheckRequest": (("service", 1, "string"),),
    "HealthCheckResponse": (("status", 1, "int32"),),
    "PredictLog": (("request", 1, "PredictRequest"),),
    "ExampleLog": (("request", 1, "ExampleRequest"),),
    "PredictionLog": (
        ("classify_log", 2, "ExampleLog", "log_type"),
        ("regress_log", 3, "ExampleLog", "log_type"),
        ("multi_inference_log", 4, "bytes", "log_type"),
        ("session_run_log", 5, "bytes", "log_type"),
        ("predict_log", 6, "PredictLog", "log_type"),
        ("predict_streamed_log", 7, "bytes", "log_type"),
    ),
    # --model_config_file
    "FileSystemStoragePathSourceConfig": (),
    _POLICY: (
        ("latest", 100, f"{_POLICY}.Latest", "policy_choice"),
        ("all", 101, f"{_POLICY}.All", "policy_choice"),
        ("specific", 102, f"{_POLICY}.Specific", "policy_choice"),
    ),
    f"{_POLICY}.Latest": (("num_versions", 1, "uint32"),),
    f"{_POLICY}.All": (),
    f"{_POLICY}.Specific": (("versions", 1, "repeated int64"),),
    "LogCollectorConfig": (("type", 1, "string"), ("filename_prefix", 2, "string")),
    "SamplingConfig": (("sampling_rate", 1, "double"), ("attributes", 2, "int32")),
    "LoggingConfig": (
        ("log_collector_config", 1, "LogCollectorConfig"),
        ("sampling_config", 2, "SamplingConfig"),
    ),
    "ModelConfig": (
        ("name", 1, "string"),
        ("base_path", 2, "string"),
        ("model_type", 3, "ModelType"),
        ("model_platform", 4, "string"),
        ("logging_config", 6, "LoggingConfig"),
        ("model_version_policy", 7, _POLICY),
        ("version_labels", 8, "map int64"),
    ),
    "ModelConfigList": (("config", 1, "repeated ModelConfig"),),
    "ModelServerConfig": (
        ("model_config_list", 1, "ModelConfigList", "config"),
        ("custom_model_config", 2, ".google.protobuf.Any", "config"),
    ),
    "ReloadConfigRequest": (("config", 1, "ModelServerConfig"),),
    "ReloadConfigResponse": (("status", 1, "StatusProto"),),
    # --monitoring_config_file, --ssl_config_file, --batching_parameters_file
    "PrometheusConfig": (("enable", 1, "bool"), ("path", 2, "string")),
    "MonitoringConfig": (("prometheus_config", 1, "PrometheusConfig"),),
    "SSLConfig": (
        ("server_key", 1, "string"),
        ("server_cert", 2, "string"),
        ("custom_ca", 3, "string"),
        ("client_verify", 4, "bool"),
    ),
    # read as text only, so that its numbers matter to no one
    "BatchingParameters": (
        ("max_batch_size", 1, _INT64),
        ("batch_timeout_micros", 2, _INT64),
        ("max_enqueued_batches", 3, _INT64),
        ("num_batch_threads", 4, _INT64),
        ("thread_pool_name", 5, ".google.protobuf.StringValue"),
        ("allowed_batch_sizes", 6, "repeated int64"),
        ("pad_variable_length_inputs", 7, "bool"),
        ("enable_large_batch_splitting", 8, _BOOL),
        ("max_execution_batch_size", 9, _INT64),
        ("mixed_priority_batching_policy", 10, ".google.protobuf.StringValue"),
    ),
}
_MODEL_TYPES = ("MODEL_TYPE_UNSPECIFIED", "TENSORFLOW", "OTHER")
_Field = descriptor_pb2.FieldDescriptorProto
_PRIMITIVES = {
    name: getattr(_Field, f"TYPE_{name.upper()}")
    for name in ("string", "bytes", "int32", "int64", "uint32", "uint64", "bool", "double", "float")
}


@functools.cache
def message_class(name: str) -> Any:
    """Returns the class of a message, e.g. "PredictionLog"."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(
        name="idefn_tf/serving.proto", package=PACKAGE, syntax="proto3"
    )
    for known in (any_pb2.DESCRIPTOR, wrappers_pb2.DESCRIPTOR):
        pool.AddSerializedFile(known.serialized_pb)
        file.dependency.append(known.name)
    types = file.enum_type.add(name="ModelType")
    for number, name in enumerate(_MODEL_TYPES):
        types.value.add(name=name, number=number)
    made: dict[str, Any] = {}
    for name, fields in _MESSAGES.items():
        outer, _, own = name.rpartition(".")
        message = (made[outer].nested_type if outer else file.message_type).add(name=own)
        made[name] = message
        for field, number, kind, *oneof in fields:
            _add_field(message, field, number, kind, *oneof)
    pool.Add(file)
    return pool


def _add_field(message: Any, name: str, number: int, kind: str, oneof: str = "") -> None:
    *modifier, base = kind.split()
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    if oneof:
        names = [declared.name for declared in message.oneof_decl]
        if oneof not in names:
            message.oneof_decl.add(name=oneof)
        field.oneof_index = [*names, oneof].index(oneof)
    if modifier == ["map"]:
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, base)
        base = f"{message.name}.{entry.name}"
    if modifier:
        field.label = _Field.LABEL_REPEATED
    if base in _PRIMITIVES:
        field.type = _PRIMITIVES[base]
        return
    field.type = _Field.TYPE_ENUM if base == "ModelType" else _Field.TYPE_MESSAGE
    field.type_name = base if base.startswith(".") else f".{PACKAGE}.{base}"
