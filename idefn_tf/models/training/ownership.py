"""Which optimizer and which tables a model trains: its own, and no other model's."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import keras

from idefn_tf._keras_private import built_variables
from idefn_tf.models.training.variable_names import lasting_names
from idefn_tf.optimizers import OPTIMIZERS, RowSparseAdam

if TYPE_CHECKING:
    from idefn_tf.features import FeatureColumns


def get_optimizer(optimizer: Any) -> Any:
    """Returns an optimizer by object or by name, ours or Keras'; `RowSparseAdam` for None.

    Raises:
        ValueError: if neither we nor Keras know the name.
    """
    if optimizer is None:
        return RowSparseAdam()
    if not isinstance(optimizer, str):
        return optimizer
    if optimizer in OPTIMIZERS:
        return OPTIMIZERS[optimizer]()
    try:
        return keras.optimizers.get(optimizer)
    except ValueError:
        raise ValueError(
            f"optimizer: must be one of {sorted(OPTIMIZERS)} or a name of keras.optimizers, "
            f"received {optimizer!r}"
        ) from None


def check_optimizer(model: keras.Model, optimizer: Any) -> None:
    """Refuses an optimizer that was built with the variables of another model.

    Raises:
        ValueError: with the way to a new one.
    """
    if not optimizer.built:
        return
    known = {id(variable) for variable in built_variables(optimizer)}
    strange = [v.path for v in model.trainable_variables if id(v) not in known]
    if strange:
        raise ValueError(
            f"optimizer: must be built with the variables of this model, {model.name!r}, received "
            f"one that does not know {len(strange)} of them, such as {strange[0]!r};\ncompile "
            "every model with an optimizer of its own, and once more after layers were unfrozen: "
            "type(optimizer).from_config(optimizer.get_config()) makes one"
        )


def build_optimizer(model: keras.Model) -> None:
    """Creates the optimizer's variables of a built model, in the order of a loaded one, too."""
    if model.built and not model.optimizer.built:
        with lasting_names(of_slots=True):
            model.optimizer.build(model.trainable_variables)


def claim_features(model: keras.Model, features: FeatureColumns) -> None:
    """Notes whose training changes the tables of a layer; frozen ones are changed by nobody's.

    Raises:
        ValueError: if it is another model's.
    """
    if not features.trainable or not getattr(features, "trainable_variables", None):
        return
    owner = features.trained_by
    if owner is None:
        features.trained_by = weakref.ref(model)
    elif owner() is not model:
        raise ValueError(
            f"features: must belong to one model that trains, received {features.name!r}, which "
            f"another model trained before {model.name!r} does: its scores would change, too;\n"
            "make a new layer by FeatureColumns.from_schema(schema, vocabularies), or set "
            "features.trainable = False before compile"
        )
