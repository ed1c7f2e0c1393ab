"""models.config edited in place: labels and the versions to load, comments kept.

TensorFlow Serving re-reads the file (--model_config_file_poll_wait_seconds), so it is replaced
whole. Every change of a label is noted in `<file>.history.jsonl`, from which
`serving.promote rollback` takes the version before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from idefn_tf._files import atomic_path
from serving.common import config_text
from serving.common.config import ConfigError, ModelConfig, VersionPolicy, read_model_config


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
            if not self.path.is_file():
                raise ValueError(
                    f"config: there is no file {self.path}; write one with `serving.promote init`"
                ) from None
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
        block = config_text.find_model(text, wanted.name)
        edits = config_text.edits(text, block, "version_labels", _render_labels(wanted))
        policy = block.all("model_version_policy")
        if wanted.policy != self.model(wanted.name).policy or policy:
            edits += config_text.edits(
                text, block, "model_version_policy", _render_policy(wanted.policy)
            )
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        with atomic_path(self.path) as sibling:
            sibling.write_text(text, encoding="utf-8")
            made = {m.name: m for m in read_model_config(str(sibling))}[wanted.name]
            if (made.policy, sorted(made.labels)) != (wanted.policy, sorted(wanted.labels)):
                raise ValueError(
                    f"config: {self.path} could not be edited: it would read {made}; write "
                    "version_labels and model_version_policy as messages in braces"
                )


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
