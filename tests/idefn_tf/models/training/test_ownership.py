"""An optimizer and a layer of features belong to one model that trains."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from idefn_tf.backbones import MLP
from idefn_tf.export import export_model
from idefn_tf.features import FeatureColumns
from idefn_tf.models import ESMM, AllNegative
from idefn_tf.models.training.ownership import get_optimizer
from idefn_tf.optimizers import RowSparseAdagrad, RowSparseAdam


def compiled(features, method=ESMM, optimizer="sgd"):
    model = method(features, MLP((4,)))
    model.compile(optimizer, jit_compile=False, run_eagerly=True)
    return model


def test_the_second_model_that_trains_a_layer_is_refused_and_the_first_stays(
    tiny_features, tiny_dataset
):
    features = tiny_features()
    first, second = compiled(features), compiled(features, AllNegative)
    first.fit(tiny_dataset, verbose=0)
    table, scores = np.array(features.tables["4"]), first.predict(tiny_dataset, verbose=0)["cvr"]
    batch = next(iter(tiny_dataset))
    for train in (lambda: second.fit(tiny_dataset), lambda: second.train_on_batch(*batch)):
        with pytest.raises(ValueError, match=r"(?s)features: must belong to one .*make a new lay"):
            train()
    np.testing.assert_array_equal(features.tables["4"], table)
    np.testing.assert_array_equal(first.predict(tiny_dataset, verbose=0)["cvr"], scores)
    first.fit(tiny_dataset, verbose=0)  # the first goes on
    again = compiled(FeatureColumns.from_config(features.get_config()), AllNegative)
    again.fit(tiny_dataset, verbose=0)


def test_a_model_that_is_gone_has_trained_the_layer_all_the_same(tiny_features, tiny_dataset):
    features = tiny_features()
    compiled(features).fit(tiny_dataset, verbose=0)
    with pytest.raises(ValueError, match="must belong to one model that trains"):
        compiled(features).fit(tiny_dataset, verbose=0)


def test_a_frozen_layer_serves_many(tiny_features, tiny_dataset):
    features = tiny_features()
    compiled(features).fit(tiny_dataset, verbose=0)
    features.trainable = False
    table = np.array(features.tables["4"])
    compiled(features).fit(tiny_dataset, verbose=0)
    np.testing.assert_array_equal(features.tables["4"], table)


def test_one_optimizer_for_two_models_is_refused(tiny_features, tiny_dataset):
    optimizer = RowSparseAdam(0.02)
    first = compiled(tiny_features(), optimizer=optimizer)
    first.fit(tiny_dataset, verbose=0)
    second = compiled(tiny_features(), optimizer=optimizer)
    with pytest.raises(ValueError, match=r"(?s)optimizer: must be built with the var.*'esmm_?\d*'"):
        second.fit(tiny_dataset, verbose=0)
    new = type(optimizer).from_config(optimizer.get_config())
    second.compile(new, jit_compile=False, run_eagerly=True)
    second.fit(tiny_dataset, verbose=0)


def test_optimizers_by_name_ours_and_keras():
    assert isinstance(get_optimizer("row_sparse_adam"), RowSparseAdam)
    assert isinstance(get_optimizer("row_sparse_adagrad"), RowSparseAdagrad)
    assert isinstance(get_optimizer("sgd"), keras.optimizers.SGD)
    with pytest.raises(ValueError, match=r"optimizer: must be one of \[.*'row_sparse_adam'.*'spa'"):
        get_optimizer("spa")


def test_saved_models_of_tensorflow_are_told_the_way(tiny_features, tiny_dataset, tmp_path):
    model = compiled(tiny_features())
    model.fit(tiny_dataset, verbose=0)
    said = r"export: must know the schema.*, received ESMM alone;\n.*export_model\(model, schema"
    with pytest.raises(ValueError, match=said):
        model.export(tmp_path / "saved")
    with pytest.raises(ValueError, match=said):
        tf.saved_model.save(model, str(tmp_path / "saved"))
    assert callable(export_model)
    tf.train.Checkpoint(model=model).save(str(tmp_path / "checkpoint"))  # TensorFlow's other form


def test_a_second_place_of_compile_is_no_loss(make_model):
    with pytest.raises(ValueError, match="jit_compile: must be True, False or 'auto', received 'm"):
        make_model("esmm").compile("sgd", "mse")
