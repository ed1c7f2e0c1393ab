"""The converted graph scores as the SavedModel does: every kind of feature, corner and method."""

import hashlib
import json

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (requirements/onnx-export.in)")

from idefn_tf.backbones import BACKBONES
from idefn_tf.calibration import IsotonicCalibrator, PlattCalibrator
from idefn_tf.export import Scorer, export_model
from idefn_tf.export.corner_cases import edge_rows
from idefn_tf.export.onnx import onnx_graph, onnx_version
from idefn_tf.export.onnx.onnx_scorer import OnnxScorer
from idefn_tf.export.replay import concatenate, python_scores, request_arrays
from idefn_tf.features import FeatureColumns
from idefn_tf.history.snapshot import take_snapshot
from idefn_tf.models import METHODS, get_method
from idefn_tf.schema import Schema

pytestmark = [pytest.mark.onnx, pytest.mark.job]


def card_of(version):
    return json.loads((version / "assets.extra" / "model_card.json").read_text())


def close(found, expected):
    for name, right in expected.items():
        np.testing.assert_allclose(found[name], right, rtol=1e-4, atol=1e-6)


def converted(model, schema, arrays, folder, layer=None):
    onnx_version.save({"model.onnx": onnx_graph.build(model, schema, layer)}, folder)
    with OnnxScorer(folder) as scorer:
        return scorer.score(arrays)


def test_version_is_a_graph_and_what_belongs_to_it(onnx_version):
    assert sorted(p.name for p in onnx_version.iterdir()) == ["assets.extra", "model.onnx"]
    card = card_of(onnx_version)
    assert card["format"] == "onnx"
    assert card["signatures"] == ["serving_default"]
    digest = hashlib.sha256((onnx_version / "model.onnx").read_bytes()).hexdigest()
    assert card["files"]["model.onnx"]["sha256"] == digest
    assert card["onnx"]["rows"] > 400  # the caller's and the made ones
    assert card["onnx"]["warmup_records"] == 7
    assert card["onnx"]["largest_difference"] <= 1e-6


def test_inputs_and_outputs_are_the_saved_models(onnx_version, wide, wide_model, tmp_path):
    saved = export_model(wide_model, wide.SCHEMA, tmp_path / "cvr")
    with Scorer(saved) as one, OnnxScorer(onnx_version) as other:
        types = {name: kind.name for name, kind in one.inputs().items()}
        assert {name: kind.name for name, kind in other.inputs().items()} == types
        assert other.outputs() == one.outputs() == ("ctcvr", "ctr", "cvr")
        assert other.inputs()["tags"].shape == (-1, 3)


@pytest.mark.parametrize("rows", [1, 3, 700])
def test_any_number_of_rows_scores_like_python(onnx_version, wide, wide_model, rows):
    frame = wide.make_frame(rows, seed=7)
    made = edge_rows(wide.SCHEMA, wide_model.features.fields, rows, seed=rows)
    arrays = concatenate([request_arrays(wide.SCHEMA, frame), made])
    expected = python_scores(wide_model, wide.SCHEMA, arrays)
    with OnnxScorer(onnx_version) as scorer:
        close(scorer.score(arrays), expected)
    assert rows < 3 or np.ptp(expected["cvr"]) > 0.05


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("device", 2**53, 2**53 + 1),  # neighbours that float64 takes for one
        ("device", 2**53 + 1, 2**63 - 1),
        ("shift", -3, -4),
        ("at", 2**53 - 1, 2**53),
        ("shop", -5, 5),
        ("brand", 8, 9),  # unknown, in two of three buckets
        ("segment", b"a", b"b"),
        ("segment", b"a", b"A"),
    ],
)
def test_ids_that_differ_are_told_apart(onnx_version, wide, name, one, other):
    arrays = request_arrays(wide.SCHEMA, wide.make_frame(2, seed=1))
    row = {key: np.repeat(values[:1], 2, axis=0) for key, values in arrays.items()}
    row[name] = np.array([one, other], row[name].dtype)
    with OnnxScorer(onnx_version) as scorer:
        scores = scorer.run(row)["cvr"]
    assert abs(scores[0] - scores[1]) > 1e-4


@pytest.mark.parametrize(
    ("name", "unknown"),
    [("user", [40, -7, 2**40, -(2**63), 2**63 - 1]), ("device", [0, 7, -2, 2**53 + 6, -(2**53)]),
     ("segment", [b"never", b"A", b"\xff", "Ü C".encode(), b"a "])],
)  # fmt: skip
def test_unknown_ids_share_their_row_and_it_is_not_the_last_one(
    onnx_version, wide, wide_model, name, unknown
):
    field = next(f for f in wide_model.features.fields if f.name == name)
    last = field.values[-1]
    ids = [*unknown, last.encode() if isinstance(last, str) else last]
    arrays = request_arrays(wide.SCHEMA, wide.make_frame(1, seed=1))
    row = {key: np.repeat(values, len(ids), axis=0) for key, values in arrays.items()}
    row[name] = np.array(ids, row[name].dtype)
    with OnnxScorer(onnx_version) as scorer:
        scores = scorer.run(row)["cvr"]
    assert np.ptp(scores[:-1]) == 0
    assert abs(scores[-1] - scores[0]) > 1e-4


@pytest.mark.parametrize("kind", [PlattCalibrator, IsotonicCalibrator])
def test_calibrator_adds_its_output(kind, wide, wide_model, tmp_path):
    calibrator = kind("clicked")
    if kind is PlattCalibrator:
        calibrator.slope, calibrator.intercept, calibrator.fitted = 1.5, -0.4, True
    else:
        rng = np.random.default_rng(0)
        scores = rng.random(300)
        calibrator.fit(scores, (rng.random(300) < scores).astype(float))
    arrays = request_arrays(wide.SCHEMA, wide.make_frame(50))
    found = converted(wide_model, wide.SCHEMA, arrays, tmp_path, calibrator.to_layer())
    assert sorted(found) == ["ctcvr", "ctr", "cvr", "cvr_calibrated"]
    truth = calibrator.transform(found["cvr"])
    np.testing.assert_allclose(found["cvr_calibrated"], truth, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("encoder", ["mean", "din", "target_attention", "transformer"])
def test_sequences_are_encoded_by_every_encoder(encoder, wide, past, tmp_path):
    schema = past.SCHEMA
    model = wide.make_model(schema, past.make_frame(), encoder=encoder)
    arrays = request_arrays(schema, past.make_frame())
    close(converted(model, schema, arrays, tmp_path), python_scores(model, schema, arrays))
    # a batch in which nobody has a history
    nobody = {name: values[:4].copy() for name, values in arrays.items()}
    for name in ("clicks__video", "clicks__gap"):
        nobody[name][:] = -1
    nobody["clicks__tag"][:] = b""
    with OnnxScorer(tmp_path) as scorer:
        close(scorer.run(nobody), python_scores(model, schema, nobody))


def test_history_without_a_snapshot_has_two_names_for_one_graph(wide, past, tmp_path):
    schema = past.SCHEMA
    model = wide.make_model(schema, past.make_frame())
    path = export_model(model, schema, tmp_path / "cvr", replay=past.make_frame(), format="onnx")
    assert card_of(path)["signatures"] == ["serving_default", "serving_with_history"]
    assert card_of(path)["onnx"]["warmup_records"] == 9
    assert not (path / "with_history.onnx").exists()


def test_snapshot_is_looked_up_by_ids_and_texts_and_pairs(wide, past, tmp_path, monkeypatch):
    schema = past.SCHEMA
    model = wide.make_model(schema, past.make_frame())
    snapshot = take_snapshot(schema, past.events(), past.PRIORS)
    monkeypatch.setattr(onnx_version, "INSIDE", 100)  # tables lie in a file, once for two graphs
    path = export_model(model, schema, tmp_path / "cvr", snapshot=snapshot, format="onnx")
    assert sorted(p.name for p in path.iterdir()) == [
        "assets.extra", "model.onnx", "model.onnx.data", "with_history.onnx",
    ]  # fmt: skip
    frame = past.make_frame()
    from idefn_tf.export.replay import looked_up_arrays

    arrays = request_arrays(schema, frame)
    arrays["user"][:2] = [past.LARGE + 8, 0]  # neighbours of known ids, and unknown
    arrays["city"][2] = b"nowhere"
    expected = python_scores(model, schema, looked_up_arrays(schema, snapshot, arrays))
    with OnnxScorer(path) as scorer:
        assert sorted(scorer.inputs()) == ["city", "tag", "user", "video"]
        close(scorer.score(arrays), expected)
        own = scorer.score(arrays, signature="serving_with_history")
        close(own, python_scores(model, schema, arrays))
    tables = sum(int(np.prod(v.shape)) * 4 for v in model.features.tables.values())
    data = (path / "model.onnx.data").stat().st_size
    assert tables <= data < 2 * tables + 65_536


def test_a_changed_table_file_is_refused(wide, wide_model, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_version, "INSIDE", 100)
    path = export_model(wide_model, wide.SCHEMA, tmp_path / "cvr", format="onnx")
    data = bytearray((path / "model.onnx.data").read_bytes())
    data[-1] ^= 1
    (path / "model.onnx.data").write_bytes(data)
    with pytest.raises(ValueError, match=r"model\.onnx\.data: must have SHA-256"):
        OnnxScorer(path)


SMALL = Schema.parse(
    {
        "name": "small",
        "labels": {"click": "click", "conversion": "conversion"},
        "embedding_width": 4,
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "identity",
             "num_buckets": 40},
            {"name": "price", "dtype": "float32", "side": "item", "kind": "numeric",
             "log1p": True, "missing": 5.0},
        ],
    }
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(METHODS))
def test_method_is_converted(name, tiny, tmp_path):
    features = FeatureColumns.from_schema(SMALL, {}, embedding_stddev=0.5)
    model = get_method(name)(features)
    arrays = request_arrays(SMALL, tiny.make_frame(64)[["user", "price"]])
    close(converted(model, SMALL, arrays, tmp_path), python_scores(model, SMALL, arrays))


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_backbone_is_converted(name, wide, wide_model, tmp_path):
    layer = wide_model.features
    features = FeatureColumns.from_config(layer.get_config())
    model = get_method("esmm")(features, BACKBONES[name](), negative_keep_rate=0.5)
    arrays = request_arrays(wide.SCHEMA, wide.make_frame(64))
    expected = python_scores(model, wide.SCHEMA, arrays)
    close(converted(model, wide.SCHEMA, arrays, tmp_path), expected)


@pytest.mark.parametrize("shards", [1, 3])
def test_sharded_tables_are_converted(shards, wide, tmp_path):
    model = wide.make_model(shards=shards)
    made = edge_rows(wide.SCHEMA, model.features.fields, 100)
    expected = python_scores(model, wide.SCHEMA, made)
    close(converted(model, wide.SCHEMA, made, tmp_path), expected)


def test_rare_scores_keep_their_relative_size_and_order(wide, wide_model, tmp_path):
    """Logits around -17, where ONNX Runtime's Sigmoid is wrong by tens of per cent."""
    model = type(wide_model).from_config(wide_model.get_config())
    model.build()
    model.set_weights(wide_model.get_weights())
    for task, bias in (("cvr", -17.0), ("ctr", -14.0)):
        model.towers[task].logit.bias.assign([bias])
    arrays = request_arrays(wide.SCHEMA, wide.make_frame(300, seed=3))
    expected = python_scores(model, wide.SCHEMA, arrays)
    assert expected["cvr"].max() < 1e-6  # so that 1e-6 would pass zeros
    found = converted(model, wide.SCHEMA, arrays, tmp_path)
    for name in ("ctr", "cvr"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
        right = expected[name].astype(np.float64)
        order = np.argsort(right)
        apart = np.diff(right[order]) > 1e-5 * right[order][1:]
        assert (np.diff(found[name][order].astype(np.float64))[apart] > 0).all()


def test_an_operator_without_counterpart_is_named(wide, wide_model, tmp_path):
    with pytest.raises(ValueError, match="BesselI0e"):
        onnx_graph.build(wide_model, wide.SCHEMA, tf.math.bessel_i0e)


def test_tracing_leaves_the_model_as_it_was(wide, wide_model):
    before = dict(wide_model.features.tables)
    held = [encoder._table for encoder in wide_model.features.encoders]
    onnx_graph.build(wide_model, wide.SCHEMA)
    assert all(wide_model.features.tables[name] is table for name, table in before.items())
    assert [encoder._table for encoder in wide_model.features.encoders] == held
