"""models.config edited in place: labels and the versions to load, comments kept.

TensorFlow Serving re-reads the file (--model_config_file_poll_wait_seconds), so it is written
beside and renamed. Every change of a label is noted in `<file>.history.jsonl`, from which
`serving.promote rollback` takes the version before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serving.server.config import ConfigError, ModelConfig, VersionPolicy, read_model_config

_TOKEN = re.compile(
    r"""(?P<space>[\s,;:]+|\#[^\n]*)
      |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      |(?P<open>[{<]) |(?P<close>[}>])
      |(?P<word>[-+.\w/]+)
      |(?P<other>.)""",
    re.VERBOSE,
)


@dataclasses.dataclass
class _Node:
    """A field of the text: its name, where it stands, and the fields inside it."""

    name: str
    start: int
    end: int = 0
    value: str = ""
    inside: list[_Node] = dataclasses.field(default_factory=list)

    def all(self, name: str) -> list[_Node]:
        return [node for node in self.inside if node.name == name]


class ModelsConfig:
    """The file behind --model_config_file.

    Args:
        path: the file, in protobuf's text format.

    Raises:
        ValueError: if the file cannot be read or a field is wrong.
    """

    def __init__(self, path: str | Path) -> None:
        # behind a link lies the file that a rename must replace
        self.path = Path(path).resolve()
        self.history_path = self.path.with_name(f"{self.path.name}.history.jsonl")

    @classmethod
    def create(
        cls, path: str | Path, model: str, base_path: Path, label: str, version: int
    ) -> ModelsConfig:
        """Writes a file for one model, with one label.

        Raises:
            ValueError: if the file is there already.
        """
        text = (
            "# What a model server loads, and what its labels mean; edited by serving.promote.\n"
            "model_config_list {\n  config {\n"
            f"    name: {json.dumps(model)}\n"
            f"    base_path: {json.dumps(str(base_path.resolve()))}\n"
            '    model_platform: "tensorflow"\n'
            f"    {_render_policy(VersionPolicy('specific', versions=(version,)))[0]}\n"
            f"    version_labels {{ key: {json.dumps(label)} value: {version} }}\n"
            "  }\n}\n"
        )
        try:
            with Path(path).open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise ValueError(f"config: {path} is there already; edit it with `set`") from None
        return cls(path)

    @property
    def models(self) -> dict[str, ModelConfig]:
        """The models by name."""
        try:
            return {model.name: model for model in read_model_config(str(self.path))}
        except ConfigError as error:
            raise ValueError(f"config: {error}") from None

    def model(self, name: str) -> ModelConfig:
        """Returns one model.

        Raises:
            ValueError: if the file lists none of that name.
        """
        models = self.models
        if name not in models:
            raise ValueError(f"model: {self.path} lists {sorted(models)}, received {name!r}")
        return models[name]

    def history(self, model: str, label: str) -> list[int | None]:
        """Returns the versions that the label had before, the one to roll back to last.

        None stands for the time when there was no such label.
        """
        before: list[int | None] = []
        for entry in self._entries():
            if (entry["model"], entry["label"]) != (model, label):
                continue
            if entry["action"] == "rollback":
                before = before[:-1]
            else:
                before.append(entry["from"])
        return before

    def rollback_targets(self, model: str) -> set[int]:
        """Returns the version before of every label that the model has."""
        targets = set()
        for label, _ in self.model(model).labels:
            before = self.history(model, label)
            if before and before[-1] is not None:
                targets.add(before[-1])
        return targets

    def protected_versions(self, model: str) -> set[int]:
        """Returns the versions that no clean-up may remove: labelled, pinned, or to go back to."""
        found = self.model(model)
        pinned = found.policy.versions if found.policy.kind == "specific" else ()
        return {*dict(found.labels).values(), *pinned, *self.rollback_targets(model)}

    def pin(self, model: str, versions: set[int]) -> bool:
        """Makes servers load these versions beside those labelled.

        Versions that a label once had and that nothing needs any more are dropped; versions pinned
        by hand stay.

        Returns:
            Whether the file changed. Under the policy `all` it never does.
        """
        with self._locked():
            found = self.model(model)
            if found.policy.kind == "all":
                return False
            old = found.policy.versions if found.policy.kind == "specific" else ()
            needed = {*versions, *dict(found.labels).values(), *self.rollback_targets(model)}
            stale = {e["from"] for e in self._entries() if e["model"] == model} - needed
            wanted = tuple(sorted({*old, *needed} - stale))
            if wanted == old:
                return False
            policy = VersionPolicy("specific", versions=wanted)
            self._write(dataclasses.replace(found, policy=policy))
            return True

    def label(self, model: str, label: str, version: int | None, action: str = "set") -> int | None:
        """Gives a label to a version, or takes the label away.

        Args:
            model: the model's name.
            label: the label.
            version: its new version; None removes the label.
            action: "set" or "rollback", for the history.

        Returns:
            The version that had it before.
        """
        with self._locked() as history:
            found = self.model(model)
            labels = dict(found.labels)
            before = labels.pop(label, None)
            if before == version:
                return before
            if version is not None:
                labels[label] = version
            self._write(dataclasses.replace(found, labels=tuple(sorted(labels.items()))))
            entry = {
                "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "action": action,
                "model": model,
                "label": label,
                "from": before,
                "to": version,
            }
            history.write(json.dumps(entry) + "\n")
            return before

    def _entries(self) -> list[dict[str, Any]]:
        if not self.history_path.is_file():
            return []
        lines = self.history_path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.strip()]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[Any]:
        """Keeps a second promotion waiting until this one is written."""
        with self.history_path.open("a", encoding="utf-8") as history:
            fcntl.flock(history, fcntl.LOCK_EX)
            yield history

    def _write(self, wanted: ModelConfig) -> None:
        """Changes labels and policy of one model in the text, and nothing else."""
        text = self.path.read_text(encoding="utf-8")
        block = _find(text, wanted.name)
        edits = _edits(text, block, "version_labels", _render_labels(wanted))
        policy = block.all("model_version_policy")
        if wanted.policy != self.model(wanted.name).policy or policy:
            edits += _edits(text, block, "model_version_policy", _render_policy(wanted.policy))
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        beside = self.path.with_name(f".tmp-{self.path.name}-{os.getpid()}")
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            made = {m.name: m for m in read_model_config(str(beside))}[wanted.name]
            if (made.policy, sorted(made.labels)) != (wanted.policy, sorted(wanted.labels)):
                raise ValueError(
                    f"config: {self.path} could not be edited: it would read {made}; write "
                    "version_labels and model_version_policy as messages in braces"
                )
            os.chmod(beside, self.path.stat().st_mode & 0o777)
            os.replace(beside, self.path)
        finally:
            beside.unlink(missing_ok=True)


def _find(text: str, name: str) -> _Node:
    for listed in _tree(text).all("model_config_list"):
        for block in listed.all("config"):
            if any(node.value.strip("\"'") == name for node in block.all("name")):
                return block
    raise ValueError(f'config: no `config {{ name: "{name}" ... }}` in braces to edit')


def _tree(text: str) -> _Node:
    root = _Node("", 0, len(text))
    stack, last = [root], _Node("", 0)
    for match in _TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match.group()
        if kind == "open":
            stack.append(last)
        elif kind == "close" and len(stack) > 1:
            stack.pop().end = match.end()
            last = _Node("", 0)
        elif kind in ("word", "string"):
            if last.name and not last.value and not last.inside and _is_value(text, last, match):
                last.value, last.end = token, match.end()
            else:
                last = _Node(token, match.start(), match.end())
                stack[-1].inside.append(last)
    return root


def _is_value(text: str, field: _Node, match: re.Match[str]) -> bool:
    """Whether a colon stands between a field's name and a token."""
    return ":" in re.sub(r"#[^\n]*", "", text[field.start + len(field.name) : match.start()])


def _edits(text: str, block: _Node, name: str, lines: list[str]) -> list[tuple[int, int, str]]:
    """Returns the cuts that put `lines` in the place of the block's fields called `name`."""
    old = block.all(name)
    margin = _margin(text, (old or block.inside)[0].start)
    new = f"\n{margin}".join(lines)
    if not old:
        at = block.inside[-1].end
        return [(at, at, f"\n{margin}{new}")] if lines else []
    first, *others = [(node.start, node.end) for node in old]
    edits = [(*first, new)] if lines else [(*_whole_line(text, *first), "")]
    return edits + [(*_whole_line(text, *span), "") for span in others]


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


def _render_labels(model: ModelConfig) -> list[str]:
    return [
        f"version_labels {{ key: {json.dumps(label)} value: {version} }}"
        for label, version in sorted(model.labels)
    ]


def _render_policy(policy: VersionPolicy) -> list[str]:
    if policy.kind == "all":
        return ["model_version_policy { all {} }"]
    if policy.kind == "latest":
        return [f"model_version_policy {{ latest {{ num_versions: {policy.count} }} }}"]
    versions = " ".join(f"versions: {version}" for version in policy.versions)
    return [f"model_version_policy {{ specific {{ {versions} }} }}"]
