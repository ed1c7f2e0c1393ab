"""Class registry: one decorator that marks a public name, registers it with Keras, and names it.

What configs build (methods, backbones, trunks, optimizers) stands in one dict a kind, by the name
that configs use. The same decorator lets Keras load saved files without ``custom_objects``, and
marks the names of the front door (`idefn_tf._front_door` reads the marks from the source text).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

T = TypeVar("T", bound=Callable[..., Any])

Kind = Literal[
    "method",
    "control",
    "backbone",
    "trunk",
    "optimizer",
    "encoder",
    "feedback",
    "layer",
    "metric",
    "callback",
    "function",
    "class",
]

#: Methods and controls by the name that configs use.
METHODS: dict[str, type] = {}
#: Classes that configs build, by kind, then by name. Controls are methods that a relabelling
#: must beat: one dict holds both.
REGISTRIES: dict[str, dict[str, Any]] = {
    "method": METHODS,
    "control": METHODS,
    "backbone": {},
    "trunk": {},
    "optimizer": {},
    "encoder": {},
    "feedback": {},
}
#: Kinds whose classes stand in saved Keras files.
SAVED = (*REGISTRIES, "layer", "metric")
#: Kinds that are marked and nothing else.
MARKED = ("callback", "function", "class")

#: Kinds whose class learns its name, and as what.
_LEARNS_NAME = {"method": "method_name", "control": "method_name"}


def register(kind: Kind, name: str | None = None, *, public: bool = True) -> Callable[[T], T]:
    """Registers a class under its name in configs and in saved Keras files.

    Example: ``@register("method", "my_method")`` over a class that extends `EntireSpaceModel`;
    ``method: my_method`` in a config then finds it.

    Args:
        kind: what it is. "method", "control", "backbone", "trunk", "optimizer", "encoder" and
            "feedback" need a name; "layer" and "metric" are registered with Keras alone;
            "callback", "function" and "class" are marked only.
        name: the name that configs use.
        public: whether a class of this library stands in ``idefn_tf`` itself.

    Raises:
        ValueError: if the kind is unknown, the name is missing, or another class has it.

    A class that `keras.saving.register_keras_serializable` has named keeps that name; else it is
    named ``PACKAGE>CLASS`` after the top-level package of its module.
    """
    _check_kind(kind, name)

    def decorate(thing: T) -> T:
        if name is not None:
            _refuse_taken(REGISTRIES[kind].get(name), thing, f"{kind} {name!r}")
            _check_arguments(thing)
        if kind in SAVED:
            _register_with_keras(thing)
        if name is not None:
            REGISTRIES[kind][name] = thing
            if kind in _LEARNS_NAME:
                setattr(thing, _LEARNS_NAME[kind], name)
        return thing

    return decorate


def find(kind: Kind, given: Any, base: type, default: Callable[[], Any]) -> Any:
    """Returns what is given by itself, or by name with its defaults, or the default for None.

    Args:
        kind: which names count.
        given: an instance of `base`, a name, or None.
        base: what instances extend.
        default: makes what None stands for.

    Raises:
        ValueError: if the name is unknown, naming those that exist.
    """
    if given is None:
        return default()
    if isinstance(given, base):
        return given
    known = REGISTRIES[kind]
    if not isinstance(given, str) or given not in known:
        raise ValueError(
            f"{kind}: must be one of {sorted(known)}, or a {base.__name__}, received {given!r}"
        )
    return known[given]()


def _check_kind(kind: str, name: str | None) -> None:
    if kind not in SAVED and kind not in MARKED:
        raise ValueError(f"kind: must be one of {[*SAVED, *MARKED]}, received {kind!r}")
    if (name is not None) != (kind in REGISTRIES):
        rule = "the name that configs use" if kind in REGISTRIES else f"left out for a {kind}"
        raise ValueError(f"name: must be {rule}, received {name!r}")


def _check_arguments(thing: Any) -> None:
    from idefn_tf._options import check_arguments  # pydantic, once something has options

    check_arguments(thing)


def _register_with_keras(thing: Any) -> None:
    """Names a class for saved files, unless Keras has a name for it.

    Raises:
        ValueError: if another class of the same package has the name.
    """
    import keras

    if keras.saving.get_registered_name(thing) != thing.__name__:
        return
    package = thing.__module__.partition(".")[0]
    saved_as = f"{package}>{thing.__name__}"
    _refuse_taken(keras.saving.get_registered_object(saved_as), thing, f"saved name {saved_as!r}")
    keras.saving.register_keras_serializable(package=package)(thing)


def _refuse_taken(holder: Any, thing: Any, what: str) -> None:
    """Refuses a second class of a name; the same class of a module that is run again is none.

    Raises:
        ValueError: naming both classes.
    """
    if holder is not None and _place(holder) != _place(thing):
        raise ValueError(
            f"{what}: must name one class, received {_place(thing)} beside {_place(holder)}; "
            "give the new class another name"
        )


def _place(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
