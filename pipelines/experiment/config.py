"""Experiment configs: one short YAML file, unknown keys are errors, overrides by --set."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from idefn_tf.evaluation.spaces import require_selection_space
from idefn_tf.models import get_method
from idefn_tf.schema import strict_yaml
from idefn_tf.tuning.space import put_at
from pipelines.experiment.tuning_config import Tuning
from pipelines.experiment.tuning_config import check as check_tuning
from pipelines.experiment.user_modules import import_first


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Monitor(_Strict):
    """What early stopping looks at, on validation."""

    space: Literal["all_funnel", "clicked"] = "all_funnel"
    metric: str = "cvr_auc"


class Checkpoint(_Strict):
    """How often a run is saved inside an epoch; after every epoch it always is."""

    steps: int | None = Field(None, ge=1, description="batches between two snapshots")
    minutes: float | None = Field(10.0, gt=0, description="time between two snapshots")


class Training(_Strict):
    """How long, how much at once, in which order."""

    batch_size: int = Field(2048, ge=1)
    epochs: int = Field(10, ge=1)
    patience: int = Field(2, ge=0)
    seed: int = 0
    positives_per_batch: int | None = Field(
        None, ge=1, description="conversions that every batch holds at least, weighted back"
    )
    jit_compile: bool = True
    monitor: Monitor = Monitor()
    checkpoint: Checkpoint = Checkpoint()
    strategy: Literal["none", "mirrored", "multi_worker", "table_servers"] = Field(
        "none",
        description="mirrored: this machine's devices; multi_worker: TF_CONFIG's processes; "
        "table_servers: tables on TF_CONFIG's",
    )
    audit: bool = Field(
        True, description="judge the pseudo-labels after every epoch (reports only)"
    )


class Config(_Strict):
    """One experiment.

    Attributes:
        imports: modules whose classes the config names, imported before the rest is checked.
        method: a name of `idefn_tf.models.METHODS`.
        model: arguments of the method's class.
        backbone: {"name": ..., and its arguments}.
        trunk: {"name": "mmoe" or "ple", and its arguments}, or none.
        features: arguments of `FeatureColumns` (embedding_stddev, shards), and embedding_width in
            place of the schema's.
        optimizer: {"name": ..., and its arguments}.
        training: epochs, batch size, early stopping, seed.
        tuning: what `pipelines.tune` tries; training leaves it out.
    """

    imports: tuple[str, ...] = ()
    method: str
    model: dict[str, Any] = {}
    backbone: dict[str, Any] = {"name": "mlp"}
    trunk: dict[str, Any] | None = None
    features: dict[str, Any] = {}
    optimizer: dict[str, Any] = {"name": "row_sparse_adam", "learning_rate": 0.001}
    training: Training = Training()
    tuning: Tuning | None = None

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Config:
        """Reads a config and applies overrides such as "model.kappa=0.01".

        Raises:
            ValueError: naming file, line, key and rule.
        """
        _refuse_old_path(Path(path))
        document = strict_yaml.read(path)
        value = document.value if document.value is not None else {}
        for text in overrides:
            _override(value, text)
        return cls.parse(value, document.place)

    @classmethod
    def parse(cls, value: Any, place: Any = None) -> Config:
        """Builds a config from plain values."""
        import_first(value, place)
        try:
            config = cls.model_validate(value)
        except ValidationError as error:
            raise ValueError(strict_yaml.explain(error, place, "config")) from None
        _check_arguments(get_method(config.method), config.model, "model")
        require_selection_space(config.training.monitor.space)
        if config.tuning is not None:
            check_tuning(config.tuning, config.method, config.model, accepted_arguments)
        return config

    def save(self, path: str | Path) -> None:
        """Writes what was trained: the resolved config, defaults included, without `tuning`."""
        strict_yaml.write(path, self.model_dump(mode="json", exclude={"tuning"}))


#: The shipped configs' names before each data set had a folder of its own.
_OLD = re.compile(r"(kuairand|simulated|table)_([a-z_]+?)(?:_(tune|paper|paper_r2))?")


def _refuse_old_path(path: Path) -> None:
    """Answers the path that a shipped config once had with the one that it has."""
    old = _OLD.fullmatch(path.stem)
    if path.exists() or old is None:
        return
    family, method, kind = old.groups()
    new = path.parent / family / f"{method}{f'.{kind}' if kind else ''}.yaml"
    if new.is_file():
        raise ValueError(f"{path}: has moved; give {new}")


def _override(value: dict[str, Any], text: str) -> None:
    key, equals, raw = text.partition("=")
    if not equals or not key:
        raise ValueError(f"--set: must look like model.kappa=0.01, received {text!r}")
    put_at(value, key, yaml.safe_load(raw), f"--set {text}")


def accepted_arguments(cls: type) -> dict[str, inspect.Parameter]:
    """Returns the keyword arguments of a class and of the classes it extends."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in ("keras", "tensorflow", "builtins"):
            continue
        init = base.__dict__.get("__init__")
        if init is None:
            continue
        for name, parameter in inspect.signature(init).parameters.items():
            if name != "self" and parameter.kind not in (
                inspect.Parameter.VAR_POSITIONAL,
                inspect.Parameter.VAR_KEYWORD,
            ):
                found.setdefault(name, parameter)
    return found


def _check_arguments(cls: type, given: dict[str, Any], group: str) -> None:
    own = set(accepted_arguments(cls)) - {"features", "backbone", "trunk"}
    unknown = sorted(set(given) - own)
    if unknown:
        raise ValueError(
            f"{group}.{unknown[0]}: unknown key for {cls.__name__}, which takes {sorted(own)}; "
            "remove it or correct its spelling"
        )
