"""protobuf's text format edited in place: which words stand where, and what to cut.

A file is read into a tree of fields with their places in the text, so that one field can be
replaced while everything else, comments and layout included, stays as it is.
"""

from __future__ import annotations

import dataclasses
import re

from serving.common import proto_text

_TOKEN = re.compile(
    r"""(?P<space>[\s,;:]+|\#[^\n]*)
      |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      |(?P<open>[{<]) |(?P<close>[}>])
      |(?P<word>[-+.\w/]+)
      |(?P<other>.)""",
    re.VERBOSE,
)


@dataclasses.dataclass
class Node:
    """A field of the text: its name, where it stands, and the fields inside it."""

    name: str
    start: int
    end: int = 0
    value: str = ""
    inside: list[Node] = dataclasses.field(default_factory=list)

    def all(self, name: str) -> list[Node]:
        """Returns the fields of that name inside."""
        return [node for node in self.inside if node.name == name]


def find_model(text: str, name: str) -> Node:
    """Returns the block of a model in a models.config.

    Args:
        text: the file.
        name: the model's name.

    Raises:
        ValueError: if no block in braces has that name.
    """
    for listed in _tree(text).all("model_config_list"):
        for block in listed.all("config"):
            if _name(text[block.start : block.end]) == name:
                return block
    raise ValueError(f'config: no `config {{ name: "{name}" ... }}` in braces to edit')


def _name(block: str) -> str | None:
    """Returns the name in a block `config {...}`, as servers read it."""
    try:
        (model,) = proto_text.parse(block, "ModelConfigList").config
    except ValueError:  # more than one in brackets, which is not edited
        return None
    name: str = model.name
    return name


def _tree(text: str) -> Node:
    root = Node("", 0, len(text))
    stack, last = [root], Node("", 0)
    for match in _TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match.group()
        if kind == "open":
            stack.append(last)
        elif kind == "close" and len(stack) > 1:
            stack.pop().end = match.end()
            last = Node("", 0)
        elif kind in ("word", "string"):
            if last.name and not last.value and not last.inside and _is_value(text, last, match):
                last.value, last.end = token, match.end()
            else:
                last = Node(token, match.start(), match.end())
                stack[-1].inside.append(last)
    return root


def _is_value(text: str, field: Node, match: re.Match[str]) -> bool:
    """Whether a colon stands between a field's name and a token."""
    return ":" in re.sub(r"#[^\n]*", "", text[field.start + len(field.name) : match.start()])


def edits(text: str, block: Node, name: str, lines: list[str]) -> list[tuple[int, int, str]]:
    """Returns the cuts (start, end, new text) that put lines in the place of a block's fields.

    Args:
        text: the file.
        block: what `find_model` gave.
        name: of the fields to replace.
        lines: what replaces them; nothing removes them.
    """
    old = block.all(name)
    margin = _margin(text, (old or block.inside)[0].start)
    new = f"\n{margin}".join(lines)
    if not old:
        at = block.inside[-1].end
        return [(at, at, f"\n{margin}{new}")] if lines else []
    first, *others = [(node.start, node.end) for node in old]
    cuts = [(*first, new)] if lines else [(*_whole_line(text, *first), "")]
    return cuts + [(*_whole_line(text, *span), "") for span in others]


def _margin(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line if not line.strip() else ""


def _whole_line(text: str, start: int, end: int) -> tuple[int, int]:
    """Widens a span to its line where nothing else stands on it."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    last = len(text) if last < 0 else last
    alone = not text[first:start].strip() and not text[end:last].strip()
    return (first, min(last + 1, len(text))) if alone else (start, end)
