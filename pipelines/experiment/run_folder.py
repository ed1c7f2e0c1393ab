"""Runs are folders: their files, and how to take one up again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from idefn_tf._files import read_json, write_json
from idefn_tf.export.run_files import RunFiles
from idefn_tf.models import EntireSpaceModel
from idefn_tf.schema import strict_yaml
from idefn_tf.transport.rpot.rpot import translate_options
from pipelines.cli.xla_log import start_xla
from pipelines.experiment.checkpoint import Snapshot
from pipelines.experiment.config import Checkpoint, Config
from pipelines.experiment.config_origin import Origin
from pipelines.experiment.data_digest import require_same_data, write_digests
from pipelines.preparation.object_store import on_disk
from pipelines.preparation.prepared_folder import Prepared


class Run(RunFiles):
    """A run's folder, to be written and resumed; what it holds is told in `RunFiles`."""

    def __post_init__(self) -> None:
        on_disk(self.root, "run")

    @property
    def state_path(self) -> Path:
        """What a resumed run needs beside the last model."""
        return self.checkpoints / "state.json"

    @property
    def snapshot_path(self) -> Path:
        """Where the run stands inside an epoch."""
        return self.checkpoints / "step.npz"

    def config(self) -> Config:
        """Reads the config; keys of an earlier release have their names of today."""
        document = strict_yaml.read(self.config_path)
        saved = dict(document.value or {})
        if (model := saved.get("model") or {}).get("transport"):
            saved["model"] = {**model, "transport": translate_options(model["transport"])}
        return Config.parse(saved, Origin(document))

    def load_model(self, compile: bool = True) -> EntireSpaceModel:
        """Loads the selected model as `RunFiles.load_model` does, XLA's start-up log put away."""
        start_xla()
        return super().load_model(compile)

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
            if self.card().get("fingerprint") != data.card.get("fingerprint"):
                raise ValueError(
                    f"out: {self.root} holds a run on other data; give a new folder, or delete "
                    "this one to train anew"
                )
            require_same_data(self, data)
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
        write_json(self.card_path, data.card)
        config.save(self.config_path)
        write_digests(self, data)

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
            cure = "delete it, and the run goes on from its last whole epoch"
            found = Snapshot.load(self.snapshot_path, cure)
            if found.epoch == epoch:  # else of an epoch that has ended since
                return found
        if state is None or state.get("finished"):
            return None
        if "snapshot" not in state:
            raise ValueError(
                f"out: {self.root} holds an unfinished run of an older version; delete it to train "
                "anew"
            )
        cure = f"delete {self.state_path} to train anew; keep a copy of best.keras, which is whole"
        return Snapshot.load(self.checkpoints / state["snapshot"], cure)

    def load_state(self) -> dict[str, Any] | None:
        """Returns the saved state, or None where the run has not begun."""
        if not self.state_path.is_file():
            return None
        cure = "delete it to train anew; keep a copy of best.keras, which is whole"
        return read_json(self.state_path, cure)


def _what_counts(config: Config) -> Config:
    """A config without what changes neither the model nor its numbers.

    Patience says when a run stops. Earlier releases stopped one epoch later than it says, and a
    run of theirs goes on with the shipped config, which says one more now.
    """
    same = {"checkpoint": Checkpoint(), "strategy": "none", "patience": 0}
    training = config.training.model_copy(update=same)
    return config.model_copy(update={"training": training})
