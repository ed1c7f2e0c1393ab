"""A run's folder as readers see it: its files by name, and the model with what belongs to it.

Jobs write these files (`pipelines.experiment.run_folder`); exports, reports and the comparison of
what is served with what was trained read them here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from idefn_tf._files import read_json
from idefn_tf.calibration import CALIBRATORS, Calibrator
from idefn_tf.export.user_modules import import_first
from idefn_tf.models import EntireSpaceModel
from idefn_tf.saving import load_model
from idefn_tf.schema import Schema, strict_yaml, ties

CALIBRATION = "calibration.json"


@dataclass(frozen=True)
class RunFiles:
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
        """Nothing is checked for readers; a run that is written says where it may lie."""

    @classmethod
    def open(cls, root: str | Path) -> Self:
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
    def card_path(self) -> Path:
        """The data card of the run's data."""
        return self.root / "card.json"

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

    def card(self) -> dict[str, Any]:
        """Reads the data card; empty where there is none."""
        return read_json(self.card_path) if self.card_path.is_file() else {}

    def metrics(self) -> dict[str, Any]:
        """Reads the final metrics; empty where the run has none yet."""
        return read_json(self.metrics_path) if self.metrics_path.is_file() else {}

    def calibrator(self) -> Calibrator | None:
        """Reads calibration.json, {"calibrator": name, "config": {...}}, where there is one.

        Raises:
            ValueError: if it names no known calibrator.
        """
        path = self.root / CALIBRATION
        if not path.is_file():
            return None
        value = read_json(path)
        name = value.get("calibrator")
        if name not in CALIBRATORS:
            raise ValueError(
                f"{path}: calibrator must be one of {sorted(CALIBRATORS)}, received {name!r}"
            )
        return CALIBRATORS[name].from_config(value["config"])

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


def read_vocabularies(folder: Path) -> dict[str, dict[str, Any]]:
    """Reads every vocabulary of a folder, by feature name; what is learned else begins with _."""
    return {path.stem: read_json(path) for path in sorted(folder.glob("[!_]*.json"))}
