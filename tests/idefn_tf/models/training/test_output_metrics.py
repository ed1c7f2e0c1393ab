"""Metrics that compile is given, by output, against scikit-learn's or NumPy's numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.metrics import BinaryMetrics, exact_metrics
from idefn_tf.models import Batch
from idefn_tf.models.training.output_metrics import OutputMetrics


def mean_score(y_true, y_pred):
    return y_pred[:, 0]


@pytest.fixture(scope="module")
def evaluated(make_model, tiny_rows):
    """A model compiled with metrics of every form, its results, its scores, and the weights."""
    model = make_model("esmm")
    model.compile(
        "adam",
        jit_compile=False,
        metrics={
            "ctr": ["accuracy", keras.metrics.AUC(2000, name="area")],
            "cvr": mean_score,
            "ctcvr": BinaryMetrics("own", metrics=("auc", "pcoc")),
        },
        weighted_metrics={"ctr": "accuracy", "ctcvr": ["crossentropy"]},
    )
    features = {k: tiny_rows[k] for k in ("user", "item", "price")}
    labels = {k: tiny_rows[k] for k in ("click", "conversion")}
    weight = np.arange(96, dtype=np.float32) % 3
    model.fit(features, labels, sample_weight=weight, epochs=3, verbose=0)
    told = {"sample_weight": weight, "batch_size": 40, "verbose": 0}
    results = model.evaluate(features, labels, return_dict=True, **told)
    listed = model.evaluate(features, labels, **told)
    scores = {k: v.astype(float) for k, v in model.predict(features, verbose=0).items()}
    return model, results, listed, scores, weight


def test_they_are_the_numbers_of_the_scores(evaluated, tiny_rows):
    _, results, _, scores, weight = evaluated
    there = weight > 0
    click, both = (tiny_rows[k].astype(float) for k in ("click", "conversion"))
    right = (scores["ctr"] > 0.5) == (click == 1)
    expected = {
        "ctr_accuracy": right[there].mean(),
        "ctr_area": exact_metrics.auc(click[there], scores["ctr"][there]),
        "cvr_mean_score": scores["cvr"][there].mean(),
        "ctcvr_own_auc": exact_metrics.auc(both[there], scores["ctcvr"][there]),
        "ctcvr_own_pcoc": scores["ctcvr"][there].sum() / both[there].sum(),
        "weighted_ctr_accuracy": np.average(right, weights=weight),
        "ctcvr_crossentropy": exact_metrics.log_loss(both, scores["ctcvr"], weight),
    }
    found = {name: results[name] for name in expected}
    assert found == pytest.approx(expected, rel=4e-3)


def test_the_list_fits_the_names_and_begins_with_the_loss(evaluated):
    model, results, listed, _, _ = evaluated
    assert model.metrics_names[0] == "loss"
    assert listed == [results[name] for name in model.metrics_names]
    assert set(model.metrics_names) == set(results)


def test_batches_report_in_the_same_order(evaluated, tiny_rows):
    model, *_ = evaluated
    features = {k: tiny_rows[k] for k in ("user", "item", "price")}
    labels = {k: tiny_rows[k] for k in ("click", "conversion")}
    listed = model.test_on_batch(features, labels)
    named = model.test_on_batch(features, labels, return_dict=True)
    assert [float(v) for v in listed] == [float(named[n]) for n in model.metrics_names]
    listed = model.train_on_batch(features, labels)
    assert float(listed[0]) == pytest.approx(float(named["loss"]), rel=1e-4)
    assert len(listed) == len(model.metrics_names)


def test_the_saved_config_compiles_the_same(evaluated, make_model, tiny_dataset):
    model, *_ = evaluated
    config = model.get_compile_config()
    config["metrics"].pop("cvr")  # a function that is registered nowhere, as with Keras
    again = make_model("esmm")
    again.build()
    again.compile_from_config(config)
    names = [n for n in model.metrics_names if n != "cvr_mean_score"]
    assert again.metrics_names == names
    assert list(again.evaluate(tiny_dataset, verbose=0, return_dict=True)) != []


def test_rows_of_weight_zero_are_no_rows_and_a_new_epoch_begins_anew():
    metrics = OutputMetrics({"ctr": "accuracy"}, {"cvr": keras.metrics.MeanSquaredError("mse")})
    made = Batch(*(tf.constant(v) for v in ([1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 3.0, 0.0])))
    scores = {"ctr": tf.constant([0.9, 0.8, 0.1]), "cvr": tf.constant([0.5, 0.1, float("nan")])}
    metrics.update_state(scores, made)
    found = {k: float(v) for k, v in metrics.result().items()}
    assert found["ctr_accuracy"] == 0.5
    metrics.reset_state()
    assert float(metrics.result()["ctr_accuracy"]) == 0.0
    assert len(metrics.variables) == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["auc"], r"must give metrics by output, \['ctr', 'cvr', 'ctcvr'\], received \['auc'\]"),
        ({"click": "auc"}, r"must give metrics by output, .* received \['click'\]"),
        ({"ctr": "area_under"}, "must be metrics of Keras, .* received 'area_under'"),
        ({"ctr": 3}, "must be metrics of Keras, .* received 3"),
    ],
)
def test_other_forms_are_refused(make_model, given, said):
    for argument in ("metrics", "weighted_metrics"):
        with pytest.raises(ValueError, match=f"{argument}: {said}"):
            make_model("esmm").compile("adam", **{argument: given})


def test_one_object_for_two_outputs_is_refused():
    shared = keras.metrics.AUC(name="area")
    with pytest.raises(ValueError, match="an object for every output, received 'area' twice"):
        OutputMetrics({"ctr": shared, "cvr": shared})
