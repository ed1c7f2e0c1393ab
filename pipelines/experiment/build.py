"""From a config to a compiled model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from idefn_tf import backbones
from idefn_tf.features import FeatureColumns
from idefn_tf.features.column_lowering import Vocabularies
from idefn_tf.models import EntireSpaceModel, get_method
from idefn_tf.optimizers import OPTIMIZERS
from idefn_tf.schema import Schema
from pipelines.experiment.config import Config


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
    given = dict(config.features)
    if table_devices:
        count = given.get("shards", len(table_devices))
        if not isinstance(count, int) or count < 1:
            raise ValueError(
                f"features.shards: must be a number where table servers hold them, received {count}"
            )
        given["shards"] = [table_devices[i % len(table_devices)] for i in range(count)]
    width = given.pop("embedding_width", None)
    if width is not None:
        if not isinstance(width, int) or width < 1:
            raise ValueError(f"features.embedding_width: must be 1 or more, received {width!r}")
        schema = schema.model_copy(update={"embedding_width": width})
    features = FeatureColumns.from_schema(schema, vocabularies, **given)
    arguments: dict[str, Any] = dict(config.model)
    arguments.setdefault("negative_keep_rate", schema.labels.negative_keep_rate)
    if config.trunk is not None:
        from idefn_tf.models.trunks import TRUNKS

        arguments["trunk"] = _make(TRUNKS, config.trunk, "trunk")
    model: EntireSpaceModel = get_method(config.method)(
        features, _make(backbones.BACKBONES, config.backbone, "backbone"), **arguments
    )
    jit = config.training.jit_compile
    model.compile(make_optimizer(config.optimizer), jit_compile="auto" if jit else False)
    if table_devices:
        _check_transfers(model)
    model.build()
    return model


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
                f"features.shards: the moments of a share of {rows:,} rows take {size:.1f} GB, and "
                "TensorFlow moves 2 GiB at once from a table server; give at least "
                f"{needed * count}, received {count}"
            )


def make_optimizer(settings: dict[str, Any]) -> keras.optimizers.Optimizer:
    """Builds an optimizer from {"name": ..., and its arguments}."""
    name = settings.get("name", "row_sparse_adam")
    if name in OPTIMIZERS:
        return _make(OPTIMIZERS, settings, "optimizer")
    arguments = {k: v for k, v in settings.items() if k != "name"}
    try:
        return keras.optimizers.get({"class_name": name, "config": arguments})
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"optimizer: must be one of {sorted(OPTIMIZERS)} or a Keras optimizer with its "
            f"arguments, received {settings}; {error}"
        ) from None


def _make(known: dict[str, type], settings: dict[str, Any], group: str) -> Any:
    name = settings.get("name")
    if name not in known:
        raise ValueError(
            f"{group}.name: must be one of {sorted(known)}, received {name!r}; a class of your own "
            "is found once its module is imported (imports: [module])"
        )
    try:
        return known[name](**{k: v for k, v in settings.items() if k != "name"})
    except TypeError as error:
        raise ValueError(f"{group}: {error}") from None
