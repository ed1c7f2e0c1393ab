"""An ONNX file asked in this process, and from an environment without TensorFlow and Keras."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serving.common.connect import connect
from serving.common.onnx_connection import rows_of

ROOT = Path(__file__).resolve().parents[3]
#: What stops a test's environment from being one without TensorFlow.
NOT_THERE = """
import importlib.util
assert not any(importlib.util.find_spec(name) for name in ("tensorflow", "keras", "onnx"))
"""


def test_an_address_is_of_a_known_kind():
    with pytest.raises(ValueError, match=r"url: must begin with .* or onnx:, received 'ftp://x'"):
        connect("ftp://x", 1, None, True)


def test_rows_of_either_body():
    assert rows_of({"instances": [{"a": 1}]}) == [{"a": 1}]
    assert rows_of({"inputs": {"a": [1, 2], "b": [[3], [4]]}}) == [
        {"a": 1, "b": [3]},
        {"a": 2, "b": [4]},
    ]
    with pytest.raises(ValueError, match=r"one number of rows, received \{'a': 1, 'b': 2\}"):
        rows_of({"inputs": {"a": [1], "b": [1, 2]}})
    for body in ({"inputs": 5}, {"inputs": {"a": 5}}, {}):
        with pytest.raises(ValueError, match="body: must hold rows"):
            rows_of(body)


@pytest.fixture(scope="module")
def wide():
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (requirements/onnx-export.in)")
    from tests.idefn_tf.export.onnx import onnx_run

    return onnx_run


@pytest.fixture(scope="module")
def model(wide):
    return wide.make_model()


@pytest.fixture(scope="module")
def file(wide, model, tmp_path_factory):
    from idefn_tf.export import export_model

    base = tmp_path_factory.mktemp("models") / "cvr"
    return export_model(model, wide.SCHEMA, base, format="onnx") / "model.onnx"


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A Python with what requirements/onnx.lock names and nothing else."""
    folder = tmp_path_factory.mktemp("onnx") / "env"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python, lock = folder / "bin" / "python", str(ROOT / "requirements" / "onnx.lock")
    uv = shutil.which("uv", path=str(ROOT / ".venv" / "bin")) or shutil.which("uv")
    installer = [uv, "pip", "install", "--python", str(python)] if uv else [python, "-m", "pip"]
    command = [*installer, *([] if uv else ["install"]), "--quiet", "-r", lock]
    subprocess.run(command, check=True)
    return str(python)


@pytest.mark.onnx
@pytest.mark.job
def test_rows_score_like_python_and_nulls_are_the_schemas(wide, model, file):
    from idefn_tf.export.replay import python_scores, request_arrays
    from serving.client import Client

    frame = wide.make_frame(100, seed=4)
    expected = python_scores(model, wide.SCHEMA, request_arrays(wide.SCHEMA, frame))
    with Client(f"onnx:{file}", "cvr", max_rows=7) as client:
        found = client.predict(frame)
        assert client.schema.hash == wide.SCHEMA.hash
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6)


@pytest.mark.onnx
@pytest.mark.job
def test_what_a_file_cannot_do_is_said(file):
    from serving.client import Client

    with Client(f"onnx:{file}", "cvr") as client:
        for name in ("status", "metadata"):
            with pytest.raises(ValueError, match=f"url: {name} needs REST"):
                getattr(client, name)()
    with Client(f"onnx:{file}", "cvr", version=3) as client:
        row = client.builder.example_row()
        with pytest.raises(ValueError, match="must be left out beside an ONNX file, received 3"):
            client.predict(row)


@pytest.mark.onnx
@pytest.mark.job
def test_an_environment_without_tensorflow_scores_from_a_checkout(
    wide, model, file, bare_python, tmp_path
):
    from idefn_tf.export.replay import python_scores, request_arrays

    subprocess.run([bare_python, "-c", NOT_THERE], check=True)
    frame = wide.make_frame(20, seed=5)
    frame.to_parquet(tmp_path / "rows.parquet")
    expected = python_scores(model, wide.SCHEMA, request_arrays(wide.SCHEMA, frame))

    def ask(*options):
        command = [bare_python, "-m", "serving.client", "--onnx", str(file), *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    found = ask("--data", str(tmp_path / "rows.parquet"), "--rows", "20")
    assert sorted(found) == ["ctcvr", "ctr", "cvr"]
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6)
    body = ask("--example")
    (tmp_path / "body.json").write_text(json.dumps(body))
    assert len(ask("--json", str(tmp_path / "body.json"))["cvr"]) == 1


@pytest.mark.onnx
@pytest.mark.job
def test_history_is_looked_up_or_sent(wide, past, tmp_path):
    from idefn_tf.export import export_model
    from idefn_tf.export.replay import looked_up_arrays, python_scores, request_arrays
    from idefn_tf.history.snapshot import take_snapshot
    from serving.client import Client

    schema, frame = past.SCHEMA, past.make_frame()[:30]
    model = wide.make_model(schema, past.make_frame())
    snapshot = take_snapshot(schema, past.events(), past.PRIORS)
    path = export_model(model, schema, tmp_path / "cvr", snapshot=snapshot, format="onnx")
    arrays = request_arrays(schema, frame)
    inside = python_scores(model, schema, looked_up_arrays(schema, snapshot, arrays))
    sent = python_scores(model, schema, arrays)
    assert np.abs(inside["cvr"] - sent["cvr"]).max() > 1e-4
    with Client(f"onnx:{path / 'model.onnx'}", "cvr") as client:
        assert client.looks_up
        ids = client.predict(frame[["user", "city", "video", "tag"]])
        np.testing.assert_allclose(ids["cvr"], inside["cvr"], rtol=1e-4, atol=1e-6)
        own = client.predict(frame)
        np.testing.assert_allclose(own["cvr"], sent["cvr"], rtol=1e-4, atol=1e-6)
