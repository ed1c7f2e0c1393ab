"""The base of every method: means and divisors, training through fit, metrics, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP
from idefn_tf.metrics import BinaryMetrics, exact_metrics
from idefn_tf.models import ESMM, Batch, EntireSpaceModel
from idefn_tf.models.training.metrics import StepMeans, TrainingMetrics
from idefn_tf.optimizers import RowSparseAdam


@pytest.fixture(scope="module")
def trained(make_model, tiny_dataset):
    """An ESMM after three epochs, with its history."""
    model = make_model("esmm")
    model.compile(RowSparseAdam(0.02), jit_compile=False)
    return model, model.fit(tiny_dataset, epochs=3, verbose=0).history


def labels_of(rows):
    return rows["click"].astype(np.float64), rows["conversion"].astype(np.float64)


# -- means over spaces ----------------------------------------------------------------------------


def batch(click, weight):
    return Batch(tf.constant(click), tf.zeros(len(click)), tf.constant(weight))


def test_means_say_their_divisor():
    made = batch([1.0, 0.0, 1.0, 0.0], [1.0, 2.0, 3.0, 4.0])
    values = tf.constant([10.0, 20.0, 30.0, 40.0])
    assert float(made.mean_exposures(values)) == pytest.approx((10 + 40 + 90 + 160) / 10)
    assert float(made.mean_exposures(values, made.click)) == pytest.approx(100 / 10)
    assert float(made.mean_within(values, made.click)) == pytest.approx(100 / 4)
    assert float(made.mean_within(values, made.unclicked)) == pytest.approx(200 / 6)


def test_means_over_nothing_are_zero_and_weight_zero_hides_anything():
    none = batch([0.0, 0.0], [1.0, 1.0])
    assert float(none.mean_within(tf.constant([3.0, 4.0]), none.click)) == 0
    weightless = batch([1.0, 1.0], [0.0, 0.0])
    assert float(weightless.mean_exposures(tf.constant([3.0, 4.0]))) == 0
    half = batch([1.0, 1.0], [0.0, 2.0])
    assert float(half.mean_exposures(tf.constant([float("nan"), 5.0]))) == 5


# -- fit, evaluate, predict -----------------------------------------------------------------------


def test_evaluate_equals_exact_metrics_of_predict(trained, tiny_dataset, tiny_rows):
    model, _ = trained
    scores = model.predict(tiny_dataset, verbose=0)
    results = model.evaluate(tiny_dataset, verbose=0, return_dict=True)
    click, conversion = labels_of(tiny_rows)
    clicked = click == 1
    spaces = {
        "all_funnel/cvr": (conversion, scores["cvr"]),
        "clicked/cvr": (conversion[clicked], scores["cvr"][clicked]),
        "all_funnel/ctr": (click, scores["ctr"]),
        "all_funnel/ctcvr": (conversion, scores["ctcvr"]),
    }
    for key, (label, score) in spaces.items():
        score = score.astype(np.float64)
        # a bin is .8 % of the odds: neighbours in one bin count as tied
        assert results[f"{key}_auc"] == pytest.approx(exact_metrics.auc(label, score), abs=2e-3)
        expected = exact_metrics.log_loss(label, score)
        assert results[f"{key}_logloss"] == pytest.approx(expected, rel=1e-6)
        if key.endswith("/cvr"):
            assert results[f"{key}_ks"] == pytest.approx(exact_metrics.ks(label, score), abs=0.06)
            assert results[f"{key}_pcoc"] == pytest.approx(
                exact_metrics.pcoc(label, score), rel=1e-6
            )
    assert results["mean_cvr_clicked"] == pytest.approx(scores["cvr"][clicked].mean(), rel=1e-6)
    assert results["mean_cvr_unclicked"] == pytest.approx(scores["cvr"][~clicked].mean(), rel=1e-6)


def test_losses_in_the_logs_are_the_methods(trained, tiny_dataset, tiny_rows):
    model, history = trained
    assert history["loss"][-1] < history["loss"][0]
    for i in range(3):
        terms = history["ctr_loss"][i] + history["ctcvr_loss"][i]
        assert history["loss"][i] == pytest.approx(terms, rel=1e-6)
    results = model.evaluate(tiny_dataset, verbose=0, return_dict=True)
    scores = model.predict(tiny_dataset, verbose=0)
    click, conversion = labels_of(tiny_rows)
    expected = exact_metrics.log_loss(click, scores["ctr"].astype(np.float64))
    expected += exact_metrics.log_loss(conversion, scores["ctcvr"].astype(np.float64))
    assert results["loss"] == pytest.approx(expected, rel=1e-5)
    assert set(results) < set(history) | {"loss"} or set(results) == set(history)


def test_outputs_by_name_and_their_product(trained, tiny_rows):
    model, _ = trained
    raw = {k: tf.constant(tiny_rows[k]) for k in ("user", "item", "price")}
    scores = model(raw)
    assert {k: (v.dtype, v.shape) for k, v in scores.items()} == dict.fromkeys(
        ("ctr", "cvr", "ctcvr"), (tf.float32, (96,))
    )
    np.testing.assert_allclose(scores["ctcvr"], scores["ctr"] * scores["cvr"], rtol=1e-6)
    predicted = model.predict(tf.data.Dataset.from_tensors(raw), verbose=0)
    np.testing.assert_allclose(predicted["cvr"], scores["cvr"], rtol=1e-5)


@pytest.mark.job
def test_weights_count_as_repetitions(make_model, tiny_rows):
    """A row of weight 2 trains and counts as two rows; one of weight 0 as none."""
    names = ("user", "item", "price")
    outcomes = []
    for repeated in (False, True):
        keras.utils.set_random_seed(1)
        model = make_model("esmm", MLP((4,), batch_norm=False))
        model.compile(RowSparseAdam(0.02), jit_compile=False)
        at = np.concatenate([np.arange(40), np.arange(20)]) if repeated else np.arange(60)
        weight = np.ones(60) if repeated else np.repeat([2.0, 1.0, 0.0], 20)
        features = {k: tiny_rows[k][at] for k in names}
        labels = {k: tiny_rows[k][at] for k in ("click", "conversion")}
        dataset = tf.data.Dataset.from_tensors((features, labels, weight.astype(np.float32)))
        outcomes.append(model.fit(dataset, epochs=3, verbose=0).history)
    for name, values in outcomes[0].items():
        np.testing.assert_allclose(values, outcomes[1][name], rtol=2e-4, err_msg=name)


def encoded_by_hand(model, dataset):
    return dataset.map(lambda x, y, w: (model.features.encode(x), y, w))


@pytest.mark.job
def test_raw_and_encoded_data_sets_train_alike(make_model, tiny_dataset):
    losses = []
    for prepare in (lambda model, dataset: dataset, encoded_by_hand):
        keras.utils.set_random_seed(1)
        model = make_model("esmm")
        model.compile(RowSparseAdam(0.02), jit_compile=False)
        history = model.fit(prepare(model, tiny_dataset), epochs=2, verbose=0).history
        losses.append(history["loss"])
    assert losses[0] == losses[1]


@pytest.mark.job
def test_arrays_without_a_data_set(make_model, tiny_rows):
    model = make_model("esmm")
    model.compile(RowSparseAdam(0.02), jit_compile=False)
    features = {k: tiny_rows[k] for k in ("user", "item", "price")}
    labels = {k: tiny_rows[k] for k in ("click", "conversion")}
    history = model.fit(features, labels, batch_size=40, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert model.predict(features, verbose=0)["cvr"].shape == (96,)


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "sgd"])
def test_optimizers_by_name(make_model, tiny_dataset, optimizer):
    model = make_model("esmm")
    model.compile(optimizer, jit_compile=False, run_eagerly=True)
    model.build()
    before = [np.array(v) for v in model.trainable_variables]
    history = model.fit(tiny_dataset, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert all(
        np.any(np.array(v) != b) for v, b in zip(model.trainable_variables, before, strict=True)
    )


def test_the_default_optimizer_is_row_sparse(make_model):
    model = make_model("esmm")
    model.compile()
    assert isinstance(model.optimizer, RowSparseAdam)


@pytest.mark.job
def test_steps_per_execution_and_a_part_batch(make_model, tiny_rows):
    """Compiled steps run several at a time, over a last batch of another size, to the same end.

    What callbacks see after several steps is what they see after the last of them.
    """
    histories, seen = [], []
    for steps in (1, 3):
        keras.utils.set_random_seed(1)
        model = make_model("esmm")
        model.compile(RowSparseAdam(0.02), steps_per_execution=steps)
        features = {k: tiny_rows[k] for k in ("user", "item", "price")}
        labels = {k: tiny_rows[k] for k in ("click", "conversion")}
        dataset = tf.data.Dataset.from_tensor_slices((features, labels)).batch(40)
        logs: dict[int, dict[str, float]] = {}
        note = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, kept=logs: kept.__setitem__(batch, dict(logs))
        )
        histories.append(model.fit(dataset, epochs=2, verbose=0, callbacks=[note]).history)
        seen.append(logs)
    assert len(seen[1]) < len(seen[0])
    for batch, several in seen[1].items():
        single = seen[0][min(batch, max(seen[0]))]  # the last steps may be fewer than three
        assert set(several) == set(single)
        for name, value in several.items():
            np.testing.assert_allclose(value, single[name], rtol=1e-3, err_msg=name)
    assert set(histories[0]) == set(histories[1])
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-3, err_msg=name)


@pytest.mark.job
def test_validation_amid_training_changes_nothing(make_model, tiny_dataset):
    losses = []
    for validation in (None, tiny_dataset):
        keras.utils.set_random_seed(1)
        model = make_model("esmm")
        model.compile(RowSparseAdam(0.02), jit_compile=False)
        history = model.fit(tiny_dataset, epochs=3, validation_data=validation, verbose=0).history
        losses.append(history["loss"])
    assert losses[0] == losses[1]
    # what validation said last is what evaluation says afterwards
    results = model.evaluate(tiny_dataset, verbose=0, return_dict=True)
    assert results["all_funnel/cvr_auc"] == history["val_all_funnel/cvr_auc"][-1]
    assert results["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-6)


@pytest.mark.xla
@pytest.mark.parametrize("jit", [True, False, "auto"])
def test_compiling_is_kept_in_the_saved_config(make_model, jit):
    model = make_model("esmm")
    model.compile(RowSparseAdam(0.1), jit_compile=jit)
    config = model.get_compile_config()
    assert config["jit_compile"] is (jit is not False)
    again = make_model("esmm")
    again.build()
    again.compile_from_config(config)
    assert again.optimizer.get_config() == model.optimizer.get_config()


# -- metrics --------------------------------------------------------------------------------------


def test_training_metrics_equal_binary_metrics_and_merge_over_batches():
    rng = np.random.default_rng(0)
    fused = TrainingMetrics()
    click_metric, cvr_metric = BinaryMetrics("all_funnel/ctr"), BinaryMetrics("clicked/cvr")
    for _ in range(3):
        click = (rng.random(200) < 0.4).astype(np.float32)
        conversion = click * (rng.random(200) < 0.3)
        weight = rng.choice([0.0, 0.5, 2.0], 200).astype(np.float32)
        made = Batch(*(tf.constant(v, tf.float32) for v in (click, conversion, weight)))
        scores = {k: tf.constant(rng.random(200), tf.float32) for k in ("ctr", "cvr", "ctcvr")}
        fused.update_state(scores, made)
        click_metric.update_state(click, scores["ctr"], weight)
        cvr_metric.update_state(conversion, scores["cvr"], weight * click)
    results = {k: float(v) for k, v in fused.result().items()}
    for metric in (click_metric, cvr_metric):
        for name, value in metric.result().items():
            if name in results:
                assert results[name] == pytest.approx(float(value), rel=1e-6), name
    assert sum(name.startswith("clicked/cvr") for name in results) == 4
    fused.reset_state()
    assert np.isnan(float(fused.result()["all_funnel/ctr_auc"]))


def test_a_score_that_is_no_number_shows_in_its_metrics():
    made = Batch(*(tf.constant(v) for v in ([1.0, 0.0], [1.0, 0.0], [1.0, 1.0])))
    metrics = TrainingMetrics()
    metrics.update_state(
        {"ctr": tf.constant([0.5, 0.2]), "cvr": tf.constant([float("nan"), 0.2]),
         "ctcvr": tf.constant([0.1, 0.2])}, made,
    )  # fmt: skip
    results = {k: float(v) for k, v in metrics.result().items()}
    assert np.isnan(results["all_funnel/cvr_auc"])
    assert results["all_funnel/ctr_auc"] == 1.0


def test_step_means_by_hand():
    means = StepMeans(("loss", "part"))
    assert {k: float(v) for k, v in means.result().items()} == {"loss": 0.0, "part": 0.0}
    for loss, weight in ((1.0, 1.0), (4.0, 3.0)):
        losses = {"loss": tf.constant(loss), "part": tf.constant(loss / 2)}
        means.update_state(losses, tf.constant(weight))
    assert {k: float(v) for k, v in means.result().items()} == {"loss": 3.25, "part": 1.625}


# -- errors ---------------------------------------------------------------------------------------


def test_errors(make_model, tiny_rows):
    with pytest.raises(ValueError, match="features: must be a FeatureColumns layer"):
        ESMM(keras.layers.Dense(1))
    with pytest.raises(ValueError, match="backbone: must be one of"):
        make_model("esmm", "perceptron")
    model = make_model("esmm")
    with pytest.raises(ValueError, match="ESMM brings its own loss, received 'mse'"):
        model.compile(loss="mse")
    with pytest.raises(ValueError, match="ctcvr_weight: must be a finite number above 0, rec"):
        make_model("esmm", ctcvr_weight=0.0)
    model.compile(RowSparseAdam(), jit_compile=False)
    features = {k: tiny_rows[k] for k in ("user", "item", "price")}
    with pytest.raises(ValueError, match="must be a dict with 'click' and 'conversion'"):
        model.fit(features, {"click": tiny_rows["click"]}, verbose=0)
    with pytest.raises(ValueError, match="must be a dict with 'click' and 'conversion'"):
        model.fit(features, tiny_rows["click"], verbose=0)
    with pytest.raises(ValueError, match="'price' is missing from the batch"):
        model.predict({k: features[k] for k in ("user", "item")}, verbose=0)


def test_a_method_must_define_its_losses(tiny_features):
    class Nothing(EntireSpaceModel):
        loss_names = ("none",)

    model = Nothing(tiny_features(), MLP((4,)))
    with pytest.raises(NotImplementedError, match="Nothing must define compute_losses"):
        model.compute_losses(None, None)
