"""Keras' private names, all of them here: what must be looked at when Keras moves.

setup.cfg bounds Keras from above for their sake. Each has a public name or a test that would fail
without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def variable_index(optimizer: Any, variable: Any) -> int:
    """Returns the place of a variable among those that an optimizer was built with."""
    return int(optimizer._get_variable_index(variable))


def built_variables(optimizer: Any) -> list[Any]:
    """Returns the variables that an optimizer was built with, in their order."""
    return list(optimizer._trainable_variables)


def take_added_losses(model: Any) -> list[Any]:
    """Returns what layers gave to `add_loss` since they were asked last, and forgets it.

    Keras forgets it where a model is called; ours runs its layers one by one.
    """
    layers = model._flatten_layers()
    added = [loss for layer in layers for loss in layer._get_own_losses()]
    model._clear_losses()
    return added


def with_steps(function: Any, wrap: Callable[[Any], Any]) -> Any:
    """Returns what `fit` or `evaluate` calls, with the ``tf.function`` that takes steps wrapped.

    It is a variable of the function around both; where there is none of the name, as in a model
    that runs eagerly, nothing is wrapped.
    """
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cell = cells.get("multi_step_on_iterator")
    if cell is not None and hasattr(cell.cell_contents, "get_concrete_function"):
        cell.cell_contents = wrap(cell.cell_contents)
    return function


class SumsOverReplicas:
    """Mixed in front of an optimizer of Keras: the gradients of one replica are their own sum.

    TensorFlow's all-reduce registers a gradient of itself for each graph that it is traced in, and
    so keeps the graph, 15 MB of a training step, until the process ends.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """Sums over replicas, where there are several."""
        context = tf.distribute.get_replica_context()
        if context is not None and int(context.num_replicas_in_sync) == 1:
            return list(grads_and_vars)
        return super()._all_reduce_sum_gradients(grads_and_vars)  # type: ignore[misc]


class NoSymbolicBuild:
    """Mixed in front of ``keras.Model``: `fit` and `evaluate` do not trace the model to build it.

    For models that create every variable themselves. Keras would take a batch, average it over
    replicas and trace the model with it; that fails under MultiWorkerMirroredStrategy
    (keras-team/keras#20585).
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing is left to build."""


class NotSavedByTensorFlow:
    """Mixed in front of ``keras.Model``: a SavedModel of it is made elsewhere, and that is said."""

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Refused: a served model also needs what its raw features are.

        Raises:
            ValueError: with the way.
        """
        raise ValueError(
            f"export: must know the schema of raw features, received {type(self).__name__} alone;\n"
            "write a SavedModel by idefn_tf.export_model(model, schema, model_base), and by "
            "model.save('model.keras') what idefn_tf.load_model reads"
        )

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> Any:
        """What TensorFlow saves; asked by `tf.saved_model.save` and by checkpoints."""
        if save_type == "savedmodel":
            self.export()
        return super()._trackable_children(save_type, **kwargs)  # type: ignore[misc]
