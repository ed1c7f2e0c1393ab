"""Scores of a model whose log kept a share of the unclicked rows stand for the full log."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.evaluation.row_weights import row_weights
from idefn_tf.metrics import exact_metrics
from idefn_tf.optimizers import RowSparseAdam
from idefn_tf.schema import Schema

W = 0.25


@pytest.fixture(scope="module")
def models(make_model, tiny_dataset):
    """The same weights without and with a keep rate."""
    plain, corrected = make_model("esmm"), make_model("esmm", negative_keep_rate=W)
    for model in (plain, corrected):
        model.compile(RowSparseAdam(0.02), jit_compile=False)
        model.build()
        model.optimizer.build(model.trainable_variables)
    plain.fit(tiny_dataset, epochs=2, verbose=0)
    corrected.set_weights(plain.get_weights())
    return plain, corrected


def test_ctr_odds_shrink_by_the_rate_and_cvr_stays(models, tiny_dataset):
    before, after = (model.predict(tiny_dataset, verbose=0) for model in models)
    odds = before["ctr"] / (1 - before["ctr"])
    np.testing.assert_allclose(after["ctr"] / (1 - after["ctr"]), W * odds, rtol=1e-4)
    np.testing.assert_array_equal(after["cvr"], before["cvr"])
    np.testing.assert_allclose(after["ctcvr"], after["ctr"] * before["cvr"], rtol=1e-5)


def test_training_metrics_are_of_the_rows_that_were_kept(models, tiny_dataset):
    plain, corrected = (m.evaluate(tiny_dataset, verbose=0, return_dict=True) for m in models)
    assert plain == corrected


def test_weighted_rows_and_corrected_scores_agree():
    """1,000 exposures of which 100 are clicked; a quarter of the unclicked rows was kept."""
    click = np.repeat([1.0, 0.0], [100, 225]).astype(np.float32)
    arrays = {"click": click, "sample_weight": np.ones(325, np.float32)}
    schema = Schema.model_validate(
        {
            "name": "kept",
            "labels": {"click": "c", "conversion": "b", "negative_keep_rate": W},
            "features": [{"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"}],
        }
    )
    weights = row_weights(schema, arrays)
    assert weights.sum() == 1000
    seen = 100 / 325  # what a model of the kept rows predicts
    full = seen / (seen + (1 - seen) / W)
    assert full == pytest.approx(0.1)
    assert exact_metrics.pcoc(click, np.full(325, full), weights) == pytest.approx(1.0)


def test_rate_is_saved_and_checked(models, make_model, tmp_path):
    _, corrected = models
    corrected.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").negative_keep_rate == W
    for wrong in (0.0, 1.5, -1.0):
        with pytest.raises(ValueError, match="negative_keep_rate: must be a finite number above 0"):
            make_model("esmm", negative_keep_rate=wrong)


def test_the_graph_that_serving_exports_is_corrected(models, tiny_rows):
    plain, corrected = models
    raw = {k: tf.constant(tiny_rows[k]) for k in ("user", "item", "price")}
    assert float(tf.reduce_max(corrected(raw)["ctr"] / plain(raw)["ctr"])) < 1
