"""Learning-rate schedules: Keras' own, as objects or as configs name them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

from idefn_tf._rules import Passes


def schedule_of(value: Any) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a schedule, itself or built from {"class_name": ..., "config": {...}}.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(value, Mapping):
        value = keras.optimizers.schedules.deserialize(dict(value))
    if not isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
        raise ValueError(f"schedule: must be one of keras.optimizers.schedules, received {value!r}")
    return value


def _works(value: Any) -> None:
    if not math.isfinite(float(schedule_of(value)(0))):
        raise ValueError(f"schedule: must be finite at step 0, received {value!r}")


def _rate_works(value: Any) -> None:
    if isinstance(value, keras.Variable) or callable(value):
        return
    _works(value)


_JSON = (("type", "object"), ("required", ["class_name", "config"]))
#: A schedule object, or what a config writes for one.
SCHEDULE = Passes("a schedule {class_name: ..., config: {...}} of Keras", _works, _JSON)
#: The same of a learning rate, for which Keras takes any callable.
RATE_SCHEDULE = Passes(SCHEDULE.words, _rate_works, _JSON)
