"""Forms of data: arrays with weights as data sets with weights; the rest in one sentence."""

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf

from idefn_tf.models.training.fit_inputs import check_inputs, fit_arguments


@pytest.fixture
def parts(tiny_rows):
    """Features, labels, and weights of 0 to 2."""
    features = {k: tiny_rows[k] for k in ("user", "item", "price")}
    labels = {k: tiny_rows[k] for k in ("click", "conversion")}
    return features, labels, np.arange(96, dtype=np.float32) % 3


def test_arrays_with_weights_are_what_a_data_set_of_them_is(make_model, parts):
    features, labels, weight = parts
    data = tf.data.Dataset.from_tensor_slices(parts).batch(48)
    outcomes = []
    for by_arrays in (True, False):
        keras.utils.set_random_seed(4)
        model = make_model("esmm")
        model.compile("adam", jit_compile=False, run_eagerly=True)
        if by_arrays:
            history = model.fit(
                features, labels, 48, sample_weight=weight, shuffle=False, verbose=0,
                validation_data=(features, labels, weight),
            )  # fmt: skip
            found = model.evaluate(features, labels, 48, 0, weight)
        else:
            history = model.fit(data, validation_data=data, verbose=0)
            found = model.evaluate(data, verbose=0)
        outcomes.append(({k: v[0] for k, v in history.history.items()}, found))
    assert outcomes[0][0] == pytest.approx(outcomes[1][0], rel=1e-6, nan_ok=True)
    assert outcomes[0][1] == pytest.approx(outcomes[1][1], rel=1e-6, nan_ok=True)
    unweighted = model.evaluate(features, labels, 48, 0)
    assert abs(unweighted[0] - outcomes[0][1][0]) > 1e-3


def test_validation_split_takes_the_last_rows_with_their_weights(make_model, parts):
    features, labels, weight = parts
    model = make_model("esmm")
    model.compile("adam", jit_compile=False, run_eagerly=True)
    split = {"validation_split": 0.25, "sample_weight": weight, "verbose": 0}
    history = model.fit(features, labels, **split).history
    last = [{k: v[72:] for k, v in part.items()} for part in (features, labels)]
    found = model.evaluate(*last, sample_weight=weight[72:], verbose=0)
    assert history["val_loss"][0] == pytest.approx(found[0], rel=1e-6)


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.table])
def test_tables_are_told_the_way(make_model, parts, kind):
    features, labels, _ = parts
    frame = kind(features)
    model = make_model("esmm")
    model.compile("adam", jit_compile=False)
    said = (
        r"x: must be a data set, or features by name, received a (DataFrame|Table).*\n.*open_data"
    )
    for call in (
        lambda: model.fit(frame, labels),
        lambda: model.evaluate(frame),
        lambda: model.predict(frame),
        lambda: model.predict_on_batch(frame),
        lambda: model.train_on_batch(frame, labels),
        lambda: model.test_on_batch(frame, labels),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    with pytest.raises(ValueError, match="validation_data: must be a data set"):
        model.fit(features, labels, validation_data=(frame, labels))
    with pytest.raises(ValueError, match=r"y: must be a dict with 'click' and 'conversion', rec"):
        model.fit(features, kind(labels))


def test_columns_of_a_frame_are_arrays(make_model, parts):
    features, labels, weight = (pd.DataFrame(part) for part in parts)
    model = make_model("esmm")
    model.compile("adam", jit_compile=False, run_eagerly=True)
    model.fit(dict(features), dict(labels), sample_weight=weight[0], verbose=0)
    found = model.evaluate(dict(features), dict(labels), sample_weight=weight[0], verbose=0)
    assert found[0] == model.evaluate(*parts[:2], sample_weight=parts[2], verbose=0)[0]


@pytest.mark.parametrize(
    ("part", "key", "change", "said"),
    [
        (1, "click", lambda v: 2 * v - 1, r"y\['click'\]: must hold 0 and 1, received \d+ of 96"),
        (1, "conversion", lambda v: np.where(v, 0.5, 0), r"y\['conversion'\]: must hold 0 and 1"),
        (1, "click", lambda v: np.where(v, np.nan, 0), r"y\['click'\]: must hold 0 and 1, rec"),
        (2, None, lambda v: v - 1, "sample_weight: must be 0 or more, received 32 of 96"),
        (2, None, lambda v: np.where(v > 1, np.nan, v), "sample_weight: must be 0 or more, rec"),
        (2, None, list, "sample_weight: must be an array of NumPy's dtypes, received a list"),
        (0, "user", list, r"x\['user'\]: must be an array of NumPy's dtypes, received a list"),
        (0, "user", lambda v: pd.Series(v, dtype="category"), "received a Series of dtype categ"),
        (1, "click", lambda v: pd.Series(v, dtype="Int64"), "received a Series of dtype Int64"),
    ],
)
def test_values_that_no_table_could_hold_are_refused_in_arrays(parts, part, key, change, said):
    """A label of -1 trained in silence, with a loss below 0."""
    given = [dict(parts[0]), dict(parts[1]), parts[2]]
    check_inputs(*given)
    if key is None:
        given[part] = change(given[part])
    else:
        given[part][key] = change(given[part][key])
    with pytest.raises(ValueError, match=said):
        check_inputs(*given)
    with pytest.raises(ValueError, match=said.replace("x\\[", r"validation_data\[")):
        fit_arguments(tuple(parts[:2]), {"validation_data": tuple(given)})


def test_a_data_set_of_ones_own_is_held_to_its_labels_in_every_job(make_model, parts):
    """A click of -1 trained in silence there, too."""
    labels = {name: 2.0 * values - 1 for name, values in parts[1].items()}
    data = tf.data.Dataset.from_tensor_slices((parts[0], labels)).batch(48)
    model = make_model("esmm")
    model.compile("adam", jit_compile=False, run_eagerly=True)
    for job in (model.fit, model.evaluate):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"click.* must hold 0 and 1, rec"):
            job(data, verbose=0)


def test_matrices_class_weights_and_weights_by_label_are_refused(parts):
    features, labels, weight = parts
    with pytest.raises(ValueError, match="x: must be features by name, received a ndarray"):
        fit_arguments((np.zeros((4, 3)), labels), {})
    with pytest.raises(ValueError, match="class_weight: must be left out"):
        fit_arguments((features, labels), {"class_weight": {0: 1.0, 1: 9.0}})
    by_label = {"click": weight, "conversion": weight}
    with pytest.raises(ValueError, match=r"sample_weight: must be one array .*\['click', 'conv"):
        check_inputs(features, labels, by_label)
    with pytest.raises(ValueError, match="sample_weight: must be one array"):
        check_inputs(tf.data.Dataset.from_tensors((features, labels, by_label)))
    check_inputs(tf.data.Dataset.from_tensors((features, labels, weight)))


def test_arguments_by_place_are_arguments_by_name(parts):
    features, labels, weight = parts
    given = fit_arguments((features, labels, 48, 2, 0), {"sample_weight": weight})
    assert {k: given[k] for k in ("batch_size", "epochs", "verbose")} == {
        "batch_size": 48, "epochs": 2, "verbose": 0,
    }  # fmt: skip
    with pytest.raises(TypeError, match="epoch"):
        fit_arguments((features, labels), {"epoch": 3})


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_without_a_batch_are_told_what_leads_to_it(make_model, parts):
    """A batch as large as no table gives none where the remainder is dropped."""
    none = tf.data.Dataset.from_tensor_slices(parts).batch(97, drop_remainder=True)
    model = make_model("esmm")
    model.compile("adam", jit_compile=False, run_eagerly=True)
    for ask in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match=r"x: must give at least one batch, received none;\n"):
            ask(none, verbose=0)
    with pytest.raises(ValueError, match="validation_data: must give at least one batch"):
        model.fit(none, validation_data=none.skip(1), verbose=0)  # before any step
    features, *_ = parts
    one = {name: values[:1] for name, values in features.items()}
    assert model.predict(one, verbose=0)["cvr"].shape == (1,)


def test_a_model_that_is_not_compiled_and_a_file_that_cannot_be_loaded_are_refused(
    make_model, parts, tmp_path
):
    model = make_model("esmm")
    features, labels, _ = parts
    with pytest.raises(ValueError, match="fit: must come after compile, received a model that is"):
        model.fit(features, labels, verbose=0)
    with pytest.raises(ValueError, match=r"filepath: must end in .keras, received '.*m.h5'"):
        model.save(tmp_path / "m.h5")
    assert not (tmp_path / "m.h5").exists()


def test_a_misspelt_argument_is_told_the_one_that_is_near(make_model):
    with pytest.raises(
        ValueError,
        match=r"must be an argument of AllNegative, received alhpa=0\.5; did you mean 'alpha'",
    ):
        make_model("all_negative", alhpa=0.5)
    with pytest.raises(ValueError, match="did you mean 'backbone'"):
        make_model("esmm", backbon=None)
