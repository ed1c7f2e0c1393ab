"""The part of an experiment's config that says what a search tries and what it wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from idefn_tf.models import get_method
from idefn_tf.tuning import Goal, SearchSpace

#: The groups of a config that a search may change.
GROUPS = ("method", "model", "backbone", "trunk", "features", "optimizer", "training")
#: What the search itself decides.
OWN = ("training.epochs", "training.monitor", "training.audit", "training.seed")


class Tuning(BaseModel):
    """What `pipelines.tune` does with a config.

    Attributes:
        space: what is tried, by dotted key of the config.
        objective: what is wanted, of validation metrics in all_funnel or clicked.
        epochs: at most so many a trial; by default those of the config.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: SearchSpace
    objective: Goal = Goal()
    epochs: int | None = Field(None, ge=1)


def check(
    tuning: Tuning,
    method: str,
    model: Mapping[str, Any],
    accepted: Callable[[type], Mapping[str, Any]],
) -> None:
    """Refuses keys that no config has, or that a method of the space does not take.

    Args:
        tuning: the settings.
        method: the config's method.
        model: the config's arguments of the method.
        accepted: the arguments that a class takes.

    Raises:
        ValueError: naming the key.
    """
    dimensions = dict(tuning.space.items())
    for key in dimensions:
        if key.partition(".")[0] not in GROUPS or (key in GROUPS and key != "method"):
            raise ValueError(
                f"tuning.space.{key}: must begin with one of {list(GROUPS)} and name a setting in "
                "it, such as model.kappa"
            )
        if any(key == own or key.startswith(f"{own}.") for own in OWN):
            raise ValueError(f"tuning.space.{key}: is decided by the search itself; remove it")
    methods = dimensions["method"].choices if "method" in dimensions else (method,)
    if methods is None:
        raise ValueError("tuning.space.method: must hold `values`")
    for name in methods:
        taken = set(accepted(get_method(name)))
        for argument in model:
            if argument not in taken:
                raise ValueError(
                    f"model.{argument}: is not taken by {name!r}, which tuning.space.method "
                    f"tries; move it to tuning.space.model.{argument} with `when: {{method: "
                    "[...]}}`"
                )
        for key, dimension in dimensions.items():
            group, _, rest = key.partition(".")
            argument = rest.partition(".")[0]
            if group != "model" or argument in taken:
                continue
            if name in dimension.when.get("method", methods):
                raise ValueError(
                    f"tuning.space.{key}: {name!r} takes no {argument!r}, it takes "
                    f"{sorted(taken - {'features', 'backbone', 'trunk'})}; add `when: {{method: "
                    "[...]}` with the methods that do"
                )
