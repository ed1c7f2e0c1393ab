"""IdeFNHyperModel in plain KerasTuner code: built whole, promoted by Hyperband, loaded again."""

import keras
import keras_tuner
import numpy as np
import pandas as pd
import pytest

from idefn_tf import MLP, FeatureColumns, IdeFN, RowSparseAdam, Schema, open_dataset
from idefn_tf.data import learn_vocabularies
from idefn_tf.tuning import IdeFNHyperModel

SCHEMA = Schema.parse(
    {
        "name": "made",
        "labels": {"click": "click", "conversion": "conversion"},
        "embedding_width": 4,
        "features": [
            {"name": "user", "dtype": "int64", "side": "user", "kind": "vocabulary"},
            {"name": "item", "dtype": "int64", "side": "item", "kind": "vocabulary"},
        ],
    }
)
SPACE = {
    "units": {"values": [[8], [16, 8]]},
    "model.kappa": {"low": 0.01, "high": 0.1, "log": True},
    "learning_rate": {"low": 0.003, "high": 0.03, "log": True},
}
#: A solver that is traced in a quarter of the default one's time.
QUICK = {"solver": "sinkhorn"}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    n = 1200
    user, item = rng.integers(0, 60, n), rng.integers(0, 20, n)
    click = (rng.random(n) < 0.4 + 0.3 * (item % 3 == 0)).astype(int)
    conversion = click * (rng.random(n) < 0.1 + 0.5 * (user % 3 == 0)).astype(int)
    return pd.DataFrame({"user": user, "item": item, "click": click, "conversion": conversion})


@pytest.fixture
def hypermodel(rows):
    vocabularies = learn_vocabularies(SCHEMA, rows)

    def build(settings):
        features = FeatureColumns.from_schema(SCHEMA, vocabularies)
        model = IdeFN(features, MLP(settings["units"]), **settings["model"])
        model.compile(RowSparseAdam(settings["learning_rate"]), jit_compile=False)
        return model

    return IdeFNHyperModel(build, SPACE, base={"model": {"gamma": 3.0, "transport": QUICK}})


def data(rows):
    train = open_dataset(SCHEMA, rows[:900], batch_size=300, shuffle=True, drop_remainder=True)
    return train, open_dataset(SCHEMA, rows[900:], batch_size=300)


def test_every_variable_exists_after_build(hypermodel):
    hp = keras_tuner.HyperParameters()
    model = hypermodel.build(hp)
    assert model.built
    assert model.optimizer.built
    assert len(model.optimizer.variables) > len(model.trainable_variables)
    assert model.gamma == 3.0
    assert model.rpot.kappa == 0.01
    assert [p.name for p in hp.space] == list(SPACE)


def test_saved_weights_load_into_a_new_model(hypermodel, tmp_path):
    hp = keras_tuner.HyperParameters()
    first = hypermodel.build(hp)
    first.save_weights(tmp_path / "a.weights.h5")
    keras.utils.set_random_seed(99)
    second = hypermodel.build(hp)
    second.load_weights(tmp_path / "a.weights.h5")
    for a, b in zip(first.trainable_variables, second.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_hyperband_promotes_and_loads_the_best(hypermodel, rows, tmp_path):
    train, validation = data(rows)
    tuner = keras_tuner.Hyperband(
        hypermodel,
        objective=hypermodel.objective,
        max_epochs=3,
        factor=3,
        seed=1,
        directory=str(tmp_path),
        project_name="plain",
    )
    tuner.search(train, validation_data=validation, verbose=0)
    trials = tuner.oracle.trials.values()
    assert all(trial.status == "COMPLETED" for trial in trials)
    assert any("tuner/trial_id" in t.hyperparameters.values for t in trials)
    best = tuner.oracle.get_best_trials(1)[0]
    (model,) = tuner.get_best_models(1)
    found = model.evaluate(validation, return_dict=True, verbose=0)
    assert found["all_funnel/cvr_auc"] == pytest.approx(best.score, abs=1e-4)
    settings = hypermodel.settings(tuner.get_best_hyperparameters(1)[0])
    assert len(model.towers["cvr"].get_config()["units"]) == len(settings["units"])


def test_a_value_that_a_constructor_refuses_is_told_in_its_words(hypermodel):
    hp = keras_tuner.HyperParameters()
    hypermodel.declare_hyperparameters(hp)
    for key, told in (
        (
            "model.kappa",
            r"^kappa: must be a finite number from 0 to 1 or 'auto' .*received 1\.5;",
        ),
        ("learning_rate", r"^learning_rate: must be a finite number above 0 or .*received -1"),
    ):
        hp.values = {**hp.values, key: 1.5 if key == "model.kappa" else -1.0}
        with pytest.raises(ValueError, match=told):
            hypermodel.build(hp)
        hp.values[key] = 0.05


def test_what_build_returns_is_checked():
    hypermodel = IdeFNHyperModel(lambda settings: keras.Sequential(), SPACE)
    with pytest.raises(ValueError, match="must return a compiled Keras model"):
        hypermodel.build(keras_tuner.HyperParameters())


def test_a_goal_that_selection_must_not_see_is_refused():
    with pytest.raises(ValueError, match="for reports only"):
        IdeFNHyperModel(lambda settings: None, SPACE, goal="oracle/cvr_auc")
