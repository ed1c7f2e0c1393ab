"""Validation rules: what one value may be, in words, in Python and as JSON Schema.

An annotation carries its rule (``Annotated[float, Number(above=0)]``, by the aliases below): a type
checker reads the plain type, and constructors, configs and search spaces read the rule. Nothing is
converted: a value is as it was given, or it is refused.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import CoreSchema, core_schema

#: Whole numbers go no further: TensorFlow counts in int32.
MOST = 2**31 - 1


def shown(value: Any) -> str:
    """Returns a value as an error shows it, of 80 characters at most."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def nearest(name: Any, known: Iterable[Any]) -> str:
    """Returns "; did you mean 'x'?" for a name near a known one, else nothing."""
    names = {text.casefold(): text for text in known if isinstance(text, str)}
    found = difflib.get_close_matches(str(name).casefold(), names, 1)
    return f"; did you mean {names[found[0]]!r}?" if found else ""


def _plain(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def checked(name: str, rule: Rule, value: Any, cure: str = "") -> Any:
    """Returns an argument that keeps a rule.

    Raises:
        ValueError: ``name: must be RULE, received VALUE; CURE``.
    """
    try:
        return rule.check(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}{f'; {cure}' if cure else ''}") from None


class Rule:
    """What one value may be. Subclasses say it in words and as JSON Schema, and decide."""

    @property
    def words(self) -> str:
        """The rule, to stand behind "must be"."""
        raise NotImplementedError

    def accepts(self, value: Any) -> bool:
        """Whether the value keeps the rule."""
        raise NotImplementedError

    def json(self) -> dict[str, Any]:
        """Returns the rule as JSON Schema."""
        raise NotImplementedError

    def cure(self, value: Any) -> str:
        """Returns what would help, with the separator before it, or nothing."""
        return ""

    def check(self, value: Any) -> Any:
        """Returns the value.

        Raises:
            ValueError: with the rule, what was received, and the cure.
        """
        if not self.accepts(value):
            raise ValueError(f"must be {self.words}, received {shown(value)}{self.cure(value)}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """Lets pydantic check by this rule."""
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """Lets pydantic describe this rule."""
        return self.json()


@dataclass(frozen=True)
class Number(Rule):
    """A finite number within bounds; a truth value or a text is none."""

    above: float | None = None
    least: float | None = None
    below: float | None = None
    most: float | None = None
    whole: bool = False

    @property
    def words(self) -> str:
        """As in "a number above 0 and at most 1"."""
        kind = "a whole number" if self.whole else "a finite number"
        if self.least is not None and self.most is not None:
            return f"{kind} from {_plain(self.least)} to {_plain(self.most)}"
        bounds = (
            ("above", self.above),
            ("at least", self.least),
            ("below", self.below),
            ("at most", self.most),
        )
        told = [f"{name} {_plain(bound)}" for name, bound in bounds if bound is not None]
        return " ".join([kind, " and ".join(told)]).strip()

    def accepts(self, value: Any) -> bool:
        """Whether it is a number of the kind, within the bounds."""
        kind: type = numbers.Integral if self.whole else numbers.Real
        if isinstance(value, bool) or not isinstance(value, kind):
            return False
        try:
            number = float(value)  # type: ignore[arg-type]
        except OverflowError:
            return False
        return (
            math.isfinite(number)
            and (self.above is None or number > self.above)
            and (self.least is None or number >= self.least)
            and (self.below is None or number < self.below)
            and (self.most is None or number <= self.most)
        )

    def json(self) -> dict[str, Any]:
        """Returns the bounds in JSON Schema's words."""
        bounds = {
            "exclusiveMinimum": self.above,
            "minimum": self.least,
            "exclusiveMaximum": self.below,
            "maximum": self.most,
        }
        found = {name: bound for name, bound in bounds.items() if bound is not None}
        return {"type": "integer" if self.whole else "number", **found}


@dataclass(frozen=True)
class Kind(Rule):
    """A truth value, a text, nothing: whatever a plain type says."""

    says: str
    types: tuple[type, ...]
    schema: str

    @property
    def words(self) -> str:
        """As given."""
        return self.says

    def accepts(self, value: Any) -> bool:
        """Whether it is of one of the types."""
        return isinstance(value, self.types)

    def json(self) -> dict[str, Any]:
        """Returns the type."""
        return {"type": self.schema}


@dataclass(frozen=True)
class OneOf(Rule):
    """One of some names."""

    names: tuple[Any, ...]

    @property
    def words(self) -> str:
        """As in "one of ['a', 'b']"."""
        return f"one of {list(self.names)}" if len(self.names) > 1 else repr(self.names[0])

    def accepts(self, value: Any) -> bool:
        """Whether it is one of the names, of the same type."""
        return any(type(value) is type(name) and value == name for name in self.names)

    def cure(self, value: Any) -> str:
        """Returns the nearest name."""
        return nearest(value, self.names)

    def json(self) -> dict[str, Any]:
        """Returns the names."""
        return {"enum": list(self.names)}


@dataclass(frozen=True)
class Many(Rule):
    """A list whose entries all keep a rule."""

    entry: Rule
    empty: bool = False

    @property
    def words(self) -> str:
        """As in "a list with at least one entry, each a finite number"."""
        least = "a list" if self.empty else "a list of at least one entry"
        return f"{least}, each {self.entry.words}"

    def accepts(self, value: Any) -> bool:
        """Whether it is a list, or another sequence, of such entries."""
        listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        return listed and (self.empty or len(value) > 0) and all(map(self.entry.accepts, value))

    def json(self) -> dict[str, Any]:
        """Returns an array."""
        return {"type": "array", "items": self.entry.json(), "minItems": 0 if self.empty else 1}


@dataclass(frozen=True)
class Group(Rule):
    """A mapping of keys; with a record, of its keys."""

    record: type[BaseModel] | None = None

    @property
    def words(self) -> str:
        """What it is, not what it holds."""
        return "a group of keys"

    def accepts(self, value: Any) -> bool:
        """Whether it is a mapping, or the record itself."""
        own = self.record is not None and isinstance(value, self.record)
        return own or isinstance(value, Mapping)

    def check(self, value: Any) -> Any:
        """Returns the value; errors of its keys are the record's."""
        super().check(value)
        if self.record is not None and isinstance(value, Mapping):
            self.record.model_validate(dict(value))
        return value

    def json(self) -> dict[str, Any]:
        """Returns the record's keys."""
        return {"type": "object"} if self.record is None else self.record.model_json_schema()


@dataclass(frozen=True)
class Either(Rule):
    """One of several rules."""

    rules: tuple[Rule, ...]

    @property
    def words(self) -> str:
        """As in "a finite number above 0 or none"."""
        return " or ".join(dict.fromkeys(rule.words for rule in self.rules))

    def accepts(self, value: Any) -> bool:
        """Whether one of the rules accepts it."""
        return any(rule.accepts(value) for rule in self.rules)

    def cure(self, value: Any) -> str:
        """Returns the first cure that a rule knows."""
        return next((text for rule in self.rules if (text := rule.cure(value))), "")

    def check(self, value: Any) -> Any:
        """Returns the value; a group is checked key by key."""
        for rule in self.rules:
            if isinstance(rule, Group) and rule.accepts(value):
                return rule.check(value)
        return super().check(value)

    def json(self) -> dict[str, Any]:
        """Returns the alternatives; a group is described by its record, if there is one."""
        groups = [rule for rule in self.rules if isinstance(rule, Group) and rule.record]
        plain = [rule for rule in self.rules if not isinstance(rule, Group)]
        told = [*groups, *plain] if groups else self.rules
        return {"anyOf": [rule.json() for rule in told]}


@dataclass(frozen=True)
class Passes(Rule):
    """What a function accepts: it returns for a good value and raises for any other."""

    says: str
    test: Callable[[Any], Any]
    schema: tuple[tuple[str, Any], ...] = ()

    @property
    def words(self) -> str:
        """As given."""
        return self.says

    def accepts(self, value: Any) -> bool:
        """Whether the function returns."""
        try:
            self.test(value)
        except Exception:  # noqa: BLE001 (whatever a library raises for what it does not know)
            return False
        return True

    def json(self) -> dict[str, Any]:
        """Returns what is known of it."""
        return dict(self.schema)


class Anything(Rule):
    """A value of which nothing is known here."""

    words = "anything"

    def accepts(self, value: Any) -> bool:
        """Accepts it."""
        return True

    def json(self) -> dict[str, Any]:
        """Returns no rule."""
        return {}


NONE = Kind("none", (type(None),), "null")
FLAG = Kind("true or false", (bool,), "boolean")
TEXT = Kind("a text", (str,), "string")
COUNT = Number(least=1, most=MOST, whole=True)
