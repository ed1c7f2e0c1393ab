"""Parquet through tensorflow-io, for null-free scalar columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf

from idefn_tf.data import remote
from idefn_tf.data.arrays import hide_labels
from idefn_tf.data.native import stream
from idefn_tf.schema import CLICK, CONVERSION, Schema

_NUMBERS = {"int8", "int16", "int32", "int64", "float", "double", "bool"}
_TEXT = {"string", "large_string", "binary", "large_binary"}


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


def read_parquet(
    schema: Schema, files: Sequence[str], labels: bool, rows: int = 65_536
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the rows of Parquet files in order, as `to_arrays` would give them.

    Raises:
        ValueError: for lists or columns with nulls, which tensorflow-io misreads.
        ImportError: where tensorflow-io does not load.
    """
    columns = check(schema, files, labels)
    for file in files:
        for batch in load_tensorflow_io().IODataset.from_parquet(file, columns=columns).batch(rows):
            arrays = {
                name: tensor.numpy() for name, tensor in _parse(schema, labels)(batch).items()
            }
            if labels:
                hide_labels(arrays)
            yield arrays


def stream_parquet(
    schema: Schema, files: Sequence[str], labels: bool, **options: Any
) -> tf.data.Dataset:
    """Deals Parquet files that do not fit in memory; the options are those of `stream`."""
    columns = check(schema, files, labels)
    tfio = load_tensorflow_io()
    every = [tfio.IODataset.from_parquet(file, columns=columns) for file in files]
    joined = every[0]
    for one in every[1:]:
        joined = joined.concatenate(one)
    return stream(lambda seed: joined, _parse(schema, labels), labels=labels, **options)


def _parse(schema: Schema, labels: bool) -> Callable[[Any], dict[str, tf.Tensor]]:
    """Returns what turns a batch of tensorflow-io into columns of the schema's types."""

    def parse(batch: Any) -> dict[str, tf.Tensor]:
        found = {_text(name): tf.reshape(tensor, [-1]) for name, tensor in batch.items()}
        columns = {}
        for feature in schema.features:
            values = found[feature.name]
            columns[feature.name] = (
                values if feature.dtype == "string" else tf.cast(values, feature.dtype)
            )
        if labels:
            columns |= {name: tf.cast(found[name], tf.float32) for name in (CLICK, CONVERSION)}
            ones = tf.ones_like(columns[CLICK])
            columns["sample_weight"] = tf.cast(found.get("sample_weight", ones), tf.float32)
        return columns

    return parse


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else name


def check(schema: Schema, files: Sequence[str], labels: bool) -> list[str]:
    """Returns the columns to read, having refused what tensorflow-io would misread."""
    wanted = [f.name for f in schema.features] + ([CLICK, CONVERSION] if labels else [])
    for file in files:
        metadata = pq.read_metadata(remote.opened(file))
        kinds = {field.name: str(field.type) for field in metadata.schema.to_arrow_schema()}
        for name in wanted:
            kind = kinds.get(name)
            if kind is None:
                raise ValueError(f"source: {file} has no column {name!r}, received {list(kinds)}")
            if kind not in _NUMBERS | _TEXT:
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
