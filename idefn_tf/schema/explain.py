"""What is wrong in a schema, said in the words of this library: place, key, rule, value, cure."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from idefn_tf._rules import nearest, shown

Location = tuple[str | int, ...]

#: What pydantic calls a rule, and how it reads here; its bounds stand in `ctx`.
_RULES = {
    "greater_than": "above {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "below {lt:g}",
    "less_than_equal": "{le:g} or less",
    "string_pattern_mismatch": "text of the form {pattern}",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "model_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "tuple_type": "a list",
    "list_type": "a list",
}


def explain(error: ValidationError, model: type[BaseModel], place: Any, what: str) -> str:
    """Turns pydantic's error into lines of "place: key: must be RULE, received VALUE; cure".

    Args:
        error: what pydantic found.
        model: what was being read.
        place: gives "file:line" of a key; None for no file.
        what: the name of the whole, where no key is at fault.
    """
    found = error.errors()
    rows = []
    for item in found:
        location = tuple(item["loc"])
        if item["type"] == "too_short" and any(_within(other, location) for other in found):
            continue  # pydantic counts the sound ones only
        missing = [i["loc"][-1] for i in found if _sibling(i, location) and i["type"] == "missing"]
        message = _message(item, model, missing)
        where = f"{place(location or _named(message))}: " if place else ""
        rows.append(f"{where}{dotted(location) or what}: {message}")
    return "\n".join(rows)


def dotted(location: Location) -> str:
    """Writes a location as ``features[3].kind``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _message(item: Any, model: type[BaseModel], missing: list[Any]) -> str:
    kind, location, received = item["type"], tuple(item["loc"]), item.get("input")
    if kind == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    parent = _model_at(model, location[:-1])
    if kind == "extra_forbidden":
        known = sorted(_keys(parent)) if parent else []
        meant = nearest(location[-1], missing) or nearest(location[-1], known)
        cure = meant or f"; remove it, or take one of {', '.join(known)}"
        return f"must be a key of the schema, received {location[-1]!r}{cure}"
    if kind == "missing":
        choices = _choices(_keys(parent)[str(location[-1])]) if parent else ()
        one = f", one of {', '.join(map(str, choices))}" if choices else ""
        return f"must be given, received nothing; add it{one}"
    if kind == "literal_error":
        cure = nearest(received, re.findall(r"'([^']*)'", str(item["ctx"]["expected"])))
        return f"must be {item['ctx']['expected']}, received {shown(received)}{cure}"
    if kind in _RULES:
        rule = _RULES[kind].format(**item.get("ctx", {}))
        return f"must be {rule}, received {shown(received)}"
    return f"{item['msg']}, received {shown(received)}"


def _within(item: Any, location: Location) -> bool:
    loc = tuple(item["loc"])
    return len(loc) > len(location) and loc[: len(location)] == location


def _sibling(item: Any, location: Location) -> bool:
    loc = tuple(item["loc"])
    return len(loc) == len(location) and loc[:-1] == location[:-1]


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    """The type of each key, by the name that a file gives it."""
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """The part of a schema that a location lies in; None where there may be several."""
    here: Any = model
    for part in location:
        if isinstance(part, int):
            continue  # an entry of a list, whose type `_models` sees through
        keys = _keys(here)
        if part not in keys:
            return None
        found = list(_models(keys[str(part)]))
        if len(found) != 1:
            return None
        here = found[0]
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(choice for part in get_args(annotation) for choice in _choices(part))
    return ()


def _named(message: str) -> Location:
    """Returns the key that a rule about the whole names first: ``features[3].kind: ...``."""
    found = re.match(r"[\w.\[\]]+(?=: )", message)
    parts = re.findall(r"\w+", found[0]) if found else ()
    return tuple(int(part) if part.isdigit() else part for part in parts)
