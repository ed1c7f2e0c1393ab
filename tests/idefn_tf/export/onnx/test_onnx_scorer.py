"""An ONNX version in a session: what it takes, and what it says of what it does not take."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (requirements/onnx-export.in)")

from idefn_tf.export import Scorer
from idefn_tf.export.onnx.onnx_scorer import OnnxScorer
from idefn_tf.export.open_version import format_of, open_version
from idefn_tf.export.replay import request_arrays

pytestmark = pytest.mark.onnx

BARE = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = sys.modules["onnx"] = None
from idefn_tf.export.onnx.onnx_scorer import OnnxScorer
with OnnxScorer(sys.argv[1]) as scorer:
    print(*scorer.signatures, *scorer.outputs())
"""


@pytest.fixture(scope="module")
def scorer(onnx_version):
    with OnnxScorer(onnx_version / "model.onnx") as found:
        yield found


@pytest.fixture(scope="module")
def row(wide):
    return request_arrays(wide.SCHEMA, wide.make_frame(2))


def test_it_needs_neither_tensorflow_nor_onnx(onnx_version):
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(onnx_version)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["serving_default", "ctcvr", "ctr", "cvr"]


def test_either_format_is_opened_by_its_files(onnx_version, version):
    assert (format_of(onnx_version), format_of(version)) == ("onnx", "saved-model")
    with open_version(onnx_version) as one, open_version(version) as other:
        assert isinstance(one, OnnxScorer)
        assert isinstance(other, Scorer)
        assert one.outputs() == other.outputs()


def test_lists_and_text_are_taken(scorer, row):
    listed = {name: values.tolist() for name, values in row.items()}
    listed["segment"] = [v.decode() for v in row["segment"]]
    assert scorer.run(listed)["cvr"].tolist() == scorer.run(row)["cvr"].tolist()


def test_no_rows_have_no_scores(scorer, row):
    none = {name: values[:0] for name, values in row.items()}
    assert scorer.run(none)["cvr"].shape == (0,)
    assert scorer.score(none)["cvr"].shape == (0,)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("user", np.array([1.5, 2.0]), "user: must be int64, received float64"),
        ("user", np.array([1, 2], np.uint64), "user: must be int64, received uint64"),
        ("user", np.array([True, False]), "user: must be int64, received bool"),
        ("user", np.array(["1", "2"]), "user: must be int64, received <U1"),
        ("user", np.array([[1], [2]]), r"user: must have shape \('rows',\), received \(2, 1\)"),
        ("price", np.array(["a", "b"]), "price: must be float32, received <U1"),
        ("segment", np.array(["a", None], object), "segment: must be text, received None"),
        ("segment", np.array([1, 2]), "segment: must be text, received 1"),
        ("tags", np.array([["x"], ["y"]], object), r"tags: must have shape \('rows', 3\)"),
        ("hour", np.array([1, 2, 3]), "inputs: must have one number of rows, received"),
    ],
)
def test_what_it_cannot_take_is_said(scorer, row, name, value, message):
    with pytest.raises(ValueError, match=message):
        scorer.run({**row, name: value})


def test_missing_inputs_and_signatures_are_named(scorer, row):
    with pytest.raises(ValueError, match=r"\['hour'\] are missing; serving_default takes all"):
        scorer.run({name: values for name, values in row.items() if name != "hour"})
    with pytest.raises(ValueError, match=r"none called 'classify', only \['serving_default'\]"):
        scorer.run(row, "classify")


def test_folders_that_are_no_version_are_refused(onnx_version, tmp_path):
    with pytest.raises(ValueError, match=r"must be a version's folder with model\.onnx"):
        OnnxScorer(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ValueError, match="received one that ONNX Runtime refuses"):
        OnnxScorer(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(onnx_version, broken)
    (broken / "model.onnx").write_bytes((onnx_version / "model.onnx").read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"model\.onnx: must have SHA-256 .* as the card says"):
        OnnxScorer(broken)
