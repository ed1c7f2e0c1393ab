"""Names of TensorFlow's variables do not tell how many models a process had before."""

import keras
import pytest
import tensorflow as tf

from idefn_tf.models.training.variable_names import lasting_names
from idefn_tf.optimizers import RowSparseAdam


def names(model):
    """Of a built model's variables and its optimizer's slots, as TensorFlow has them.

    An optimizer makes iteration and learning rate when it is made, before there is a model.
    """
    return [v.value.name for v in (*model.variables, *model.optimizer.variables[2:])]


@pytest.mark.parametrize("optimizer", [RowSparseAdam, keras.optimizers.Adam])
def test_a_second_model_has_the_names_of_the_first(make_model, optimizer):
    models = [make_model("esmm", trunk="mmoe") for _ in range(2)]
    for model in models:
        model.compile(optimizer(0.02), jit_compile=False)
        model.build_all()
    first, second = map(names, models)
    assert first == second
    own = [v.value.name for v in models[0].variables]
    assert len(set(own)) == len(own)
    paths = [[v.path for v in model.trainable_variables] for model in models]
    assert not set(paths[0]) & set(paths[1])  # Keras' own stay


def test_layers_are_numbered_within_their_scope():
    layers = [keras.layers.Dense(1, name=name) for name in ("dense_7", "dense_9", "head_7")]
    made = []
    with lasting_names():
        for scope in ("model_3", "model_4"):
            for layer in layers:
                with tf.name_scope(f"{scope}/{layer.name}"):
                    made.append(tf.Variable(0.0, name="kernel_2").name)
    within = ["dense/kernel_2:0", "dense_1/kernel_2:0", "head/kernel_2:0"]
    assert made == [f"{scope}/{name}" for scope in ("model", "model_1") for name in within]
    assert tf.Variable(0.0, name="kernel_2").name == "kernel_2:0"
