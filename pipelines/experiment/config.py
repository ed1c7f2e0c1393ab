"""Experiment configs: one short YAML file, every key checked when it is read, --set on top."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, PrivateAttr, field_validator

from idefn_tf._options import Problem, Record, problems
from idefn_tf._rules import NONE, TEXT, Either, Group, Many, OneOf
from idefn_tf._types import Count, CountOrNone, CountOrZero, PositiveOrNone, Seed, Switch
from idefn_tf.export.user_modules import import_first
from idefn_tf.schema import strict_yaml
from idefn_tf.tuning.goal import METRICS
from pipelines.experiment.config_groups import KeysOfGroups, group_problems, resolve_preset
from pipelines.experiment.config_origin import Origin
from pipelines.experiment.config_schema import config_schema
from pipelines.experiment.tuning_config import Tuning, tuning_problems

_Group = Annotated[dict[str, Any], Group()]
_GroupOrNone = Annotated[dict[str, Any] | None, Either((Group(), NONE))]
_Strategy = Literal["none", "mirrored", "multi_worker", "table_servers"]


class Monitor(Record):
    """What early stopping looks at, on validation.

    Attributes:
        space: the evaluation space.
        metric: the metric there; of a PCOC the one nearest to 1 is best.
    """

    space: Annotated[str, OneOf(tuple(METRICS))] = "all_funnel"
    metric: Annotated[str, OneOf(METRICS["all_funnel"])] = "cvr_auc"


class Checkpoint(Record):
    """How often a run is saved inside an epoch; after every epoch it always is."""

    steps: CountOrNone = Field(None, description="batches between two snapshots")
    minutes: PositiveOrNone = Field(10.0, description="time between two snapshots")


class Training(Record):
    """How long, how much at once, in which order.

    Attributes:
        batch_size: rows a batch, over all workers.
        epochs: at most so many.
        patience: training stops after so many epochs without a better value, as Keras counts.
        seed: of weights, order and draws.
        jit_compile: whether XLA compiles losses, transport, metrics and update.
        monitor: what decides which epoch is kept.
        checkpoint: how often the run is saved inside an epoch.
    """

    batch_size: Count = 2048
    epochs: Count = 10
    patience: CountOrZero = 3
    seed: Seed = 0
    positives_per_batch: CountOrNone = Field(
        None, description="conversions that every batch holds at least, weighted back"
    )
    jit_compile: Switch = True
    monitor: Monitor = Monitor()
    checkpoint: Checkpoint = Checkpoint()
    strategy: Annotated[_Strategy, OneOf(get_args(_Strategy))] = Field(
        "none",
        description="mirrored: this machine's devices; multi_worker: TF_CONFIG's processes; "
        "table_servers: tables on TF_CONFIG's",
    )
    audit: Switch = Field(True, description="audit the pseudo-labels after every epoch (reports)")


class Config(Record):
    """One experiment.

    Attributes:
        imports: modules whose classes the config names, imported before the rest is checked.
        method: a name of `idefn_tf.models.METHODS`.
        model: arguments of the method's class; ``preset`` (of `idefn_tf.models.presets`) stands
            for those of a preset, before which the other keys go.
        backbone: {"name": ..., and its arguments}; without a name an "mlp".
        trunk: {"name": "mmoe" or "ple", and its arguments}, or none.
        encoder: {"name": ..., and its arguments}, of the schema's behaviour sequences; without a
            name a "mean".
        feedback: {"name": ..., and its arguments}: how much a click counts whose conversion may
            still come; without a name "observed", the label as it is.
        features: arguments of `FeatureColumns` (embedding_stddev, shards, sequence_length), the
            windows of history that are read, and embedding_width in place of the schema's.
        optimizer: {"name": ..., and its arguments}.
        training: epochs, batch size, early stopping, seed.
        tuning: what `pipelines.tune` tries; training leaves it out.
    """

    #: What an unknown key is answered with that a group has.
    elsewhere: ClassVar[Mapping[str, str]] = KeysOfGroups(training=Training)

    imports: Annotated[Sequence[str], Many(TEXT, empty=True)] = ()
    method: Annotated[str, TEXT]
    model: _Group = {}
    backbone: _Group = {"name": "mlp"}
    trunk: _GroupOrNone = None
    encoder: _Group = {"name": "mean"}
    feedback: _Group = {"name": "observed"}
    features: _Group = {}
    optimizer: _Group = {"name": "row_sparse_adam", "learning_rate": 0.001}
    training: Training = Training()
    tuning: Tuning | None = None

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @field_validator("imports")
    @classmethod
    def _fixed(cls, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(names)

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Reads a config and applies overrides such as "model.kappa=0.01".

        Raises:
            ValueError: naming file and line (or the override), key, rule and what was received.
        """
        _refuse_old_path(Path(path))
        document = strict_yaml.read(path)
        value = document.value if document.value is not None else {}
        origin = Origin(document)
        for text in overrides:
            origin = origin.override(value, text)
        return cls.parse(value, origin)

    @classmethod
    def parse(cls, value: Any, origin: Origin | None = None) -> Self:
        """Builds a config from plain values.

        Raises:
            ValueError: naming the place if `origin` knows it, key, rule and what was received.
        """
        origin = Origin() if origin is None else origin
        import_first(value, origin.file_and_line)
        origin.refuse(problems(cls, value))
        value, wrong = resolve_preset(value)
        origin.refuse(wrong)
        config = cls.model_validate(value)
        origin.refuse([*group_problems(config), *_monitor_problems(config.training.monitor)])
        if config.tuning is not None:
            origin.refuse(tuning_problems(config.tuning, config, Training))
        config._origin = origin
        return config

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Returns the config's JSON Schema, for editors; shipped as schemas/config.json."""
        return config_schema(cls.model_json_schema())

    def blames(self, group: str) -> contextlib.AbstractContextManager[None]:
        """Gives the errors of a constructor the place of the key that they are about."""
        return self._origin.blames(group, type(self).model_fields)

    def save(self, path: str | Path) -> None:
        """Writes what was trained: the resolved config, defaults included, without `tuning`."""
        strict_yaml.write(path, self.model_dump(mode="json", exclude={"tuning"}))


def _monitor_problems(monitor: Monitor) -> list[Problem]:
    known = METRICS[monitor.space]
    if monitor.metric in known:
        return []
    rule = f"must be one of {list(known)} in {monitor.space}, received {monitor.metric!r}"
    return [Problem(("training", "monitor", "metric"), rule)]


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
