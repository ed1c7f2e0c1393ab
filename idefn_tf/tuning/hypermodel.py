"""IdeFNHyperModel: a KerasTuner hypermodel over a search space, built whole inside build(hp)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_tuner

from idefn_tf.models import EntireSpaceModel
from idefn_tf.tuning.goal import Goal
from idefn_tf.tuning.space import SearchSpace

#: The name under which every epoch's goal is logged.
GOAL = "val_goal"


class IdeFNHyperModel(keras_tuner.HyperModel):
    """Builds models for any KerasTuner tuner.

    Every variable exists when `build` returns: Hyperband loads weights into a new model, and
    KerasTuner fails on one that is not built. Early stopping, retries and the rest are the
    tuner's.

    In a search::

        def build(settings):
            features = FeatureColumns.from_schema(schema, vocabularies)
            model = IdeFN(features, MLP(settings["units"]), **settings["model"])
            model.compile(RowSparseAdam(settings["learning_rate"]))
            return model

        hypermodel = IdeFNHyperModel(build, {
            "units": {"values": [[64, 32], [128, 64]]},
            "model.kappa": {"low": 0.001, "high": 0.05, "log": True},
            "learning_rate": {"low": 0.0003, "high": 0.003, "log": True},
        })
        tuner = keras_tuner.Hyperband(hypermodel, objective=hypermodel.objective, max_epochs=9)
        tuner.search(train_set, validation_data=validation_set)

    Args:
        build: makes a compiled model from settings.
        space: a `SearchSpace`, or its plain form.
        base: settings that the space's values are put into.
        goal: a `Goal`, or its plain form; of validation metrics only.

    Raises:
        ValueError: if the space or the goal is not valid.

    Example:
        >>> import keras_tuner
        >>> from idefn_tf import AllNegative, RowSparseAdam
        >>> from idefn_tf.tuning import IdeFNHyperModel
        >>> def build(settings):
        ...     model = AllNegative(features, MLP(settings["units"]))
        ...     model.compile(RowSparseAdam(settings["learning_rate"]))
        ...     return model
        >>> space = {"units": {"values": [[8], [16]]}, "learning_rate": {"values": [0.01, 0.001]}}
        >>> model = IdeFNHyperModel(build, space).build(keras_tuner.HyperParameters())
        >>> round(float(model.optimizer.learning_rate), 4)
        0.01
    """

    def __init__(
        self,
        build: Callable[[dict[str, Any]], EntireSpaceModel],
        space: SearchSpace | Mapping[str, Any],
        base: Mapping[str, Any] | None = None,
        goal: Goal | str | Mapping[str, float] = "all_funnel/cvr_auc",
    ) -> None:
        super().__init__()
        self.space = SearchSpace.model_validate(space)
        self.goal = Goal.model_validate(goal)
        self.base = dict(base or {})
        self._make = build

    @property
    def objective(self) -> keras_tuner.Objective:
        """The objective to give to a tuner."""
        return keras_tuner.Objective(GOAL, "max")

    def settings(self, hp: keras_tuner.HyperParameters) -> dict[str, Any]:
        """Returns the settings of a point of the space."""
        return self.space.settings(hp, self.base)

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Registers the whole space at once, conditions included."""
        self.space.declare(hp)

    def build(self, hp: keras_tuner.HyperParameters) -> EntireSpaceModel:
        """Builds the model of a point, with all its variables.

        Raises:
            ValueError: if the function given to the constructor returned no compiled model.
        """
        model = self._make(self.settings(hp))
        if not isinstance(model, keras.Model) or not model.compiled:
            raise ValueError(
                "build: must return a compiled Keras model, received "
                f"{type(model).__name__}; call model.compile(...) in it"
            )
        model.build()
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        return model

    def fit(
        self, hp: keras_tuner.HyperParameters, model: EntireSpaceModel, *args: Any, **kwargs: Any
    ) -> Any:
        """``model.fit``, with the goal among the logs before the tuner's callbacks see them."""
        callbacks = [LogGoal(self.goal), *(kwargs.pop("callbacks", None) or [])]
        return model.fit(*args, callbacks=callbacks, **kwargs)


class LogGoal(keras.callbacks.Callback):
    """Adds the goal to every epoch's logs."""

    def __init__(self, goal: Goal) -> None:
        super().__init__()
        self.goal = goal

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Computes it."""
        if logs is not None:
            logs[GOAL] = self.goal.score(logs)
