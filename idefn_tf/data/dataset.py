"""open_dataset: batches of (features, labels, sample_weight) from any source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

#: Reads some files piece by piece.
Reader = Callable[[Sequence[str]], Iterator[Arrays]]


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
    if reader not in ("pyarrow", "tensorflow-io"):
        raise ValueError(f"reader: must be 'pyarrow' or 'tensorflow-io', received {reader!r}")
    if isinstance(source, (pd.DataFrame, pa.Table)):
        rows: int | None = len(source)
        held: Arrays | None = to_arrays(schema, tables.read_table(source), labels)
        read: Reader = None  # type: ignore[assignment]  # never called: all rows are held
        files: list[str] = []
    else:
        files = tables.find_files(source)
        read = _reader(schema, files, labels, reader)
        rows = tables.count_rows(files)
        held = _hold(read(files)) if rows is None or rows <= CACHE_ROWS else None
        rows = rows if held is None else len(next(iter(held.values())))

    def chunks(rng: np.random.Generator | None) -> Iterator[Arrays]:
        ordered = list(files)
        if rng is not None:
            rng.shuffle(ordered)
        return read(ordered)

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


def _reader(schema: Schema, files: Sequence[str], labels: bool, reader: str) -> Reader:
    """Returns what reads files of this format piece by piece."""
    kind = tables.format_of(files)
    if reader == "tensorflow-io":
        from idefn_tf.data import tensorflow_io

        if kind != "parquet":
            raise ValueError(f"reader: tensorflow-io reads Parquet here, received {kind} files")
        tensorflow_io.check(schema, files, labels)
        tensorflow_io.load_tensorflow_io()
        return lambda some: tensorflow_io.read_parquet(schema, some, labels)
    if kind == "tfrecord":
        from idefn_tf.data.tfrecord import read_tfrecord

        return lambda some: read_tfrecord(schema, some, labels)
    return lambda some: (
        to_arrays(schema, table, labels) for table in tables.iterate_tables(some, schema)
    )


def _hold(chunks: Iterator[Arrays]) -> Arrays | None:
    """Returns all rows, or None where there are more than `CACHE_ROWS`."""
    held: list[Arrays] = []
    rows = 0
    for chunk in chunks:
        held.append(chunk)
        rows += len(next(iter(chunk.values())))
        if rows > CACHE_ROWS:
            return None
    if not held:
        raise ValueError("source: the files hold no row; check the path.")
    return {name: np.concatenate([c[name] for c in held]) for name in held[0]}


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
