"""``compile(jit_compile=False)`` holds for every program: nothing is handed to XLA."""

import gc

import pytest
import tensorflow as tf

from idefn_tf.models.training import metrics
from idefn_tf.optimizers import RowSparseAdam

KIND = tf.types.experimental.ConcreteFunction


def programs():
    """Every traced program that is alive, by identity."""
    gc.collect()
    return {id(f): f for f in gc.get_objects() if isinstance(f, KIND)}


def compiled_by_xla(program):
    """The names of a program and of those that it calls, where XLA must compile them."""
    graph = program.graph.as_graph_def()
    functions = [program.function_def, *graph.library.function]
    return {f.signature.name for f in functions if f.attr["_XlaMustCompile"].b}


@pytest.mark.xla
@pytest.mark.parametrize("jit", [False, True])
def test_fit_evaluate_and_predict_compile_nothing_unless_asked(make_model, tiny_dataset, jit):
    """IdeFN has every program: rows, losses, transport, update, metrics, and their reading."""
    metrics._summary.cache_clear()
    before = programs()
    transport = {"memory": 8, "solver": "sinkhorn"}  # traced in a quarter of the default's time
    model = make_model("idefn", transport=transport, kappa=0.1)
    model.compile(RowSparseAdam(0.02), jit_compile=jit)
    model.fit(tiny_dataset, validation_data=tiny_dataset, epochs=1, verbose=0)
    model.predict(tiny_dataset, verbose=0)
    made = [f for i, f in programs().items() if i not in before]
    assert made
    compiled = set().union(*map(compiled_by_xla, made))
    assert bool(compiled) == jit, sorted(compiled)
