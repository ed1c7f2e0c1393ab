"""Runs are folders: their files, and how to take one up again."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idefn_tf._files import write_json
from idefn_tf.models import EntireSpaceModel
from idefn_tf.saving import load_model
from idefn_tf.schema import Schema, strict_yaml, ties
from idefn_tf.transport.rpot.rpot import translate_options
from pipelines.experiment.checkpoint import Snapshot
from pipelines.experiment.config import Checkpoint, Config
from pipelines.experiment.config_origin import Origin
from pipelines.experiment.user_modules import import_first
from pipelines.preparation.object_store import on_disk
from pipelines.preparation.prepared_folder import Prepared


@dataclass(frozen=True)
class Run:
    """A run's folder.

    ::

        config.yaml     resolved          schema.yaml, vocabularies/, card.json   of its data
        history.csv     one row an epoch  metrics.json   {split: {space: {metric: value}}}
        checkpoints/    best.keras, the last epoch and state.json, from which a run resumes, and
                        step.npz where it stands inside an epoch
        audit.csv, audit.json   of its pseudo-labels     calibration.json   where one was fitted
    """

    root: Path

    def __post_init__(self) -> None:
        on_disk(self.root, "run")

    @classmethod
    def open(cls, root: str | Path) -> Run:
        """Opens an existing run.

        Raises:
            ValueError: if the folder is none.
        """
        run = cls(Path(root))
        for path in (run.config_path, run.schema_path):
            if not path.is_file():
                raise ValueError(
                    f"run: {root} must be a run's folder with {path.name}; train one with "
                    "python -m pipelines.train"
                )
        return run

    @property
    def config_path(self) -> Path:
        """The resolved config."""
        return self.root / "config.yaml"

    @property
    def schema_path(self) -> Path:
        """The schema of the run's data."""
        return self.root / "schema.yaml"

    @property
    def vocabularies(self) -> Path:
        """The vocabularies of the run's data."""
        return self.root / "vocabularies"

    @property
    def metrics_path(self) -> Path:
        """The final metrics."""
        return self.root / "metrics.json"

    @property
    def history_path(self) -> Path:
        """One row an epoch."""
        return self.root / "history.csv"

    @property
    def checkpoints(self) -> Path:
        """Models and the state to resume from."""
        return self.root / "checkpoints"

    @property
    def best_path(self) -> Path:
        """The selected model."""
        return self.checkpoints / "best.keras"

    @property
    def state_path(self) -> Path:
        """What a resumed run needs beside the last model."""
        return self.checkpoints / "state.json"

    @property
    def snapshot_path(self) -> Path:
        """Where the run stands inside an epoch."""
        return self.checkpoints / "step.npz"

    def schema(self) -> Schema:
        """Reads the schema.

        Raises:
            ValueError: if the run read rows of other ids, as an earlier release did for tied
                features.
        """
        schema = Schema.load(self.schema_path, kept=True)
        plain = strict_yaml.read(self.schema_path).value
        if shifted := ties.left_out(plain["features"]):
            names = ", ".join(f"{name} ({key})" for name, key in shifted)
            raise ValueError(
                f"run: {self.root} was trained by an earlier release, which read the rows of other "
                f"ids for tied features that leave a key to their owner: {names}; train it anew"
            )
        return schema

    def config(self) -> Config:
        """Reads the config; keys of an earlier release have their names of today."""
        document = strict_yaml.read(self.config_path)
        saved = dict(document.value or {})
        if (model := saved.get("model") or {}).get("transport"):
            saved["model"] = {**model, "transport": translate_options(model["transport"])}
        return Config.parse(saved, Origin(document))

    @property
    def begun(self) -> bool:
        """Whether there is a state to go on from."""
        return self.state_path.is_file() or self.snapshot_path.is_file()

    def begin(self, config: Config, data: Prepared, write: bool = True) -> None:
        """Writes config, schema, vocabularies and card into a new or resumed run.

        Args:
            config: the experiment.
            data: what it trains on.
            write: whether this process writes; of several workers one does.

        Raises:
            ValueError: if the folder holds a run of another config or other data.
        """
        if self.begun:
            self.schema()
            if _what_counts(self.config()) != _what_counts(config):
                raise ValueError(
                    f"out: {self.root} holds a run of another config; give a new folder, or delete "
                    "this one to train anew"
                )
            card = json.loads((self.root / "card.json").read_text(encoding="utf-8"))
            if card.get("fingerprint") != data.card.get("fingerprint"):
                raise ValueError(
                    f"out: {self.root} holds a run on other data; give a new folder, or delete "
                    "this one to train anew"
                )
        if not write:
            return
        for left in (*self.root.glob(".tmp-*"), *self.checkpoints.glob(".tmp-*")):
            left.unlink()  # of a process that was killed while it wrote
        for left in self.checkpoints.glob("ask-*"):
            left.unlink()
        if self.begun:
            return
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        data.schema.save(self.schema_path)
        shutil.copytree(data.vocabularies, self.vocabularies, dirs_exist_ok=True)
        write_json(self.root / "card.json", data.card)
        config.save(self.config_path)

    def load_model(self, compile: bool = True) -> EntireSpaceModel:
        """Loads the selected model; the modules that its config imports come first.

        Args:
            compile: whether the optimizer is loaded, too.

        Raises:
            ValueError: if the run has none yet, or a class of it is not found.
        """
        if not self.best_path.is_file():
            raise ValueError(f"run: {self.root} has no {self.best_path.name} yet; finish training")
        if self.config_path.is_file():
            document = strict_yaml.read(self.config_path)
            import_first(document.value, document.place)
        model: EntireSpaceModel = load_model(self.best_path, compile=compile)
        return model

    def save_state(self, epoch: int, snapshot: Snapshot, state: dict[str, Any]) -> None:
        """Saves the last epoch; a kill at any moment leaves this or the former one whole."""
        name = f"epoch-{epoch:04d}.npz"
        snapshot.save(self.checkpoints / name)
        write_json(self.state_path, {"epoch": epoch, "snapshot": name, **state})
        for old in self.checkpoints.glob("epoch-*"):
            if old.name != name:
                old.unlink()

    def load_snapshot(self) -> Snapshot | None:
        """Returns where the run stands: inside an epoch, else at the end of its last one.

        Raises:
            ValueError: if a file is broken.
        """
        state = self.load_state()
        epoch = 0 if state is None else state["epoch"] + 1
        if self.snapshot_path.is_file():
            found = Snapshot.load(self.snapshot_path)
            if found.epoch == epoch:  # else of an epoch that has ended since
                return found
        if state is None or state.get("finished"):
            return None
        if "snapshot" not in state:
            raise ValueError(
                f"out: {self.root} holds an unfinished run of an older version; delete it to train "
                "anew"
            )
        return Snapshot.load(self.checkpoints / state["snapshot"])

    def load_state(self) -> dict[str, Any] | None:
        """Returns the saved state, or None where the run has not begun."""
        if not self.state_path.is_file():
            return None
        state: dict[str, Any] = json.loads(self.state_path.read_text(encoding="utf-8"))
        return state


def _what_counts(config: Config) -> Config:
    """A config without what changes neither the model nor its numbers."""
    training = config.training.model_copy(update={"checkpoint": Checkpoint(), "strategy": "none"})
    return config.model_copy(update={"training": training})


def read_vocabularies(folder: Path) -> dict[str, dict[str, Any]]:
    """Reads every vocabulary of a folder, by feature name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }
