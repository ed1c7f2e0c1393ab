"""Tuning with KerasTuner: a typed search space, a goal on validation, and a hypermodel.

`SearchSpace` and `Goal` need nothing but pydantic; `IdeFNHyperModel` needs the extra ``tuning``
(keras-tuner) and loads it on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from idefn_tf.tuning.goal import Goal
from idefn_tf.tuning.space import Dimension, SearchSpace

if TYPE_CHECKING:
    from idefn_tf.tuning.hypermodel import IdeFNHyperModel

__all__ = ["Dimension", "Goal", "IdeFNHyperModel", "SearchSpace"]


def __getattr__(name: str) -> Any:
    if name == "IdeFNHyperModel":
        from idefn_tf.tuning.hypermodel import IdeFNHyperModel

        return IdeFNHyperModel
    raise AttributeError(f"module 'idefn_tf.tuning' has no attribute {name!r}; it has {__all__}")
