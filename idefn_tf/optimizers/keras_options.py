"""Options that optimizers share with Keras: their rules, and those that rows cannot honour."""

from __future__ import annotations

import functools
import inspect
from dataclasses import MISSING
from typing import Annotated, Any

import keras

from idefn_tf._options import Record, record, rule_of, signature_rules
from idefn_tf._rules import MOST, Either, Number
from idefn_tf._schedule import RATE_SCHEDULE
from idefn_tf._types import CountOrNone, NonNegative, PositiveOrNone, Share, ShareBelowOne

LearningRate = Annotated[Any, Either((Number(above=0), RATE_SCHEDULE))]

#: The rules of Keras' own arguments, which its signatures do not tell.
_KERAS: dict[str, Any] = {
    "learning_rate": LearningRate,
    "beta_1": ShareBelowOne,
    "beta_2": ShareBelowOne,
    "rho": ShareBelowOne,
    "momentum": Share,
    "epsilon": NonNegative,
    "weight_decay": NonNegative | None,
    "clipnorm": PositiveOrNone,
    "clipvalue": PositiveOrNone,
    "global_clipnorm": PositiveOrNone,
    "ema_momentum": Share,
    "ema_overwrite_frequency": CountOrNone,
    "loss_scale_factor": PositiveOrNone,
    "gradient_accumulation_steps": Annotated[int, Number(least=2, most=MOST, whole=True)] | None,
}


@functools.cache
def optimizer_options(cls: Any) -> type[Record]:
    """Returns the record of an optimizer, ours or Keras', of all constructors along its classes."""
    fields: dict[str, Any] = {}
    for base in cls.__mro__:
        init = base.__dict__.get("__init__")
        if init is None or not issubclass(base, keras.optimizers.Optimizer):
            continue
        own = signature_rules(init)
        annotated = inspect.get_annotations(inspect.unwrap(init))
        for name, (rule, default) in own.items():
            if name not in annotated:
                rule = rule_of(_KERAS.get(name, _kind_of(default)))
            fields.setdefault(name, (rule, default))
    return record(cls.__name__, {k: v for k, v in fields.items() if k not in ("self", "name")})


def _kind_of(default: Any) -> Any:
    return Any if default is None or default is MISSING else type(default)


@functools.cache
def keras_optimizers() -> dict[str, type]:
    """Returns Keras' own optimizers by name."""
    found = {name: getattr(keras.optimizers, name) for name in dir(keras.optimizers)}
    base = keras.optimizers.Optimizer
    return {
        name: thing
        for name, thing in found.items()
        if isinstance(thing, type) and issubclass(thing, base) and thing is not base
    }


def refuse(options: dict[str, Any]) -> None:
    """Raises ValueError for Keras options that read or write whole tables at every step."""
    cures = {
        "amsgrad": "row-wise updates keep no running maximum",
        "use_ema": "averaging whole tables at every step is what this optimizer avoids",
        "gradient_accumulation_steps": "its accumulators are as large as the tables",
    }
    for name, reason in cures.items():
        if options.get(name):
            raise ValueError(
                f"{name}: must be off, received {options[name]!r}; {reason}. "
                "Take keras.optimizers.Adam where you need it."
            )
