"""What has no ONNX form is told before any work, and so is a package that is missing."""

import pytest

from idefn_tf.export import export_model
from idefn_tf.export.onnx.convertible import require_convertible
from idefn_tf.export.onnx.packages import import_packages
from idefn_tf.features import FeatureColumns, Field


def layer(*fields):
    return FeatureColumns(fields)


def field(name, **settings):
    given = {"kind": "identity", "dtype": "int64", "known": 5} | settings
    return Field(name, width=2, table=name, **given)


def test_hashed_text_is_refused_by_name():
    text = {"dtype": "string", "known": 1, "values": ("a",)}
    fields = [
        field("shop", kind="hash", dtype="string"),
        field("city", kind="vocabulary", oov_buckets=2, **text),
        field("item", kind="vocabulary", oov_buckets=1, **text),
        field("number", kind="hash"),  # integers are hashed by arithmetic
        field("many", kind="vocabulary", known=1, values=(7,), oov_buckets=3),
    ]
    with pytest.raises(ValueError, match="no text that is hashed") as told:
        require_convertible(layer(*fields))
    assert "received shop (hash), city (2 buckets);" in str(told.value)


def test_a_feature_named_as_an_output_is_refused():
    with pytest.raises(ValueError, match=r"other names than outputs, received \['ctr'\]"):
        require_convertible(layer(field("ctr"), field("hour")))


def test_a_refusal_writes_nothing(tiny, tmp_path):
    features = layer(field("shop", kind="hash", dtype="string"))
    from idefn_tf.models import ESMM

    with pytest.raises(ValueError, match=r"no text that is hashed, received shop \(hash\)"):
        export_model(ESMM(features), tiny.SCHEMA, tmp_path / "cvr", format="onnx")
    assert not (tmp_path / "cvr").exists()


def test_an_unknown_format_is_refused(tiny, tmp_path):
    features = FeatureColumns.from_schema(tiny.SCHEMA, tiny.vocabularies())
    from idefn_tf.models import ESMM

    with pytest.raises(ValueError, match=r"format: must be one of .*, received 'tflite'"):
        export_model(ESMM(features), tiny.SCHEMA, tmp_path / "cvr", format="tflite")


def test_a_missing_package_is_told_with_the_command():
    import_packages(("json", "math"))
    with pytest.raises(ImportError, match=r"without no_such_package;\n.*'idefn-tf\[onnx\]'"):
        import_packages(("json", "no_such_package"))
