"""YAML that refuses what PyYAML lets through, duplicate keys, and knows the line of each key.

Numbers are read as Python writes them. What YAML 1.1 takes for octal (010 is 8 there) or for base
60 (1:30 is 90) stays the text that stands in the file, so that a check of types can name it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from idefn_tf._files import write_text
from idefn_tf.schema.explain import dotted

Path_ = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
#: Digits without a leading 0, in base 10, 16 or 2.
_INT = re.compile(r"(?:[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?0b[01_]+)$")
#: A float as Python writes it; YAML 1.1 takes 1e-3 and 1e6 for texts.
_FLOAT = re.compile(
    r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with numbers as Python reads them."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Returns a node's value; one that its kind cannot hold is told with its line."""
        try:
            return super().construct_object(node, deep)
        except (
            ValueError,
            AttributeError,
        ) as error:  # month 13, or a tag that PyYAML does not check
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value!r} is no {node.tag.removeprefix(_TAG)}", node.start_mark
            ) from error


class Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which quotes what any YAML would take for a number."""


Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] not in (f"{_TAG}int", f"{_TAG}float")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(f"{_TAG}int", _INT, list("-+0123456789"))
for _kind in (Loader, Dumper):
    _kind.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+.0123456789"))


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
        ValueError: if the file is absent, is not YAML in UTF-8, or repeats a key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"path: {path} must be a readable YAML file; {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"path: {path} must be text in UTF-8; byte {error.start} is not; save the file as UTF-8"
        ) from None
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
        first: dict[Any, int] = {}  # by value: 1 and 0x1 are one key of a dict
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"{path}:{line}: a key must be a plain word")
            here = (*at, key.value)
            meant = key.value if key.tag == f"{_TAG}merge" else Loader("").construct_object(key)
            if meant in first:
                raise ValueError(
                    f"{path}:{line}: the key {dotted(here)!r} is "
                    f"given twice (first on line {first[meant]}); remove one"
                )
            first[meant] = line
            _walk(value, here, lines, path)
            lines[here] = line
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
