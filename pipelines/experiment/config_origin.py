"""Where a config's values come from: a line of its file, or a --set; and how errors say so."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from idefn_tf._options import Location, Problem, dotted
from idefn_tf.schema import strict_yaml
from idefn_tf.schema.strict_yaml import Document
from idefn_tf.tuning.space import put_at


@dataclass(frozen=True)
class Origin:
    """The file and the overrides of a config; any two are equal, as configs are by their values.

    Attributes:
        document: the file, if there is one.
        overrides: the text of every --set, by the location that it sets.
    """

    document: Document | None = field(default=None, compare=False)
    overrides: Mapping[Location, str] = field(default_factory=dict, compare=False)

    def override(self, value: Any, text: str) -> Origin:
        """Puts an override such as "model.kappa=0.01" into plain values.

        Returns:
            The origin with it.

        Raises:
            ValueError: naming the override.
        """
        key, equals, raw = text.partition("=")
        if not equals or not key:
            raise ValueError(f"--set: must look like model.kappa=0.01, received {text!r}")
        if not isinstance(value, dict):
            raise ValueError(f"--set {text}: the config must be a group of keys")
        put_at(value, key, strict_yaml.parse(raw, f"--set {text}").value, f"--set {text}")
        return Origin(self.document, {**self.overrides, tuple(key.split(".")): f"--set {text}"})

    def place(self, at: Location) -> str:
        """Returns "--set ..." or "file:line" of a location, with ": " behind, or nothing."""
        for end in range(len(at), 0, -1):
            if at[:end] in self.overrides:
                return f"{self.overrides[at[:end]]}: "
        lines = {} if self.document is None else self.document.lines
        for end in range(len(at), 0, -1):
            if at[:end] in lines:
                break
            for key, text in self.overrides.items():
                if key[:end] == at[:end]:
                    return f"{text}: "
        return "" if self.document is None else f"{self.document.place(at)}: "

    @property
    def file_and_line(self) -> Callable[[Location], str] | None:
        """What `place` says without its end; None where nothing is known."""
        if self.document is None and not self.overrides:
            return None
        return lambda at: self.place(at).removesuffix(": ")

    def refuse(self, problems: Iterable[Problem]) -> None:
        """Raises ValueError with a line for every problem, if there is one."""
        lines = [f"{self.place(at)}{dotted(at) or 'config'}: {message}" for at, message in problems]
        if lines:
            raise ValueError("\n".join(lines))

    @contextlib.contextmanager
    def blames(self, group: str, groups: Iterable[str]) -> Iterator[None]:
        """Gives the errors of a constructor the place of the config's key that they are about.

        Args:
            group: whose values are used.
            groups: all of the config's groups; an error may name another one.
        """
        try:
            yield
        except (TypeError, ValueError) as error:
            text = str(error)
            about = re.match(r"`?([a-z]\w*(?:\.\w+)*)`?: ", text)
            path = tuple(about[1].split(".")) if about else ()
            if path[:1] and path[0] in groups:
                at: Location = path
            else:
                at = (group, *path)
            rest = text[about.end() :] if about else text
            raise ValueError(f"{self.place(at)}{dotted(at)}: {rest}") from error
