"""A version scores raw features as Python does, in any TensorFlow process, or does not appear."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.calibration import IsotonicCalibrator, PlattCalibrator
from idefn_tf.export import Scorer, export_model, list_versions
from idefn_tf.export.replay import python_scores, request_arrays

BARE = """
import json, sys
import numpy as np
import tensorflow as tf
assert not any(name.startswith("idefn_tf") for name in sys.modules)
loaded = tf.saved_model.load(sys.argv[1])
requests = json.loads(sys.stdin.read())
run = loaded.signatures["serving_default"]
spec = run.structured_input_signature[1]
out = run(**{k: tf.constant(v, spec[k].dtype) for k, v in requests.items()})
print(json.dumps({k: [float(x) for x in v.numpy()] for k, v in out.items()}))
"""


def to_json(arrays):
    return json.dumps(
        {
            name: [v.decode() for v in values] if values.dtype == object and values.ndim == 1
            else [[v.decode() for v in row] for row in values] if values.dtype == object
            else values.tolist()
            for name, values in arrays.items()
        }
    )  # fmt: skip


def test_version_is_a_plain_folder_with_its_parts(version):
    assert version.name == "1"
    assert version.stat().st_mode & 0o755 == 0o755  # a server of another user reads it
    assert sorted(p.name for p in version.iterdir()) == [
        "assets", "assets.extra", "fingerprint.pb", "saved_model.pb", "variables",
    ]  # fmt: skip
    assert [p.name for p in version.parent.iterdir()] == ["1"]


def test_signature_is_raw_features_by_name_and_rank_one_scores(version, tiny):
    with Scorer(version) as scorer:
        signature = scorer.signatures["serving_default"]
        shapes = {
            name: ([d.size for d in info.tensor_shape.dim], tf.as_dtype(info.dtype).name)
            for name, info in signature.inputs.items()
        }
        outputs = {
            name: ([d.size for d in info.tensor_shape.dim], tf.as_dtype(info.dtype).name)
            for name, info in signature.outputs.items()
        }
    assert shapes == {
        "user": ([-1], "int64"),
        "device": ([-1], "int64"),
        "segment": ([-1], "string"),
        "age": ([-1], "int64"),
        "tags": ([-1, 3], "string"),
        "tags_weights": ([-1, 3], "float32"),
        "topics": ([-1, 2], "int64"),
        "shop": ([-1], "int64"),
        "price": ([-1], "float32"),
        "hour": ([-1], "int64"),
    }
    assert outputs == dict.fromkeys(("ctr", "cvr", "ctcvr"), ([-1], "float32"))


@pytest.mark.process
def test_bare_tensorflow_process_gives_the_same_numbers(version, model, tiny, tmp_path):
    arrays = request_arrays(tiny.SCHEMA, tiny.make_frame(80, seed=5))
    expected = python_scores(model, tiny.SCHEMA, arrays)
    done = subprocess.run(
        [sys.executable, "-I", "-c", BARE, str(version)],
        input=to_json(arrays), capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert np.ptp(expected["cvr"]) > 1e-4  # rows differ, or equality says nothing
    for name in ("ctr", "cvr", "ctcvr"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-6)


def test_train_only_feature_has_its_serving_value(version, model, tiny):
    frame = tiny.make_frame(50, seed=6)
    arrays = request_arrays(tiny.SCHEMA, frame)
    assert "position" not in arrays
    with Scorer(version) as scorer:
        found = scorer.score(arrays)["cvr"]
    from idefn_tf.data import open_dataset

    at_serving_value = open_dataset(tiny.SCHEMA, frame.assign(position=3), labels=False)
    as_logged = open_dataset(tiny.SCHEMA, frame, labels=False)
    expected = model.predict(at_serving_value, verbose=0)["cvr"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.abs(model.predict(as_logged, verbose=0)["cvr"] - found).max() > 1e-5


def test_no_training_state_is_saved(version, model):
    saved = tf.train.list_variables(str(version / "variables" / "variables"))
    numbers = sum(int(np.prod(shape)) for name, shape in saved if "VARIABLE_VALUE" in name)
    assert numbers == sum(int(np.prod(v.shape)) for v in model.weights)
    assert model.optimizer.variables  # there was some


def test_numeric_nan_and_unknown_values_are_scored_like_python(version, model, tiny):
    from idefn_tf.export.corner_cases import edge_rows

    arrays = edge_rows(tiny.SCHEMA, model.features.fields, rows=300, seed=3)
    assert np.isnan(arrays["price"]).any()
    assert (arrays["user"] == 2**63 - 1).any()
    with Scorer(version) as scorer:
        found = scorer.score(arrays)
    expected = python_scores(model, tiny.SCHEMA, arrays)
    for name, values in expected.items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-6)


def test_card_says_what_the_version_is(version, tiny):
    card = json.loads((version / "assets.extra" / "model_card.json").read_text())
    assert card["method"]["name"] == "esmm"
    assert card["schema"]["hash"] == tiny.SCHEMA.hash
    assert card["inputs"]["tags"] == "string"
    assert card["train_only"] == {"position": 3}
    assert card["gate"] == {"ok": 1}  # what the approval said
    assert card["check"]["rows"] == 600 + 64
    assert max(card["check"]["largest_difference"].values()) <= 1e-6
    assert card["software"]["tensorflow"] == tf.__version__
    from idefn_tf.export.card import read_schema

    assert read_schema(version) == tiny.SCHEMA


@pytest.mark.job
@pytest.mark.parametrize("kind", [PlattCalibrator, IsotonicCalibrator])
def test_calibrator_adds_an_output(kind, model, tiny, tmp_path):
    frame = tiny.make_frame(300, seed=9)
    arrays = request_arrays(tiny.SCHEMA, frame)
    scores = python_scores(model, tiny.SCHEMA, arrays)["cvr"]
    labels = (np.random.default_rng(0).random(300) < scores).astype(float)
    calibrator = kind("clicked")
    if kind is PlattCalibrator:
        calibrator.slope, calibrator.intercept, calibrator.fitted = 1.5, -0.4, True
    else:
        calibrator.fit(scores, labels)
    path = export_model(model, tiny.SCHEMA, tmp_path / "cvr", calibrator=calibrator)
    with Scorer(path) as scorer:
        assert scorer.outputs() == ("ctcvr", "ctr", "cvr", "cvr_calibrated")
        found = scorer.score(arrays)
    expected = calibrator.transform(found["cvr"])
    np.testing.assert_allclose(found["cvr_calibrated"], expected, rtol=0, atol=1e-6)
    assert np.abs(found["cvr_calibrated"] - found["cvr"]).max() > 1e-3


@pytest.mark.job
def test_differing_scores_publish_nothing(model, tiny, tmp_path, monkeypatch):
    from idefn_tf.export import replay

    def shifted(*args, **kwargs):
        scores = python_scores(*args, **kwargs)
        return {**scores, "cvr": scores["cvr"] + np.float32(2e-6)}

    monkeypatch.setattr(replay, "python_scores", shifted)
    with pytest.raises(ValueError, match=r"serving_default gives cvr = .* must be at most 1e-06"):
        export_model(model, tiny.SCHEMA, tmp_path / "cvr")
    assert list((tmp_path / "cvr").iterdir()) == []


@pytest.mark.job
def test_scores_that_are_not_finite_publish_nothing(model, tiny, tmp_path):
    model = type(model).from_config(model.get_config())
    model.build()
    table = model.features.tables["4"]
    table.assign(np.full(table.shape, np.nan))
    with pytest.raises(ValueError, match="not finite"):
        export_model(model, tiny.SCHEMA, tmp_path / "cvr")
    assert list((tmp_path / "cvr").iterdir()) == []


@pytest.mark.job
def test_refusal_publishes_nothing(model, tiny, tmp_path):
    def refuse(folder: Path):
        assert (folder / "saved_model.pb").is_file()
        raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        export_model(model, tiny.SCHEMA, tmp_path / "cvr", approve=refuse)
    assert list((tmp_path / "cvr").iterdir()) == []


CHILD = """
import importlib.util, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("tiny_run", sys.argv[1])
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)
from idefn_tf.export import export_model
import keras
model = keras.saving.load_model(sys.argv[3])
{action}
"""
WAIT = """
def approve(folder):
    print("built", flush=True)
    time.sleep(600)
export_model(model, tiny.SCHEMA, sys.argv[2], approve=approve)
"""
EXPORT = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    export_model(model, tiny.SCHEMA, sys.argv[2])
except OSError as error:
    print("OSError:", error)
"""


def child(starter, action: str, base: Path, model, *before: str):
    """A process; `starter` is subprocess, or what starts one with TensorFlow imported already."""
    script, saved = Path(__file__).parent / "tiny_run.py", base.parent / "best.keras"
    model.save(saved)
    return starter.Popen(
        [*before, sys.executable, "-c", CHILD.format(action=action), str(script), str(base),
         str(saved)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=os.getcwd(),
    )  # fmt: skip


def test_kill_leaves_no_version_and_the_next_export_cleans_up(
    model, tiny, tmp_path, warm_processes
):
    base = tmp_path / "cvr"
    with child(warm_processes, WAIT, base, model) as process:
        assert process.stdout.readline() == "built\n"
        process.kill()
    left = [p.name for p in base.iterdir()]
    assert len(left) == 1
    assert left[0].startswith(".tmp-")
    assert list_versions(base) == {}
    assert export_model(model, tiny.SCHEMA, base).name == "1"
    assert [p.name for p in base.iterdir()] == ["1"]


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a file size limit")
def test_full_disk_leaves_nothing(model, tmp_path, warm_processes):
    base = tmp_path / "cvr"
    with child(
        warm_processes, EXPORT.format(limit=4096), base, model
    ) as process:  # no file beyond 4 KiB
        out, err = process.communicate()
    assert "OSError: " in out, err
    assert list(base.iterdir()) == []


FILL = """
import subprocess
mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", sys.argv[2]])
if mounted.returncode:
    sys.exit(77)
base = Path(sys.argv[2]) / "cvr"
export_model(model, tiny.SCHEMA, base)
whole = sum(f.stat().st_size for f in base.rglob("*") if f.is_file())
for share in (0.05, 0.5, 0.9, 0.99):  # the graph, the variables, the warm-up, the card
    filler = Path(sys.argv[2]) / "filler"
    filler.unlink(missing_ok=True)
    free = os.statvfs(sys.argv[2])
    filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - int(share * whole))))
    try:
        export_model(model, tiny.SCHEMA, base)
        print("exported into a full disk", flush=True)
    except OSError as error:
        print("OSError:", error, flush=True)
    print(sorted(p.name for p in base.iterdir()), flush=True)
filler.unlink()
print(export_model(model, tiny.SCHEMA, base).name, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs a mount of its own")
def test_disk_that_fills_up_during_an_export(model, tmp_path):
    """A real small disk, full at four stages: an error that says so, and the old version alone."""
    base = tmp_path / "disk"
    base.mkdir()
    with child(subprocess, "import os\n" + FILL, base, model, "unshare", "-m") as process:
        out, err = process.communicate()
    if process.returncode == 77 or "unshare" in err:
        pytest.skip("this system mounts nothing for us")
    lines = out.splitlines()
    assert len(lines) == 9, err
    for said, left in zip(lines[:8:2], lines[1:8:2], strict=True):
        assert said.startswith("OSError: "), lines
        assert left == "['1']"
    assert lines[8] == "2"
