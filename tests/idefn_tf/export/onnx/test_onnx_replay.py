"""The replay finds differences, absolute and relative, and excuses what float32 cannot hold."""

import numpy as np
import pytest

pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (requirements/onnx-export.in)")

from idefn_tf.export import Scorer, export_model
from idefn_tf.export.onnx import onnx_replay
from idefn_tf.export.onnx.onnx_scorer import OnnxScorer
from idefn_tf.export.replay import request_arrays

pytestmark = [pytest.mark.onnx, pytest.mark.job]


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
