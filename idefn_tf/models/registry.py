"""Methods by the names that configs use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T", bound=type)

METHODS: dict[str, type] = {}


def method(name: str) -> Callable[[T], T]:
    """Registers a model class under its method's name; the class learns it as `method_name`."""

    def register(cls: T) -> T:
        METHODS[name] = cls
        cls.method_name = name  # type: ignore[attr-defined]
        return cls

    return register


def get_method(name: str) -> type:
    """Returns the model class of a method.

    Raises:
        ValueError: if the name is unknown, naming those that exist.
    """
    if name not in METHODS:
        raise ValueError(f"method: must be one of {sorted(METHODS)}, received {name!r}")
    return METHODS[name]
