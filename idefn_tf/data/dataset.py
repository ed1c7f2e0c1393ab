"""open_dataset: batches of (features, labels, sample_weight) from any source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import tensorflow as tf

from idefn_tf.data import tables
from idefn_tf.data.arrays import to_arrays
from idefn_tf.data.batches import Arrays, Batches, EpochClock
from idefn_tf.schema import Schema

#: Sources up to this many rows are converted once and kept in memory over epochs.
CACHE_ROWS = 2_000_000


def open_dataset(
    schema: Schema,
    source: tables.Source,
    *,
    batch_size: int = 2048,
    shuffle: bool = False,
    seed: int = 0,
    clock: EpochClock | None = None,
    drop_remainder: bool = False,
    labels: bool = True,
    reader: Literal["pyarrow", "tensorflow-io"] = "pyarrow",
    shuffle_rows: int = 1_000_000,
) -> tf.data.Dataset:
    """Opens exposures as a ``tf.data.Dataset`` of (features, labels, sample_weight).

    Args:
        schema: what the columns are.
        source: a path, folder, glob or list of Parquet, CSV or TFRecord files, or a DataFrame.
        batch_size: rows a batch.
        shuffle: deals files and rows in an order drawn from `seed` and the epoch.
        seed: of the order.
        clock: tells the epoch; default one that counts the iterations.
        drop_remainder: leaves out a last batch that is not full (never the only one).
        labels: False gives (features,) of a table without labels.
        reader: "tensorflow-io" reads Parquet through tensorflow-io (null-free scalars only).
        shuffle_rows: rows held in memory to shuffle among, where the source is larger.

    Returns:
        features: dict of int64, float32 or string tensors [B], lists [B, max_length] and their
        weights; labels: {"click", "conversion"} float32 [B], the conversion 0 where unclicked;
        sample_weight: float32 [B].

    Raises:
        ValueError: if the source has no file, lacks a column, or holds a wrong value.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: must be 1 or more, received {batch_size}")
    clock = clock or EpochClock()
    in_memory = isinstance(source, (pd.DataFrame, pa.Table))
    files = [] if in_memory else tables.find_files(source)  # type: ignore[arg-type]
    if files and tables.format_of(files) == "tfrecord":
        from idefn_tf.data.tfrecord import open_tfrecord

        return open_tfrecord(
            schema,
            files,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_remainder=drop_remainder,
            labels=labels,
            shuffle_rows=shuffle_rows,
        )
    if reader == "tensorflow-io":
        from idefn_tf.data.tensorflow_io import open_parquet

        return open_parquet(
            schema,
            files,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_remainder=drop_remainder,
            labels=labels,
            shuffle_rows=shuffle_rows,
        )
    if reader != "pyarrow":
        raise ValueError(f"reader: must be 'pyarrow' or 'tensorflow-io', received {reader!r}")

    rows = source.shape[0] if in_memory else tables.count_rows(files)  # type: ignore[union-attr]
    held = None
    if (rows is not None and rows <= CACHE_ROWS) or in_memory:
        held = to_arrays(schema, tables.read_table(source), labels)

    def chunks(rng: np.random.Generator | None) -> Iterator[Arrays]:
        ordered = list(files)
        if rng is not None:
            rng.shuffle(ordered)
        return (to_arrays(schema, table, labels) for table in tables.iterate_tables(ordered))

    return Batches(
        signature=feature_signature(schema),
        batch_size=batch_size,
        rows=rows,
        held=held,
        chunks=chunks,
        shuffle=shuffle,
        seed=seed,
        clock=clock,
        drop_remainder=drop_remainder,
        shuffle_rows=shuffle_rows,
        labels=labels,
    ).dataset()


def feature_signature(schema: Schema) -> dict[str, tf.TensorSpec]:
    """Returns the specification of a batch's features."""
    signature = {}
    for feature in schema.features:
        shape = [None, feature.max_length] if feature.multi_valued else [None]
        dtype = tf.as_dtype(feature.dtype)
        signature[feature.name] = tf.TensorSpec(shape, dtype, feature.name)
        if feature.weights is not None:
            name = feature.weights_name
            signature[name] = tf.TensorSpec(shape, tf.float32, name)
    return signature
