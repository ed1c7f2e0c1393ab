"""SearchSpace: what is tried, by dotted key of the settings, typed and checked before it runs."""

from __future__ import annotations

import contextlib
import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, RootModel, model_validator

from idefn_tf._registry import register
from idefn_tf._rules import MOST, NONE, Either, Number
from idefn_tf._types import FiniteOrNone, Switch

_KEY = re.compile(r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$")


class Dimension(BaseModel):
    """One thing that is tried: a list of values, or a range.

    Attributes:
        values: what to choose from: numbers, names, lists of widths, mappings, null.
        low: least value of a range.
        high: greatest value of a range; whole numbers where both ends are.
        log: whether the range is sampled evenly in the logarithm.
        steps: tries so many evenly spaced points of the range only; a grid needs it.
        when: {earlier key: values}; only tried where that key has one of these values.

    Example:
        >>> from idefn_tf.tuning import Dimension
        >>> Dimension(low=0.001, high=0.1, log=True, steps=3).high
        0.1
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: tuple[Any, ...] | None = None
    low: FiniteOrNone = None
    high: FiniteOrNone = None
    log: Switch = False
    steps: Annotated[int | None, Either((Number(least=2, most=MOST, whole=True), NONE))] = None
    when: dict[str, tuple[Any, ...]] = {}

    @model_validator(mode="after")
    def _check(self) -> Dimension:
        if len(self.when) > 1:
            raise ValueError(f"when: must name one key, received {list(self.when)}")
        if (self.values is None) == (self.low is None and self.high is None):
            raise ValueError("must hold either `values` or `low` and `high`")
        if self.values is not None:
            if self.log or self.steps:
                raise ValueError(
                    "values: must be given without log and steps, which belong to a range, "
                    "received both"
                )
            if not self.values:
                raise ValueError("values: must hold at least one value, received none")
            if len(set(self.labels)) < len(self.labels):
                raise ValueError(f"values: must differ, received {list(self.values)}")
            return self
        if self.low is None or self.high is None:
            raise ValueError("a range must have both `low` and `high`")
        if not self.low < self.high:
            raise ValueError(f"low: must be below high, received {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low: must be above 0 where log is true, received {self.low}")
        return self

    @property
    def choices(self) -> tuple[Any, ...] | None:
        """The values to choose from, those of a range in steps included; None for a range."""
        if self.values is not None or self.steps is None:
            return self.values
        assert self.low is not None
        assert self.high is not None
        last = self.steps - 1
        if self.log:
            ratio = self.high / self.low
            points = [self.low * ratio ** (i / last) for i in range(self.steps)]
        else:
            points = [self.low + (self.high - self.low) * i / last for i in range(self.steps)]
        if self.whole:
            return tuple(dict.fromkeys(round(p) for p in points))
        return tuple(_short(p) for p in points)

    @property
    def whole(self) -> bool:
        """Whether the range holds whole numbers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def labels(self) -> tuple[str, ...]:
        """The choices as text, which survives every transport between chief and workers."""
        return _labels(self.choices or ())

    @property
    def fixed(self) -> bool:
        """Whether there is nothing to choose."""
        return self.choices is not None and len(self.choices) == 1


@register("class")
class SearchSpace(RootModel[dict[str, Dimension]]):
    """Dimensions by dotted key: ``{"model.kappa": {"low": 0.001, "high": 0.05, "log": true}}``.

    A dimension with one value is not searched: with `when` it says what else a choice needs.

    Raises:
        ValueError: naming the key whose name, `when` or value is wrong.

    Example:
        >>> from idefn_tf.tuning import SearchSpace
        >>> kappa = {"low": 0.001, "high": 0.05, "log": True}
        >>> batch_size = {"values": [512, 2048]}
        >>> space = SearchSpace.model_validate({"model.kappa": kappa, "batch": batch_size})
        >>> len(space.root), space.root["batch"].values
        (2, (512, 2048))
    """

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _check(self) -> SearchSpace:
        if not self.root:
            raise ValueError("must hold at least one key, such as optimizer.learning_rate")
        seen: dict[str, Dimension] = {}
        for key, dimension in self.root.items():
            if not _KEY.match(key):
                raise ValueError(f"{key!r} must be a dotted key such as model.kappa")
            for parent, allowed in dimension.when.items():
                if parent not in seen or seen[parent].choices is None:
                    raise ValueError(
                        f"{key}.when: {parent!r} must be a key with `values` that stands before "
                        f"{key!r}, received {list(seen)}"
                    )
                known = seen[parent].labels
                if not allowed or any(label not in known for label in _labels(allowed)):
                    raise ValueError(
                        f"{key}.when.{parent}: must be among {list(seen[parent].choices or ())}, "
                        f"received {list(allowed)}"
                    )
            seen[key] = dimension
        return self

    def items(self) -> Iterator[tuple[str, Dimension]]:
        """Iterates over (key, dimension) in order."""
        yield from self.root.items()

    def require_finite(self) -> None:
        """Refuses a range without steps, of which a grid has no end.

        Raises:
            ValueError: naming the key.
        """
        for key, dimension in self.items():
            if dimension.choices is None and not dimension.whole:
                raise ValueError(
                    f"tuning.space.{key}: a grid needs `values` or a number of `steps`, received "
                    f"the range {dimension.low} to {dimension.high}; add `steps: 4`"
                )

    def declare(self, hp: Any) -> dict[str, Any]:
        """Registers every dimension and reads what is chosen.

        Args:
            hp: ``keras_tuner.HyperParameters``.

        Returns:
            {key: value} of the dimensions that apply, in the types of the space.
        """
        chosen: dict[str, Any] = {}
        for key, dimension in self.items():
            with contextlib.ExitStack() as scopes:
                for parent, labels in self._conditions(key):
                    scopes.enter_context(hp.conditional_scope(parent, list(labels)))
                value = _ask(hp, key, dimension)
            if all(
                parent in chosen and _label(chosen[parent]) in _labels(allowed)
                for parent, allowed in dimension.when.items()
            ):
                chosen[key] = value
        return chosen

    def _conditions(self, key: str) -> list[tuple[str, tuple[str, ...]]]:
        """The scopes that a dimension stands in, outermost first."""
        found = []
        for parent, allowed in self.root[key].when.items():
            found += self._conditions(parent)
            if not self.root[parent].fixed:
                found.append((parent, _labels(allowed)))
        return found

    def settings(self, hp: Any, base: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `base` with the chosen values at their dotted keys.

        Args:
            hp: ``keras_tuner.HyperParameters``.
            base: nested settings; not changed.

        Raises:
            ValueError: if a key leads through something that is no mapping.
        """
        return put(base, self.declare(hp))


def put(base: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a copy of nested settings with values put in at dotted keys.

    Raises:
        ValueError: if a key leads through something that is no mapping.
    """
    result: dict[str, Any] = copy.deepcopy(dict(base))
    for key, value in chosen.items():
        put_at(result, key, copy.deepcopy(value), f"tuning.space.{key}")
    return result


def put_at(settings: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Puts a value at a dotted key, making the groups that lead there.

    Args:
        settings: nested settings, changed in place.
        key: such as "model.transport.epsilon".
        value: what is put there.
        where: what asks for it, for the message.

    Raises:
        ValueError: if the key leads through something that is no mapping.
    """
    *path, last = key.split(".")
    at = settings
    for part in path:
        if at.get(part) is None:
            at[part] = {}
        at = at[part]
        if not isinstance(at, dict):
            raise ValueError(f"{where}: {part!r} is not a group of keys")
    at[last] = value


def _label(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _labels(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(_label(value) for value in values)


def _ask(hp: Any, key: str, dimension: Dimension) -> Any:
    """Registers one dimension and returns its value (meaningless where it does not apply)."""
    choices = dimension.choices
    if choices is not None:
        if len(choices) == 1:
            return choices[0]
        labels = list(dimension.labels)
        label = hp.Choice(key, labels)
        return choices[labels.index(label)] if label in labels else None
    assert dimension.low is not None
    assert dimension.high is not None
    sampling = "log" if dimension.log else "linear"
    if dimension.whole:
        value = hp.Int(key, int(dimension.low), int(dimension.high), sampling=sampling)
        return None if value is None else int(value)
    value = hp.Float(key, float(dimension.low), float(dimension.high), sampling=sampling)
    return None if value is None else _short(value)


def _short(value: float) -> float:
    """Six digits: what a config shows is what was trained, also after a float32 transport."""
    return float(f"{value:.6g}")
