"""One model and one ONNX version of it for all tests of the conversion."""

import pytest

from tests.idefn_tf.export.onnx import onnx_run


@pytest.fixture(scope="session")
def wide():
    """The module onnx_run: ids that try a conversion, a schema without hashes, a model."""
    return onnx_run


@pytest.fixture(scope="session")
def wide_model(wide):
    """A model of every kind of feature."""
    return wide.make_model()


@pytest.fixture(scope="session")
def onnx_version(wide, wide_model, tmp_path_factory):
    """A published ONNX version; tests must not change it."""
    from idefn_tf.export import export_model

    base = tmp_path_factory.mktemp("models") / "cvr"
    return export_model(wide_model, wide.SCHEMA, base, replay=wide.make_frame(), format="onnx")
