"""The declared messages have the numbers and types of TensorFlow Serving's own."""

import subprocess
import sys

import pytest

from idefn_tf.export.serving_protos import message_class

#: What is declared as bytes here is a message there, which is encoded alike.
OWNERS = {
    "config.model_server_config": ("ModelConfig", "ModelConfigList", "ModelServerConfig"),
    "config.logging_config": ("LoggingConfig", "SamplingConfig"),
    "config.log_collector_config": ("LogCollectorConfig",),
    "config.file_system_storage_path_source": ("FileSystemStoragePathSourceConfig",),
    "apis.prediction_log": ("PredictLog", "PredictionLog"),
    "apis.predict": ("PredictRequest",),
    "apis.model": ("ModelSpec",),
    "apis.input": ("Input", "ExampleList", "ExampleListWithContext"),
}


def shape(descriptor):
    """{field: (number, type, repeated, oneof)}, nested messages included.

    `optional x` is a oneof `_x` of its own, which changes no byte.
    """
    found = {}
    for field in descriptor.fields:
        kind = "bytes" if field.type in (11, 12) else field.type
        oneof = field.containing_oneof.name if field.containing_oneof else ""
        oneof = "" if oneof == f"_{field.name}" else oneof
        newer = hasattr(field, "is_repeated")  # protobuf 6 and later deprecate the label
        repeated = field.is_repeated if newer else field.label == field.LABEL_REPEATED
        found[field.name] = (field.number, kind, repeated, oneof)
    for nested in descriptor.nested_types:
        found |= {f"{nested.name}.{name}": told for name, told in shape(nested).items()}
    return found


@pytest.mark.parametrize("module", OWNERS)
def test_fields_are_the_owners(module):
    owner = pytest.importorskip(f"tensorflow_serving.{module}_pb2")
    for name in OWNERS[module]:
        ours = shape(message_class(name).DESCRIPTOR)
        theirs = shape(getattr(owner, name).DESCRIPTOR)
        assert ours
        assert {field: theirs.get(field) for field in ours} == ours
        if module.startswith("config.") and "storage_path" not in module:
            assert set(theirs) == set(ours)


def test_they_are_declared_without_tensorflow():
    code = (
        "import sys; from idefn_tf.export.serving_protos import message_class;"
        "message_class('PredictionLog')(); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"
