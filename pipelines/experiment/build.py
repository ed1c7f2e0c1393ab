"""From a config to a compiled model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from idefn_tf import backbones
from idefn_tf._schedule import schedule_of
from idefn_tf.encoders import ENCODERS
from idefn_tf.features import FeatureColumns
from idefn_tf.features.column_lowering import Vocabularies
from idefn_tf.models import TRUNKS, EntireSpaceModel, get_method
from idefn_tf.schema import Schema
from idefn_tf.schema.history_features import of_other_windows
from pipelines.cli.xla_log import start_xla
from pipelines.experiment.config import Config
from pipelines.experiment.config_groups import NAMES, optimizer_class, optimizer_names
from pipelines.experiment.label_feedback import make_feedback


def build_model(
    config: Config,
    schema: Schema,
    vocabularies: Vocabularies,
    table_devices: Sequence[str] = (),
) -> EntireSpaceModel:
    """Builds and compiles the model of a config.

    Args:
        config: the experiment.
        schema: what the columns are.
        vocabularies: by feature.
        table_devices: devices to which the shares of the tables (``features.shards``, by default
            as many as devices) are sharded by turns.

    Raises:
        ValueError: if a name or an argument is unknown.
    """
    with config.blames("features"):
        features = build_features(config, schema, vocabularies, table_devices)
    arguments: dict[str, Any] = dict(config.model)
    arguments.setdefault("negative_keep_rate", schema.labels.negative_keep_rate)
    if config.trunk is not None:
        with config.blames("trunk"):
            arguments["trunk"] = _make(TRUNKS, config.trunk, "trunk")
    with config.blames("feedback"):
        arguments["feedback"] = make_feedback(config.feedback, schema)
    with config.blames("backbone"):
        backbone = _make(backbones.BACKBONES, config.backbone, "backbone")
    with config.blames("optimizer"):
        optimizer = make_optimizer(config.optimizer)
    with config.blames("model"):
        if config.training.jit_compile:
            start_xla()
        model: EntireSpaceModel = get_method(config.method)(features, backbone, **arguments)
        model.compile(optimizer, jit_compile="auto" if config.training.jit_compile else False)
    with config.blames("features"):
        if table_devices:
            _check_transfers(model)
    model.build()
    return model


def build_features(
    config: Config,
    schema: Schema,
    vocabularies: Vocabularies,
    table_devices: Sequence[str] = (),
) -> FeatureColumns:
    """Builds the features of a config alone; the arguments are those of `build_model`."""
    given = dict(config.features)
    if table_devices:
        count = given.get("shards", len(table_devices))
        if not isinstance(count, int):
            raise ValueError(
                f"shards: must be a number where table servers hold them, received {count}"
            )
        given["shards"] = [table_devices[i % len(table_devices)] for i in range(count)]
    width = given.pop("embedding_width", None)
    if width is not None:
        schema = schema.model_copy(update={"embedding_width": width})
    windows = given.pop("windows", None)
    if windows is not None:
        left_out = of_other_windows(schema.history, windows)
        kept = tuple(f for f in schema.features if f.name not in left_out)
        schema = schema.model_copy(update={"features": kept})
    if schema.sequences:
        with config.blames("encoder"):
            given["encoder"] = _make(ENCODERS, config.encoder, "encoder")
    return FeatureColumns.from_schema(schema, vocabularies, **given)


#: TensorFlow moves no greater tensor between processes.
_MOST_BYTES = 2**31


def _check_transfers(model: EntireSpaceModel) -> None:
    """Refuses shares whose rows or moments could not be fetched to be saved.

    Raises:
        ValueError: with the number of shares that would do.
    """
    shapes = model.features.table_shapes
    row_sparse = hasattr(model.optimizer, "rule")
    for rows, width in shapes.values():
        columns = len(model.optimizer.rule().initial(width)) if row_sparse else width
        needed = math.ceil(4 * rows * columns / (0.95 * _MOST_BYTES))
        if needed > 1:
            count, size = model.features.shards.count, 4 * rows * columns / 1e9
            raise ValueError(
                f"shards: the moments of a share of {rows:,} rows take {size:.1f} GB, and "
                "TensorFlow moves 2 GiB at once from a table server; give at least "
                f"{needed * count}, received {count}"
            )


def make_optimizer(settings: Mapping[str, Any]) -> keras.optimizers.Optimizer:
    """Builds an optimizer, ours or Keras', from {"name": ..., and its arguments}.

    Raises:
        ValueError: if the name or an argument is unknown or out of its range.
    """
    name = settings.get("name", NAMES["optimizer"])
    cls: Any = optimizer_class(name)
    if cls is None:
        raise ValueError(f"name: must be one of {optimizer_names()}, received {name!r}")
    arguments = {key: value for key, value in settings.items() if key != "name"}
    if isinstance(arguments.get("learning_rate"), Mapping):
        arguments["learning_rate"] = schedule_of(arguments["learning_rate"])
    return cls.from_config(arguments)


def _make(known: Mapping[str, type], settings: Mapping[str, Any], group: str) -> Any:
    name: Any = settings.get("name", NAMES.get(group))
    if name not in known:
        raise ValueError(f"{group}.name: must be one of {sorted(known)}, received {name!r}")
    return known[name](**{k: v for k, v in settings.items() if k != "name"})
