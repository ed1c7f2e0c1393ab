"""Label likelihoods in models that train: labels they need, heads, saved files, exports."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP
from idefn_tf.export import Scorer, export_model
from idefn_tf.export.replay import python_scores, request_arrays
from idefn_tf.features import FeatureColumns
from idefn_tf.losses import cross_entropy
from idefn_tf.models import AllNegative, EntireSpaceModel, feedback
from idefn_tf.models.feedback import DFMFeedback, ESDFMFeedback
from idefn_tf.optimizers import RowSparseAdam

TIMES = ("elapsed", "conversion_delay", "conversion_final")


@pytest.fixture(scope="module")
def delayed(tiny_rows):
    """96 exposures as (features, labels, weight), some windows of 7 days over and some open."""
    rng = np.random.default_rng(2)
    features = {k: tiny_rows[k] for k in ("user", "item", "price")}
    click, final = tiny_rows["click"], tiny_rows["conversion"]
    elapsed = click * rng.choice([0.5, 2.0, 9.0], 96)
    delay = final * rng.choice([0.005, 0.4, 3.0], 96)
    known = final * (delay <= elapsed)
    labels = {
        "click": click, "conversion": known, "conversion_final": final,
        "elapsed": elapsed, "conversion_delay": delay * known,
    }  # fmt: skip
    return features, {k: np.float32(v) for k, v in labels.items()}, np.ones(96, np.float32)


def dataset(delayed, without=(), **labels):
    features, known, weight = delayed
    kept = {k: v for k, v in {**known, **labels}.items() if k not in without}
    return tf.data.Dataset.from_tensor_slices((features, kept, weight)).batch(48)


def compiled(model, **options):
    model.compile(RowSparseAdam(0.02), **{"jit_compile": False, **options})
    return model


@pytest.mark.parametrize("kind", sorted(feedback.FEEDBACKS))
@pytest.mark.parametrize("name", ["click_only", "esmm", "idefn"])
def test_every_likelihood_trains(make_model, delayed, name, kind):
    cls = feedback.FEEDBACKS[kind]
    options = {"window": 7} if issubclass(cls, feedback.WindowedLikelihood) else {}
    if kind == "fnc" and name != "click_only":
        pytest.skip("refused: test_label_samples")
    model = compiled(make_model(name, feedback=cls(**options)), run_eagerly=True)
    model.build_all()
    history = []
    for _ in range(6):
        results = model.train_on_batch(*next(iter(dataset(delayed))), return_dict=True)
        model.reset_metrics()
        history.append(float(results["loss"]))
    assert np.all(np.isfinite(history))
    assert history[-1] < history[0]
    assert ("feedback_loss" in results) == bool(cls.heads)


@pytest.mark.xla
def test_xla_compiles_the_heads(make_model, delayed):
    model = make_model("esmm", feedback=ESDFMFeedback(window=7))
    plain = [np.array(v) for v in (model.build() or model.feedback.trainable_variables)]
    history = compiled(model, jit_compile=True).fit(dataset(delayed), epochs=4, verbose=0).history
    assert history["feedback_loss"][-1] < history["feedback_loss"][0]
    for before, after in zip(plain, model.feedback.trainable_variables, strict=True):
        assert not np.array_equal(before, after)


def test_heads_leave_the_rest_alone(make_model, delayed):
    """With `observed` weights in their place every other variable moves as without heads."""
    moved = []
    for likelihood in (None, DFMFeedback(window=1e-9)):  # every window is over: all is certain
        keras.utils.set_random_seed(3)
        model = compiled(make_model("esmm", feedback=likelihood), run_eagerly=True)
        model.train_on_batch(*next(iter(dataset(delayed))))
        own = {id(v) for v in model.feedback.variables}
        moved.append([np.array(v) for v in model.trainable_variables if id(v) not in own])
    for a, b in zip(*moved, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)  # threads may add in another order


def test_a_label_that_is_missing_is_named_with_what_gives_it(make_model, delayed):
    model = compiled(make_model("esmm", feedback=ESDFMFeedback(window=7)), run_eagerly=True)
    told = (
        r"labels: the feedback of ESMM must be given \['elapsed', 'conversion_delay'\], received "
        r"\['click', 'conversion'\];\nname labels\.click_time, labels\.conversion_time and "
        r"labels\.attribution in the schema, prepare .*--as-of.*feedback_labels=True"
    )
    with pytest.raises(ValueError, match=told):
        model.fit(dataset(delayed, TIMES), verbose=0)
    model.build_all()
    results = model.evaluate(dataset(delayed, TIMES), verbose=0, return_dict=True)
    assert results["feedback_loss"] == 0  # as observed
    assert np.isfinite(results["loss"])


def test_duplicates_are_no_exposures(make_model, delayed):
    """Late rows of weight 1: metrics, divisors and the CTR term are those of first rows."""
    arrival = np.zeros(96, np.float32)
    late = np.flatnonzero(delayed[1]["conversion"])[::2]
    arrival[late] = 1
    weight = np.where(arrival > 0, 0, 1).astype(np.float32)
    model = compiled(make_model("click_only", feedback="fnw"), run_eagerly=True)
    model.build_all()
    found = model.evaluate(dataset(delayed, arrival=arrival), verbose=0, return_dict=True)
    plain = compiled(make_model("click_only", feedback="fnw"), run_eagerly=True)
    plain.build_all()
    plain.set_weights(model.get_weights())
    features, labels, _ = delayed
    alone = tf.data.Dataset.from_tensor_slices((features, labels, weight)).batch(48)
    expected = plain.evaluate(alone, verbose=0, return_dict=True)
    assert found["cvr_loss"] > expected["cvr_loss"]
    for key in set(found) - {"loss", "cvr_loss"}:
        assert found[key] == pytest.approx(expected[key], rel=1e-6), key


@pytest.mark.job
def test_a_saved_model_keeps_its_likelihood(make_model, delayed, tmp_path):
    likelihood = ESDFMFeedback(wait=0.5, window=7, units=(6,))
    model = compiled(make_model("all_negative", feedback=likelihood))
    model.fit(dataset(delayed), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.feedback.get_config() == model.feedback.get_config()
    for a, b in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    batch = next(iter(dataset(delayed)))
    one, two = (m.train_on_batch(*batch, return_dict=True)["loss"] for m in (model, again))
    assert float(one) > 0
    one, two = (m.evaluate(dataset(delayed), verbose=0, return_dict=True) for m in (model, again))
    assert one == two


def test_a_config_of_an_earlier_release_has_observed_labels(make_model):
    config = make_model("esmm").get_config()
    del config["feedback"]
    model = type(make_model("esmm")).from_config(config)
    assert isinstance(model.feedback, feedback.ObservedFeedback)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(make_model, delayed, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = make_model("esmm", feedback=DFMFeedback(window=7))
        compiled(model, run_eagerly=True)
        model.build_all()
        before = [np.array(v) for v in model.feedback.trainable_variables]
        batch = next(iter(dataset(delayed)))
        for _ in range(8):  # a loss scale that is too high at first skips steps
            results = model.train_on_batch(*batch, return_dict=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(float(results["feedback_loss"]))
    assert {v.dtype for v in model.feedback.variables} == {"float32"}
    pairs = zip(before, model.feedback.trainable_variables, strict=True)
    assert not any(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.job
def test_an_export_has_no_heads(tiny, tmp_path):
    features = FeatureColumns.from_schema(tiny.SCHEMA, tiny.vocabularies(), embedding_stddev=0.5)
    model = AllNegative(features, MLP((4,)), feedback=ESDFMFeedback(window=7))
    frame = tiny.make_frame(32)
    path = export_model(model, tiny.SCHEMA, tmp_path / "cvr", replay=frame)
    arrays = request_arrays(tiny.SCHEMA, frame)
    with Scorer(path) as scorer:
        found = scorer.score(arrays)
    assert sorted(found) == ["ctcvr", "ctr", "cvr"]
    expected = python_scores(model, tiny.SCHEMA, arrays)
    np.testing.assert_allclose(found["cvr"], expected["cvr"], atol=1e-6)


class Blind(EntireSpaceModel):
    """A method of a user's own that reads conversions itself."""

    loss_names = ("cvr_loss",)

    def compute_losses(self, outputs, batch):
        values = cross_entropy(batch.conversion, outputs.logits["cvr"])
        return {"cvr_loss": batch.mean_within(values, batch.click)}


def test_a_method_that_would_not_look_at_it_is_refused_by_name(tiny_features):
    assert Blind(tiny_features(), MLP((4,))).feedback.labels == ()
    told = r"feedback: must be 'observed' for Blind, .* received FNWFeedback;\n.*carries_feedback"
    with pytest.raises(ValueError, match=told):
        Blind(tiny_features(), MLP((4,)), feedback="fnw")


def test_a_subclass_with_a_formula_of_its_own_says_it_anew(tiny_features):
    class Own(AllNegative):
        compute_losses = Blind.compute_losses

    with pytest.raises(ValueError, match=r"must be 'observed' for Own"):
        Own(tiny_features(), MLP((4,)), feedback="oracle")
