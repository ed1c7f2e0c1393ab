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
from idefn_tf.export.onnx import onnx_graph, onnx_replay, onnx_version
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


def test_replay_finds_a_rare_score_that_is_wrong(onnx_version, wide, wide_model, tmp_path):
    saved = export_model(wide_model, wide.SCHEMA, tmp_path / "cvr")
    arrays = request_arrays(wide.SCHEMA, wide.make_frame(5))

    class Rare:  # what the graph would give a thousand times as rare
        def __init__(self, scorer, factor):
            self._scorer, self._factor = scorer, np.float32(factor)
            self.signatures, self.path, self.inputs = ("serving_default",), saved, scorer.inputs

        def score(self, rows, signature):
            scores = self._scorer.score(rows, signature=signature)
            return {name: values * self._factor for name, values in scores.items()}

    with Scorer(saved) as reference, OnnxScorer(onnx_version) as scorer:
        near, half = Rare(reference, 1e-7), Rare(scorer, 0.9e-7)
        assert onnx_replay.check(Rare(scorer, 1e-7), near, arrays)["rows"] == 5
        with pytest.raises(ValueError, match="relative difference must be at most"):
            onnx_replay.check(half, near, arrays)
        with pytest.raises(ValueError, match="the difference must be at most 1e-06"):
            onnx_replay.check(Rare(scorer, 0.5), reference, arrays)


class Line:
    """Scores that hang on a price's last digits, 0.5 + 1e-6 (price - 1e6), and something added."""

    signatures = ("serving_default",)

    def __init__(self, path, added):
        self.path, self._added = path, added

    def inputs(self, signature):
        return {"item": None, "price": None}

    def score(self, rows, signature):
        cvr = 0.5 + 1e-6 * (rows["price"].astype(np.float64) - 1e6)
        cvr = np.where(rows["item"] == 7, 0.25, cvr)
        return {"cvr": (cvr + self._added).astype(np.float32)}


def test_a_difference_is_excused_where_the_last_digits_of_a_number_make_as_much(tmp_path):
    large = {"item": np.array([1, 1]), "price": np.array([1e6, 1e6 + 1], np.float32)}
    small = {"item": np.array([1, 7]), "price": np.array([1e6, 1e6], np.float32)}
    one, other = Line(tmp_path, 3e-6), Line(tmp_path, 0)
    checked = onnx_replay.check(one, other, large, numbers=["price"])
    assert checked["rows_beyond_float32"] == 3  # two, and the first one again as a row alone
    assert checked["largest_difference"] == 0
    with pytest.raises(ValueError, match="for replayed row 0"):
        onnx_replay.check(one, other, large)  # no number, no excuse
    with pytest.raises(ValueError, match=r"for replayed row 1, where the SavedModel gives 0\.25"):
        onnx_replay.check(one, other, small, numbers=["price"])
    with pytest.raises(ValueError, match="must be at most 1e-06"):
        onnx_replay.check(Line(tmp_path, 2e-5), other, large, numbers=["price"])


def test_large_integers_are_moved_and_none_leaves_int64():
    values = np.array([5, 10**6, 2**63 - 1, -(2**63)] * 50)
    moved = np.concatenate(
        [onnx_replay._moved(values, np.random.default_rng(seed)) for seed in range(3)]
    )
    by_value = moved.reshape(-1, 4)
    assert set(by_value[:, 0]) == {5}
    assert set(by_value[:, 1]) == {10**6, 10**6 - 1}
    assert set(by_value[:, 2]) == {2**63 - 1, 2**63 - 2}
    assert set(by_value[:, 3]) == {-(2**63), -(2**63) + 1}


def test_a_difference_publishes_nothing(wide, wide_model, tmp_path, monkeypatch):
    from idefn_tf.export.onnx import operators

    monkeypatch.setattr(operators, "FEW", 0)
    monkeypatch.setattr(onnx_replay, "RELATIVE", 0.0)
    with pytest.raises(ValueError, match="Nothing was published"):
        export_model(wide_model, wide.SCHEMA, tmp_path / "cvr", format="onnx")
    assert list((tmp_path / "cvr").iterdir()) == []


def test_an_operator_without_counterpart_is_named(wide, wide_model, tmp_path):
    with pytest.raises(ValueError, match="BesselI0e"):
        onnx_graph.build(wide_model, wide.SCHEMA, tf.math.bessel_i0e)


def test_tracing_leaves_the_model_as_it_was(wide, wide_model):
    before = dict(wide_model.features.tables)
    held = [encoder._table for encoder in wide_model.features.encoders]
    onnx_graph.build(wide_model, wide.SCHEMA)
    assert all(wide_model.features.tables[name] is table for name, table in before.items())
    assert [encoder._table for encoder in wide_model.features.encoders] == held
