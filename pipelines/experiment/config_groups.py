"""Option records of a config's groups: what its method, backbone, optimizer and so on take."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from idefn_tf._options import Location, Problem, Record, extended, options_of, problems
from idefn_tf._rules import COUNT, FLAG, NONE, TEXT, Either, Many, OneOf, nearest
from idefn_tf.backbones import BACKBONES
from idefn_tf.encoders import ENCODERS
from idefn_tf.features import FeatureColumns
from idefn_tf.models import METHODS, TRUNKS, IdeFN
from idefn_tf.models.feedback import FEEDBACKS
from idefn_tf.models.presets import PRESETS, get_preset
from idefn_tf.optimizers import OPTIMIZERS
from idefn_tf.optimizers.keras_options import keras_optimizers, optimizer_options
from idefn_tf.transport.options import EXACT_NEEDS_NO_JIT

#: The names that groups without one have.
NAMES = {
    "optimizer": "row_sparse_adam",
    "backbone": "mlp",
    "encoder": "mean",
    "feedback": "observed",
}
_KNOWN: dict[str, Mapping[str, type]] = {
    "backbone": BACKBONES,
    "trunk": TRUNKS,
    "encoder": ENCODERS,
    "feedback": FEEDBACKS,
    "model": METHODS,
}
_OWN_CLASS = "class of your own is found once its module is imported (imports: [module])"
_DTYPES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
_LAYER = {
    "dtype": (Either((OneOf(_DTYPES), NONE)), None),
    "trainable": (FLAG, True),
}


@functools.cache
def layer_options(cls: Any) -> type[Record]:
    """Returns the record of a layer: its own arguments, and Keras' dtype and trainable."""
    return extended(options_of(cls), **_LAYER)


@functools.cache
def model_options(cls: Any) -> type[Record]:
    """Returns the record of a method: its arguments, and IdeFN's presets."""
    record = options_of(cls)
    if not issubclass(cls, IdeFN):
        return record
    return extended(record, preset=(Either((OneOf(tuple(PRESETS)), NONE)), None))


@functools.cache
def features_options() -> type[Record]:
    """Returns the record of `features`: of `FeatureColumns`, and what changes the schema's."""
    of_schema = {
        "embedding_width": (Either((COUNT, NONE)), None),
        "windows": (Either((Many(TEXT), NONE)), None),
    }
    return extended(layer_options(FeatureColumns), **of_schema)


def optimizer_class(name: Any) -> type | None:
    """Returns an optimizer's class by the name that a config writes: ours, Keras', registered."""
    if not isinstance(name, str):
        return None
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    by_name = {known.lower(): cls for known, cls in keras_optimizers().items()}
    found = by_name.get(name.lower()) or keras.saving.get_registered_object(name)
    is_class = isinstance(found, type) and issubclass(found, keras.optimizers.Optimizer)
    return found if is_class else None


def optimizer_names() -> list[str]:
    """Returns the names that `optimizer.name` may have."""
    return [*sorted(OPTIMIZERS), *sorted(keras_optimizers())]


def named_record(group: str, name: Any) -> type[Record] | None:
    """Returns the record of a group's class by its name; None for an unknown one."""
    if group == "optimizer":
        cls = optimizer_class(name)
        return None if cls is None else optimizer_options(cls)
    known = _KNOWN[group]
    if not isinstance(name, str) or name not in known:
        return None
    return model_options(known[name]) if group == "model" else layer_options(known[name])


def known_names(group: str) -> list[str]:
    """Returns the names that a group's class may have."""
    if group == "optimizer":
        return optimizer_names()
    known = _KNOWN[group]
    return sorted(known)


def name_problem(at: Location, group: str, name: Any) -> list[Problem]:
    """Returns what is wrong with the name of a group's class."""
    if named_record(group, name) is not None:
        return []
    known = known_names(group)
    if name is None:
        return [Problem(at, f"is required; add one of {known}")]
    return [
        Problem(at, f"{rule} A {_OWN_CLASS}" if rule.endswith("?") else f"{rule}; a {_OWN_CLASS}")
        for at, rule in _refused(at, OneOf(tuple(known)).check, name)
    ]


def _refused(at: Location, check: Callable[[Any], Any], value: Any) -> list[Problem]:
    try:
        check(value)
    except ValueError as error:
        return [Problem(at, str(error))]
    return []


def group_problems(config: Any) -> list[Problem]:
    """Returns what is wrong with a config's method, model, backbone, trunk, features, optimizer."""
    if wrong := name_problem(("method",), "model", config.method):
        return wrong
    found = problems(model_options(METHODS[config.method]), config.model, ("model",))
    for group in ("backbone", "trunk", "encoder", "feedback", "optimizer"):
        value = getattr(config, group)
        if value is None:
            continue
        found += _named_problems(group, value)
    found += problems(features_options(), config.features, ("features",))
    if "encoder" in config.features:
        rule = "must stand at the top level of the file, beside backbone, received it here"
        found.append(
            Problem(("features", "encoder"), f"{rule}; write encoder: {{name: ...}} there")
        )
    transport = config.model.get("transport")
    exact = isinstance(transport, Mapping) and transport.get("solver") == "exact"
    if exact and config.training.jit_compile:
        message = EXACT_NEEDS_NO_JIT.removeprefix("solver: ")
        found.append(Problem(("model", "transport", "solver"), message))
    return found


def _named_problems(group: str, value: Mapping[str, Any]) -> list[Problem]:
    """Returns what is wrong with a group whose `name` says what else it takes."""
    name = value.get("name", NAMES.get(group))
    record = named_record(group, name)
    if record is not None:
        named = extended(record, name=(TEXT, name))
        return problems(named, value, (group,))
    meant = [key for key in value if nearest(key, ["name"])] if name is None else []
    if meant:
        rule = f"unknown key, must be `name` or what it takes, received {meant[0]!r}"
        return [Problem((group, meant[0]), f"{rule}; did you mean 'name'?")]
    return name_problem((group, "name"), group, name)


def resolve_preset(value: Any) -> tuple[Any, list[Problem]]:
    """Puts the arguments of ``model: {preset: NAME}`` in its place.

    Further keys go before the preset's; those of `transport` are merged.

    Returns:
        The values without a preset, and what is wrong with it.
    """
    model = value.get("model") if isinstance(value, Mapping) else None
    if not isinstance(model, Mapping) or "preset" not in model:
        return value, []
    name, at = model["preset"], ("model", "preset")
    if wrong := _refused(at, OneOf(tuple(PRESETS)).check, name):
        return value, wrong
    method = value.get("method")
    own = {key: given for key, given in model.items() if key != "preset"}
    if name_problem(("method",), "model", method):
        return {**value, "model": own}, []  # the method's own check says more
    if not issubclass(METHODS[str(method)], IdeFN):
        rule = f"must be left out of method {method!r}, received {name!r}; presets are IdeFN's"
        return value, [Problem(at, rule)]
    preset = get_preset(name)
    if isinstance(own.get("transport"), Mapping):
        own["transport"] = {**preset.get("transport", {}), **own["transport"]}
    return {**value, "model": {**preset, **own}}, []


class KeysOfGroups(Mapping[str, str]):
    """Answers a key that stands outside of its group, as in ``--set alpha=.5``, with the group."""

    def __init__(self, **further: type[Record]) -> None:
        self._further = further

    def __getitem__(self, key: str) -> str:
        for group, record in self._records():
            if key in record.model_fields:
                return f"did you mean '{group}.{key}'?"
        raise KeyError(key)

    def _records(self) -> Iterator[tuple[str, type[Record]]]:
        yield from self._further.items()
        yield "features", features_options()
        for name in sorted(METHODS):
            yield "model", model_options(METHODS[name])
        for group, known in (("optimizer", OPTIMIZERS), *_KNOWN.items()):
            for name in sorted(known):
                if record := named_record(group, name):
                    yield group, record

    def __iter__(self) -> Iterator[str]:
        return iter(
            dict.fromkeys(key for _, record in self._records() for key in record.model_fields)
        )

    def __len__(self) -> int:
        return len(list(iter(self)))
