"""Names of TensorFlow's variables: the same for every model of one form.

TensorFlow keeps a kernel, 40 KB, for every name that a variable was ever made by, and Keras numbers
layers for as long as a process lives. Paths and names of Keras' own variables stay.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

_NUMBERED = re.compile(r"^(.*?)(?:_(\d+))?$")
_NUMBER = re.compile(r"_\d+(?=_)")


@contextlib.contextmanager
def lasting_names(of_slots: bool = False) -> Iterator[None]:
    """Numbers the layers in whose scopes variables are made anew, from the first one on.

    Args:
        of_slots: whether an optimizer makes them, which names them by paths; these lose numbers.

    Example:
        >>> from idefn_tf.models.training.variable_names import lasting_names
        >>> layer = keras.layers.Dense(2, name="dense_41")
        >>> with lasting_names():
        ...     layer.build((None, 3))
        >>> layer.kernel.path, layer.kernel.value.name
        ('dense_41/kernel', 'dense/kernel:0')
    """
    scopes: dict[str, dict[str, str]] = {}

    def make(next_creator: Callable[..., Any], **options: Any) -> Any:
        if of_slots and options.get("name"):
            options["name"] = _NUMBER.sub("", options["name"])
        with tf.name_scope(_renumbered(tf.get_current_name_scope(), scopes)):
            return next_creator(**options)

    with tf.variable_creator_scope(make):
        yield


def _renumbered(scope: str, known: dict[str, dict[str, str]]) -> str:
    """Returns a scope "model_4/tower/dense_7" as "model/tower/dense/", to be entered as it is."""
    path = ""
    for part in scope.split("/") if scope else ():
        inside = known.setdefault(path, {})
        if part not in inside:
            base = _NUMBERED.sub(r"\1", part)
            before = sum(_NUMBERED.sub(r"\1", other) == base for other in inside)
            inside[part] = f"{base}_{before}" if before else base
        path += inside[part] + "/"
    return path
