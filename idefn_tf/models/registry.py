"""Methods by the names that configs use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from idefn_tf._registry import METHODS, register

T = TypeVar("T", bound=type)

__all__ = ["METHODS", "get_method", "method"]


def method(name: str) -> Callable[[T], T]:
    """Registers a model class under its method's name; short for ``register("method", name)``."""
    return register("method", name)


def get_method(name: str) -> type:
    """Returns the model class of a method.

    Raises:
        ValueError: if the name is unknown, naming those that exist.
    """
    if name not in METHODS:
        raise ValueError(
            f"method: must be one of {sorted(METHODS)}, received {name!r}; a class of your own is "
            "found once its module is imported (in a config: imports: [module])"
        )
    return METHODS[name]
