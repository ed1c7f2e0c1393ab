"""YAML that refuses what PyYAML lets through, duplicate keys, and knows the line of each key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from idefn_tf._files import write_text
from idefn_tf.schema.explain import dotted

Path_ = tuple[str | int, ...]

#: A float as Python writes it, which YAML 1.1 takes for a text: 1e-3, 1e6.
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$")


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with floats as Python reads them."""


class Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which quotes what `Loader` would take for a number."""


for _kind in (Loader, Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


@dataclass(frozen=True)
class Document:
    """A parsed file: its value, and the line of every key in it."""

    path: str
    value: Any
    lines: dict[Path_, int] = field(default_factory=dict)

    def place(self, location: Path_) -> str:
        """Returns "file:line" of the innermost part of `location` that the file holds."""
        for end in range(len(location), -1, -1):
            if location[:end] in self.lines:
                return f"{self.path}:{self.lines[location[:end]]}"
        return self.path


def read(path: str | Path) -> Document:
    """Reads a YAML file with its line numbers.

    Raises:
        ValueError: if the file is absent, is not YAML, or repeats a key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"path: {path} must be a readable YAML file; {error.strerror}") from None
    return parse(text, str(path))


def parse(text: str, path: str = "<text>") -> Document:
    """Parses YAML text; `path` is what errors call it."""
    try:
        node = yaml.compose(text, Loader=Loader)
        lines: dict[Path_, int] = {}
        if node is not None:
            _walk(node, (), lines, path)
        return Document(path, yaml.load(text, Loader=Loader), lines)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: is not valid YAML; {error}") from None
    except RecursionError:
        raise ValueError(f"{path}: an anchor refers to itself; write the value out") from None


def _walk(node: yaml.Node, at: Path_, lines: dict[Path_, int], path: str) -> None:
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"{path}:{key.start_mark.line + 1}: a key must be a plain word")
            here = (*at, key.value)
            if here in lines:
                raise ValueError(
                    f"{path}:{key.start_mark.line + 1}: the key {dotted(here)!r} is "
                    f"given twice (first on line {lines[here]}); remove one"
                )
            _walk(value, here, lines, path)
            lines[here] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _walk(value, (*at, i), lines, path)


def dump(value: Any, **options: Any) -> str:
    """Returns a value as YAML, in the order of its keys."""
    text: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, **options)
    return text


def write(path: str | Path, value: Any) -> None:
    """Writes YAML, whole or not at all."""
    write_text(path, dump(value))
