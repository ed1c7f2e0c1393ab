"""Methods by the names that configs use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from idefn_tf._registry import METHODS, register

T = TypeVar("T", bound=type)

__all__ = ["METHODS", "get_method", "method"]


def method(name: str) -> Callable[[T], T]:
    """Registers a model class under its method's name; short for ``register("method", name)``.

    Example:
        >>> from idefn_tf.models import AllNegative, get_method, method
        >>> @method("twice_negative")
        ... class TwiceNegative(AllNegative):
        ...     def compute_losses(self, outputs, batch):
        ...         losses = super().compute_losses(outputs, batch)
        ...         return {name: 2.0 * loss for name, loss in losses.items()}
        >>> model = get_method("twice_negative")(features, MLP((8,)))
        >>> round(float(model.compute_losses(outputs, batch)["ctr_loss"]), 4)  # 2 ln 2
        1.3863
    """
    return register("method", name)


def get_method(name: str) -> type:
    """Returns the model class of a method.

    Raises:
        ValueError: if the name is unknown, naming those that exist.

    Example:
        >>> from idefn_tf.models import get_method
        >>> get_method("esmm")(features, MLP((8,)), ctr_weight=2.0).ctr_weight
        2.0
    """
    if name not in METHODS:
        raise ValueError(
            f"method: must be one of {sorted(METHODS)}, received {name!r}; a class of your own is "
            "found once its module is imported (in a config: imports: [module])"
        )
    return METHODS[name]
