"""Keras' private names, all of them here: what must be looked at when Keras moves.

setup.cfg bounds Keras from above for their sake. Each has a public name or a test that would fail
without it.
"""

from __future__ import annotations

from typing import Any


def variable_index(optimizer: Any, variable: Any) -> int:
    """Returns the place of a variable among those that an optimizer was built with."""
    return int(optimizer._get_variable_index(variable))


def built_variables(optimizer: Any) -> list[Any]:
    """Returns the variables that an optimizer was built with, in their order."""
    return list(optimizer._trainable_variables)


class NoSymbolicBuild:
    """Mixed in front of ``keras.Model``: `fit` and `evaluate` do not trace the model to build it.

    For models that create every variable themselves. Keras would take a batch, average it over
    replicas and trace the model with it; that fails under MultiWorkerMirroredStrategy
    (keras-team/keras#20585).
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing is left to build."""
