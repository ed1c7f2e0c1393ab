"""Text format: every spelling of a configuration file, and errors in TensorFlow Serving's words."""

import logging

import pytest

from serving.common import proto_text

SPELLINGS = """
  # a comment; then the spellings of one thing
  model_config_list: { config: { name: 'cv' "r"  # adjacent strings are one
    base_path: "/m\\141\\303\\251" model_platform: "tensorflow",
    model_version_policy { specific { versions: [3, 0x10] versions: 7; } }
    version_labels { key: "stable" value: 3 } version_labels: <key: "canary", value: 7> } }
"""


def test_text_format_in_all_its_spellings():
    (model,) = proto_text.parse(SPELLINGS, "ModelServerConfig").model_config_list.config
    assert (model.name, model.base_path) == ("cvr", "/maé")
    assert list(model.model_version_policy.specific.versions) == [3, 16, 7]
    assert dict(model.version_labels) == {"stable": 3, "canary": 7}


def test_text_is_read_as_the_owners_classes_read_it():
    """The same file through TensorFlow Serving's own messages, where they are installed."""
    protos = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    from google.protobuf import text_format

    theirs = text_format.Parse(SPELLINGS, protos.ModelServerConfig())
    ours = proto_text.parse(SPELLINGS, "ModelServerConfig")
    options = {"deterministic": True}
    assert ours.SerializeToString(**options) == theirs.SerializeToString(**options)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "model_config_list {\n  config { oops: 1 } }",
            '2:12: Message type "tensorflow.serving.ModelConfig" has no field named "oops".',
        ),
        ('model_config_list { config { name: "a"\n name: "b" } }', "2:8: Message type"),
        ("model_config_list: 3", "1:20: 'model_config_list: 3': Expected"),
        (
            "model_config_list {\n config { version_labels { value: y } } }",
            "Couldn't parse integer: y",
        ),
        ("model_config_list {\n config {", "Expected"),
        ("model_config_list { config { name: $ } }", "1:36: "),
        ("model_config_list { config { model_version_policy { latest {} all {} } } }", "oneof"),
    ],
)
def test_wrong_text_is_told_with_line_and_column(text, told):
    with pytest.raises(proto_text.ProtoTextError) as error:
        proto_text.parse(text, "ModelServerConfig")
    head = "Error parsing text-format tensorflow.serving.ModelServerConfig: "
    assert str(error.value).startswith(head)
    assert told in str(error.value)


def test_a_leading_zero_is_octal_and_told_once(caplog):
    text = 'model_config_list { config { name: "010"  # 017\n' + (
        "model_version_policy { specific { versions: 00000123 versions: 0 versions: 0x10 } } } }"
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found = proto_text.parse(text, "ModelServerConfig", "models.config")
    (model,) = found.model_config_list.config
    assert list(model.model_version_policy.specific.versions) == [83, 0, 16]
    (record,) = caplog.records
    assert record.getMessage() == (
        "models.config: 00000123 is read as octal, that is 83, as TensorFlow Serving reads it; "
        "write numbers without leading zeros, such as 123"
    )
