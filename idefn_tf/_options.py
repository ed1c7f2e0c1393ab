"""Option records: what a class takes, derived once from its constructor's annotations.

`options_of` makes the record (a frozen pydantic model) that configs and search spaces are checked
by; `check_arguments` makes the constructor itself check by the same rules. `problems` says what is
wrong with plain values, key by key.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError, create_model
from pydantic.fields import FieldInfo

from idefn_tf._rules import (
    FLAG,
    NONE,
    TEXT,
    Anything,
    Either,
    Group,
    Many,
    Number,
    OneOf,
    Rule,
    nearest,
    shown,
)

T = TypeVar("T", bound=Callable[..., Any])
Location = tuple[str | int, ...]

#: Arguments that are built from other groups of a config.
BUILT = ("self", "features", "backbone", "trunk", "feedback", "columns", "schema", "name")
#: Packages whose constructors say nothing that could be read.
_OUTSIDE = ("builtins", "keras", "tensorflow", "tensorflow_recommenders")
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Record(BaseModel):
    """Base of option records: unknown keys are errors, values never change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), arbitrary_types_allowed=True
    )

    #: Keys of an earlier release, by what they are called today.
    renamed: typing.ClassVar[Mapping[str, str]] = {}
    #: Keys that stand elsewhere, by what would help.
    elsewhere: typing.ClassVar[Mapping[str, str]] = {}


class Problem(NamedTuple):
    """One thing that is wrong: the key it stands at, and the rule, value and cure."""

    at: Location
    message: str


# -- from annotations to rules ----------------------------------------------------------------


def rule_of(annotation: Any) -> Rule:
    """Returns the rule that an annotation carries or a plain type means; `Anything` for others."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        found = [part for part in arguments[1:] if isinstance(part, Rule)]
        return found[0] if found else rule_of(arguments[0])
    if origin is Literal:
        return OneOf(arguments)
    if origin in (Union, types.UnionType):
        rules = tuple(rule_of(part) for part in arguments)
        unknown = any(isinstance(rule, Anything) for rule in rules)
        return Anything() if unknown else Either(rules)
    if origin in (list, tuple, Sequence):
        entry = rule_of(arguments[0])
        return entry if isinstance(entry, Anything) else Many(entry)
    if origin in (dict, Mapping) or annotation in (dict, Mapping):
        return Group()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Group(annotation)
    plain: dict[Any, Rule] = {
        bool: FLAG,
        int: Number(whole=True),
        float: Number(),
        str: TEXT,
        type(None): NONE,
        None: NONE,
    }
    return plain.get(annotation, Anything()) if isinstance(annotation, type | None) else Anything()


def _annotations(init: Any) -> dict[str, Any]:
    """Returns a constructor's annotations, evaluated; those that cannot be are left out."""
    names = vars(sys.modules[init.__module__]) if init.__module__ in sys.modules else {}
    found = {}
    for name, text in getattr(init, "__annotations__", {}).items():
        try:
            found[name] = eval(text, dict(names)) if isinstance(text, str) else text
        except (
            NameError,
            AttributeError,
            TypeError,
        ):  # a name under TYPE_CHECKING, or of an enclosing function
            continue
    return found


def signature_rules(init: Any) -> dict[str, tuple[Rule, Any]]:
    """Returns {argument: (rule, default)} of one constructor; `MISSING` where there is none."""
    init = inspect.unwrap(init)
    annotations = _annotations(init)
    return {
        name: (
            rule_of(annotations.get(name, Any)),
            MISSING if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for name, parameter in inspect.signature(init).parameters.items()
        if parameter.kind not in _VARIABLE
    }


@functools.cache
def options_of(cls: Any) -> type[Record]:
    """Returns the record of a class: the arguments of its constructor and of those it extends.

    What is built from other groups (`BUILT`) is left out, and so are Keras' own arguments.
    """
    fields: dict[str, tuple[Rule, Any]] = {}
    for base in cls.__mro__:
        own = base.__dict__.get("__init__")
        if own is not None and base.__module__.partition(".")[0] not in _OUTSIDE:
            for name, pair in signature_rules(own).items():
                fields.setdefault(name, pair)
    return record(cls.__name__, {k: v for k, v in fields.items() if k not in BUILT})


def record(name: str, fields: Mapping[str, tuple[Rule, Any]]) -> type[Record]:
    """Returns a record of fields given as {key: (rule, default or `MISSING`)}."""
    made: dict[str, Any] = {
        key: (Annotated[Any, rule], ... if default is MISSING else FieldInfo(default=default))
        for key, (rule, default) in fields.items()
    }
    return create_model(name, __base__=Record, **made)


def extended(model: type[Record], **rules: tuple[Rule, Any]) -> type[Record]:
    """Returns a record with further fields, given as (rule, default)."""
    made: dict[str, Any] = {
        key: (Annotated[Any, rule], value) for key, (rule, value) in rules.items()
    }
    return create_model(model.__name__, __base__=model, **made)


# -- constructors -----------------------------------------------------------------------------


def check_arguments(cls: T) -> T:
    """Makes a class's own constructor check every argument of its signature; a class decorator.

    Errors read ``kappa: must be ..., received ...``. A class without a constructor of its own, or
    one that checks already, stays as it is.
    """
    init = vars(cls).get("__init__")
    if init is None or not inspect.isclass(cls) or hasattr(init, "checks_arguments"):
        return cls
    rules, signature = signature_rules(init), inspect.signature(init)

    @functools.wraps(init)
    def checked(*args: Any, **kwargs: Any) -> None:
        try:
            given = signature.bind_partial(*args, **kwargs).arguments
        except TypeError:
            given = {}  # Python's own words for it, from the call
        for name, value in given.items():
            if name in rules and not _is_default(value, rules[name][1]):
                _check_argument(name, *rules[name], value)
        _refuse_misspelt(cls, given.get("kwargs", {}))
        init(*args, **kwargs)

    # Keras reads a constructor's signature without following wrappers
    vars(checked).update(checks_arguments=True, __signature__=signature)
    cls.__init__ = checked  # type: ignore[method-assign]
    return cls


def _refuse_misspelt(cls: type, further: Mapping[str, Any]) -> None:
    """Raises ValueError for a keyword near one that a constructor along the classes has."""
    if not further:
        return
    inits = [vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base)]
    known = {n for init in inits if callable(init) for n in _parameters(init)}
    for name, value in further.items():
        if name not in known and (meant := nearest(name, known)):
            what = f"must be an argument of {cls.__name__}"
            raise ValueError(f"{name}: {what}, received {name}={shown(value)}{meant}")


def _parameters(init: Callable[..., Any]) -> list[str]:
    try:
        return [name for name in inspect.signature(init).parameters if name != "self"]
    except ValueError:  # one of C
        return []


def _check_argument(name: str, rule: Rule, default: Any, value: Any) -> None:
    try:
        rule.check(value)
    except ValidationError as error:
        nested = nested_record(rule)
        assert nested is not None
        found = _explained(error, nested, (name,))
        raise ValueError("\n".join(f"{dotted(at)}: {text}" for at, text in found)) from None
    except ValueError as error:
        raise ValueError(f"{name}: {_with_default(str(error), default)}") from None


def _is_default(value: Any, default: Any) -> bool:
    return value is default


def _with_default(message: str, default: Any) -> str:
    """Returns a message with the default as its cure, unless it has one."""
    plain = isinstance(default, bool | int | float | str) or default is None
    cured = message.endswith("?") or not plain
    return message if cured else f"{message}; leave it out for {default!r}"


# -- plain values -----------------------------------------------------------------------------


def problems(model: type[BaseModel], value: Any, at: Location = ()) -> list[Problem]:
    """Returns what is wrong with plain values that a record should be made of.

    Args:
        model: the record.
        value: the values by key.
        at: where they stand, before every key.
    """
    try:
        model.model_validate(value)
    except ValidationError as error:
        return _explained(error, model, at)
    return []


def _explained(error: ValidationError, model: type[BaseModel], at: Location) -> list[Problem]:
    found = []
    for item in error.errors():
        message, location = _message(item, model), (*at, *item["loc"])
        about = re.match(r"(\w+): (?=must )", message)  # a rule about several keys names one
        if about is not None:
            message, location = message[about.end() :], (*location, about[1])
        found.append(Problem(location, message))
    return found


def _message(item: Any, model: type[BaseModel]) -> str:
    """Returns one of pydantic's errors in this project's words."""
    *path, key = item["loc"] or ("",)
    kind, message, received = item["type"], item["msg"], shown(item["input"])
    owner = _record_at(model, path)
    if kind == "extra_forbidden":
        if owner is not None and key in getattr(owner, "renamed", {}):
            new = owner.renamed[key]  # type: ignore[attr-defined]
            return f"must be called {new!r}, received {key!r}; write {new}: {received}"
        known = sorted(owner.model_fields) if owner is not None else []
        name = owner.__name__ if owner is not None else "this group"
        other = getattr(owner, "elsewhere", {}).get(key)
        cure = f"; {other}" if other else nearest(key, known)
        return f"unknown key, must be one of {known} ({name}), received {key!r}{cure}"
    if kind == "missing":
        return "is required; add it"
    if kind == "value_error":
        message = message.removeprefix("Value error, ")
        field = None if owner is None else owner.model_fields.get(key)
        own = field is not None and not field.is_required() and message.startswith("must ")
        return _with_default(message, field.default) if own and field is not None else message
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"must be a group of keys, received {received}"
    return f"{message.replace('Input should be', 'must be')}, received {received}"


def nested_record(rule: Rule | None) -> type[BaseModel] | None:
    """Returns the record that a rule's groups are made of, if it has one."""
    rules = rule.rules if isinstance(rule, Either) else (rule,)
    return next((r.record for r in rules if isinstance(r, Group) and r.record is not None), None)


def field_record(field: FieldInfo) -> type[BaseModel] | None:
    """Returns the record that a field of a record holds, if it holds one."""
    rule = next((part for part in field.metadata if isinstance(part, Rule)), None)
    return nested_record(rule_of(field.annotation) if rule is None else rule)


def _record_at(model: type[BaseModel], path: Sequence[Any]) -> type[BaseModel] | None:
    at: type[BaseModel] | None = model
    for key in path:
        if at is not None and issubclass(at, RootModel):
            at = get_args(at.model_fields["root"].annotation)[1]  # of a mapping
            continue
        field = at.model_fields.get(key) if at is not None and isinstance(key, str) else None
        at = None if field is None else field_record(field)
    return at


def dotted(location: Location) -> str:
    """Writes a location as ``transport.epsilon`` or ``values[3]``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
