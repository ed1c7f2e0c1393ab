"""The part of an experiment's config that says what a search tries and what it wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from idefn_tf._options import BUILT, Location, Problem, Record, problems
from idefn_tf._types import CountOrNone
from idefn_tf.models import get_method
from idefn_tf.tuning import Dimension, Goal, SearchSpace
from pipelines.experiment.config_groups import (
    NAMES,
    features_options,
    model_options,
    name_problem,
    named_record,
)

#: The groups of a config that a search may change.
GROUPS = (
    "method", "model", "backbone", "trunk", "encoder", "feedback", "features", "optimizer",
    "training",
)  # fmt: skip
#: Those whose keys depend on a name.
_NAMED = ("backbone", "trunk", "encoder", "feedback", "optimizer")
#: What the search itself decides.
OWN = ("training.epochs", "training.monitor", "training.audit", "training.seed")


class Tuning(Record):
    """What `pipelines.tune` does with a config.

    Attributes:
        space: what is tried, by dotted key of the config.
        objective: what is wanted, of validation metrics in all_funnel or clicked.
        epochs: at most so many a trial; by default those of the config.
    """

    space: SearchSpace
    objective: Goal = Goal()
    epochs: CountOrNone = None


def tuning_problems(tuning: Tuning, config: Any, training: type[BaseModel]) -> list[Problem]:
    """Returns what is wrong with a search: keys that no config has, values that none may hold.

    Args:
        tuning: the settings.
        config: the config that they stand in.
        training: the record of its `training`.
    """
    dimensions = dict(tuning.space.items())
    if found := [*_key_problems(dimensions)]:
        return found
    methods = dimensions["method"].choices if "method" in dimensions else (config.method,)
    if methods is None:
        return [Problem(_at("method"), "must hold `values`")]
    for i, name in enumerate(methods):
        if wrong := name_problem((*_at("method"), "values", i), "model", name):
            return wrong
    found = [*_method_problems(dimensions, methods, config)]
    for key, dimension in dimensions.items():
        group, *path = key.split(".")
        for record in _records(group, key, dimensions, config, methods, training):
            found += _value_problems(record, path, key, dimension)
        if key.endswith(".name") and group in _NAMED:
            for where, value in _tried(dimension):
                found += name_problem((*_at(key), *where), group, value)
    return list(dict.fromkeys(found))


def _at(key: str) -> Location:
    return ("tuning", "space", key)


def _key_problems(dimensions: dict[str, Dimension]) -> Iterator[Problem]:
    for key in dimensions:
        if key.partition(".")[0] not in GROUPS or (key in GROUPS and key != "method"):
            yield Problem(
                _at(key),
                f"must begin with one of {list(GROUPS)} and name a setting in it, such as "
                "model.kappa",
            )
        elif any(key == own or key.startswith(f"{own}.") for own in OWN):
            yield Problem(_at(key), "is decided by the search itself; remove it")


def _method_problems(
    dimensions: dict[str, Dimension], methods: Sequence[str], config: Any
) -> Iterator[Problem]:
    """Refuses arguments of the model that a tried method does not take."""
    for name in methods:
        taken = model_options(get_method(name)).model_fields
        for argument in config.model:
            if argument not in taken:
                yield Problem(
                    ("model", argument),
                    f"is not taken by {name!r}, which tuning.space.method tries; move it to "
                    f"tuning.space.model.{argument} with `when: {{method: [...]}}`",
                )
        for key, dimension in dimensions.items():
            group, _, rest = key.partition(".")
            argument = rest.partition(".")[0]
            if group != "model" or argument in taken or argument in BUILT:
                continue
            if name in dimension.when.get("method", methods):
                yield Problem(
                    _at(key),
                    f"{name!r} takes no {argument!r}, it takes {sorted(taken)}; add `when: "
                    "{method: [...]}` with the methods that do",
                )


def _records(
    group: str,
    key: str,
    dimensions: dict[str, Dimension],
    config: Any,
    methods: Sequence[str],
    training: type[BaseModel],
) -> Iterator[type[BaseModel]]:
    """Yields the records that a key's values must suit: one for each class that is tried."""
    if group == "features":
        yield features_options()
    elif group == "training":
        yield training
    elif group != "method" and not key.endswith(".name"):
        naming = "method" if group == "model" else f"{group}.name"
        names: Sequence[Any] = methods
        if group != "model":
            own = (getattr(config, group) or {}).get("name", NAMES.get(group))
            tried = dimensions.get(naming)
            names = (own,) if tried is None else tried.choices or ()
        for name in dimensions[key].when.get(naming, names):
            record = named_record(group, name)
            if record is not None:
                yield record


def _tried(dimension: Dimension) -> list[tuple[Location, Any]]:
    """Returns where the values of a dimension stand, and the values; of a range its ends."""
    if dimension.values is not None:
        return [(("values", i), value) for i, value in enumerate(dimension.values)]
    return [(("low",), dimension.low), (("high",), dimension.high)]


def _value_problems(
    record: type[BaseModel], path: list[str], key: str, dimension: Dimension
) -> Iterator[Problem]:
    """Checks values by the record of the group that they are put into."""
    for where, value in _tried(dimension):
        nested = value
        for part in reversed(path):
            nested = {part: nested}
        for at, message in problems(record, nested):
            inside = at[len(path) :]
            if list(at[: len(path)]) == path[: len(at)]:  # not about a key that stands elsewhere
                unknown = message.startswith("unknown key") and not inside
                if unknown and len(path) == 1 and key.startswith("model."):
                    continue  # said with the method's name
                yield Problem(_at(key) if unknown else (*_at(key), *where, *inside), message)
