"""Parquet through tensorflow-io, for null-free scalar columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
import tensorflow as tf

from idefn_tf.data.tfrecord import to_batch
from idefn_tf.schema import CLICK, CONVERSION, Schema

_NUMBERS = {"int8", "int16", "int32", "int64", "float", "double", "bool"}


def load_tensorflow_io() -> Any:
    """Imports tensorflow-io with its native operations.

    Raises:
        ImportError: with the cure, where it is absent or its natives do not load.
    """
    try:
        import tensorflow_io as tfio

        # the natives are loaded on first use: one cheap call tells
        tfio.experimental.serialization.decode_json  # noqa: B018
        tfio.IODataset.from_parquet  # noqa: B018
    except (ImportError, NotImplementedError, AttributeError, tf.errors.NotFoundError) as error:
        raise ImportError(
            f"tensorflow-io cannot be used with TensorFlow {tf.__version__}: {error}. Its last "
            "release, 0.37.1, loads on TensorFlow 2.16 and 2.17 only; install "
            "'tensorflow==2.17.1 tensorflow-io==0.37.1', or read with reader='pyarrow'."
        ) from None
    return tfio


def open_parquet(
    schema: Schema,
    files: Sequence[str],
    *,
    batch_size: int,
    shuffle: bool,
    seed: int,
    drop_remainder: bool,
    labels: bool,
    shuffle_rows: int,
) -> tf.data.Dataset:
    """Opens Parquet files with tensorflow-io; the arguments are those of `open_dataset`.

    Raises:
        ValueError: for lists or columns with nulls, which tensorflow-io misreads.
        ImportError: where tensorflow-io does not load.
    """
    columns = _check(schema, files, labels)
    tfio = load_tensorflow_io()
    parts = [tfio.IODataset.from_parquet(f, columns=columns) for f in files]
    dataset = parts[0]
    for part in parts[1:]:
        dataset = dataset.concatenate(part)
    if shuffle:
        dataset = dataset.shuffle(shuffle_rows, seed=seed)
    dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)

    def rename(row: Any) -> Any:
        parsed = {
            (k.decode() if isinstance(k, bytes) else k): tf.reshape(v, [-1]) for k, v in row.items()
        }
        batch = {
            f.name: tf.cast(parsed[f.name], f.dtype) if f.dtype != "string" else parsed[f.name]
            for f in schema.features
        }
        if labels:
            batch[CLICK], batch[CONVERSION] = parsed[CLICK], parsed[CONVERSION]
            weight = parsed.get("sample_weight", tf.ones_like(parsed[CLICK], tf.float32))
            batch["sample_weight"] = tf.cast(weight, tf.float32)
        return to_batch(batch, labels)

    return dataset.map(rename).prefetch(tf.data.AUTOTUNE)


def _check(schema: Schema, files: Sequence[str], labels: bool) -> list[str]:
    """Returns the columns to read, having refused what tensorflow-io would misread."""
    wanted = [f.name for f in schema.features] + ([CLICK, CONVERSION] if labels else [])
    for file in files:
        metadata = pq.read_metadata(file)
        kinds = {field.name: str(field.type) for field in metadata.schema.to_arrow_schema()}
        for name in wanted:
            kind = kinds.get(name)
            if kind is None:
                raise ValueError(f"source: {file} has no column {name!r}, received {list(kinds)}")
            if kind not in _NUMBERS and kind not in ("string", "binary"):
                raise ValueError(
                    f"reader: tensorflow-io flattens lists, and {name!r} of {file} is {kind}; "
                    "use reader='pyarrow'."
                )
        for group in range(metadata.num_row_groups):
            for i in range(metadata.num_columns):
                column = metadata.row_group(group).column(i)
                if column.path_in_schema not in wanted:
                    continue
                statistics = column.statistics
                if statistics is None or statistics.null_count is None or statistics.null_count:
                    count = getattr(statistics, "null_count", None)
                    raise ValueError(
                        "reader: tensorflow-io shifts the values past a null, and column "
                        f"{column.path_in_schema!r} of {file} has "
                        f"{'an unknown number of' if count is None else count} nulls; fill them, "
                        "or use reader='pyarrow'."
                    )
    extra = ["sample_weight"] if labels and "sample_weight" in kinds else []
    return wanted + extra
