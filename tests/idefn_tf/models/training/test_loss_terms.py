"""Loss terms by name, their weights, and what regularizers and add_loss put beside them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.models import ESMM
from idefn_tf.models.training.loss_terms import check_terms, check_weights


@keras.saving.register_keras_serializable("tests")
class Adds(keras.layers.Layer):
    """Passes on what it is given, and adds twice its mean square to the loss."""

    def call(self, x):
        self.add_loss(2.0 * tf.reduce_mean(tf.square(x)))
        return x


def penalized(tiny_features, *layers):
    keras.utils.set_random_seed(2)
    model = ESMM(tiny_features(), keras.Sequential(list(layers)))
    model.compile(keras.optimizers.SGD(0.5), jit_compile=False, run_eagerly=True)
    model.build()
    return model


def dense(penalty=None):
    return keras.layers.Dense(3, kernel_regularizer=penalty and keras.regularizers.L2(penalty))


def kernels(model):
    return [np.array(model.towers[task].layer.layers[0].kernel, float) for task in model.tasks]


def test_regularizers_are_trained_and_shown_once_whatever_the_weights(tiny_features, tiny_rows):
    features = {k: tiny_rows[k] for k in ("user", "item", "price")}
    labels = {k: tiny_rows[k] for k in ("click", "conversion")}
    weight = np.full(96, 3.0, np.float32)
    moved, found = [], []
    for penalty in (None, 0.1):
        model = penalized(tiny_features, dense(penalty))
        before = kernels(model)
        logs = model.train_on_batch(features, labels, sample_weight=weight, return_dict=True)
        found.append(logs)
        moved.append(kernels(model))
    # d(.1 |W|^2) = .2 W, times the learning rate .5
    for plain, held, start in zip(*moved, before, strict=True):
        np.testing.assert_allclose(held, plain - 0.1 * start, atol=1e-6)
    expected = 0.1 * sum(np.sum(np.square(kernel)) for kernel in before)
    assert "regularization" not in found[0]
    assert found[1]["regularization"] == pytest.approx(expected, rel=1e-6)
    assert found[1]["loss"] == pytest.approx(found[0]["loss"] + expected, rel=1e-6)


@pytest.mark.job
def test_add_loss_counts_in_training_and_evaluation_and_starts_anew(tiny_features, tiny_rows):
    features = {k: tiny_rows[k] for k in ("user", "item", "price")}
    labels = {k: tiny_rows[k] for k in ("click", "conversion")}
    model = penalized(tiny_features, dense(), Adds())
    slopes = []
    for given in (penalized(tiny_features, dense()), model):
        before = kernels(given)
        z = np.array(given.features(features), float)
        bias = [np.array(given.towers[t].layer.layers[0].bias, float) for t in given.tasks]
        given.train_on_batch(features, labels)
        slopes.append([(b - a) / 0.5 for b, a in zip(before, kernels(given), strict=True)])
    # 2 mean((z W + b)^2): its gradient in W is 4 z' (z W + b) / size
    for plain, own, kernel, at in zip(*slopes, before, bias, strict=True):
        hidden = z @ kernel + at
        np.testing.assert_allclose(own - plain, 4 * z.T @ hidden / hidden.size, atol=1e-5)
    data = tf.data.Dataset.from_tensors((features, labels))
    for _ in range(2):  # and does not pile up
        found = model.evaluate(data, verbose=0, return_dict=True)
        hidden = [np.array(model.towers[t](model.features(features))[1]) for t in model.tasks]
        expected = sum(2 * np.mean(np.square(h, dtype=np.float64)) for h in hidden)
        assert found["regularization"] == pytest.approx(expected, rel=1e-5)
    terms = found["ctr_loss"] + found["ctcvr_loss"] + found["regularization"]
    assert found["loss"] == pytest.approx(terms, rel=1e-6)


@pytest.mark.job
def test_a_program_says_what_eager_steps_say(tiny_features, tiny_dataset):
    histories = []
    for eager, steps in ((True, 1), (False, 1), (False, 2)):
        keras.utils.set_random_seed(2)
        model = ESMM(tiny_features(), keras.Sequential([dense(0.1), Adds()]))
        model.compile("sgd", jit_compile=False, run_eagerly=eager, steps_per_execution=steps)
        histories.append(model.fit(tiny_dataset, epochs=2, verbose=0).history)
    for other in histories[1:]:
        for name in ("loss", "regularization", "ctr_loss"):
            np.testing.assert_allclose(other[name], histories[0][name], rtol=1e-5, err_msg=name)


@pytest.mark.job
def test_what_a_method_adds_itself_while_it_computes_its_losses(tiny_features, tiny_dataset):
    class Shrunk(ESMM):
        def compute_losses(self, outputs, batch):
            self.add_loss(0.5 * tf.reduce_mean(tf.square(outputs.logits["cvr"])))
            return super().compute_losses(outputs, batch)

    model = Shrunk(tiny_features(), keras.layers.Dense(3))
    model.compile("sgd", jit_compile=False)
    history = model.fit(tiny_dataset, epochs=2, verbose=0).history
    found = model.evaluate(tiny_dataset, verbose=0, return_dict=True)
    cvr = model.predict(tiny_dataset, verbose=0)["cvr"].astype(float)
    expected = 0.5 * np.mean(np.square(np.log(cvr / (1 - cvr))))
    assert found["regularization"] == pytest.approx(expected, rel=1e-4)
    assert 0 < history["regularization"][1] < history["loss"][1]


def test_loss_weights_multiply_terms_in_the_sum_and_in_the_step(make_model, tiny_dataset):
    model = make_model("esmm")
    model.compile("sgd", jit_compile=False, loss_weights={"ctr_loss": 0.25, "ctcvr_loss": 0.0})
    model.build()
    untrained = np.array(model.towers["cvr"].weights[0])
    history = model.fit(tiny_dataset, verbose=0).history
    found = model.evaluate(tiny_dataset, verbose=0, return_dict=True)
    assert history["loss"][0] == pytest.approx(0.25 * history["ctr_loss"][0], rel=1e-6)
    assert found["loss"] == pytest.approx(0.25 * found["ctr_loss"], rel=1e-6)
    assert found["ctcvr_loss"] > 0
    np.testing.assert_array_equal(model.towers["cvr"].weights[0], untrained)
    again = make_model("esmm")
    again.build()
    again.compile_from_config(model.get_compile_config())
    assert again.evaluate(tiny_dataset, verbose=0)[0] == pytest.approx(
        0.25 * again.evaluate(tiny_dataset, verbose=0)[1], rel=1e-6
    )


def test_terms_without_a_name_are_refused_by_name(tiny_features, tiny_dataset):
    class Extra(ESMM):
        def compute_losses(self, outputs, batch):
            return {**super().compute_losses(outputs, batch), "extra": tf.constant(1.0)}

    model = Extra(tiny_features(), keras.layers.Dense(3))
    model.compile("sgd", jit_compile=False, run_eagerly=True)
    said = r"compute_losses: Extra must .*\['ctr_loss', 'ctcvr_loss'\], received 'extra', which"
    with pytest.raises(ValueError, match=said):
        model.fit(tiny_dataset, verbose=0)
    with pytest.raises(ValueError, match=said):
        model.evaluate(tiny_dataset, verbose=0)
    with pytest.raises(ValueError, match=r"M must .*received no 'b';"):
        check_terms("M", {"a": 0.0}, ("a", "b"))
    with pytest.raises(ValueError, match="the name 'regularization', which is"):
        check_terms("M", {"regularization": 0.0}, ("regularization",))
    check_terms("M", {"a": 0.0}, ("a",))


@pytest.mark.parametrize(
    ("given", "received"),
    [({"ctr": 1.0}, r"\['ctr'\]"), ([1.0, 2.0], r"\[1.0, 2.0\]"), ({"a": -1.0}, "-1.0")],
)
def test_loss_weights_of_another_form_are_refused(given, received):
    with pytest.raises(ValueError, match=rf"loss_weights.*: must .*received {received}"):
        check_weights("M", given, ("a", "b"))
