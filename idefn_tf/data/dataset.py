"""open_dataset: batches of (features, labels, sample_weight) from any source."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import tensorflow as tf

from idefn_tf.data import tables
from idefn_tf.data.arrays import to_arrays
from idefn_tf.schema import CLICK, CONVERSION, Schema

#: Sources up to this many rows are converted once and kept in memory over epochs.
CACHE_ROWS = 2_000_000

Arrays = dict[str, np.ndarray]


class EpochClock:
    """The epoch that a shuffled data set deals; set it to resume in the middle of a run.

    Every iteration over the data set deals the epoch that the clock shows and moves it on, unless
    `epoch` has been set by the training loop (`idefn_tf.callbacks.SetEpoch`).
    """

    def __init__(self, epoch: int = 0) -> None:
        self._next = epoch
        self._fixed: int | None = None

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration deals."""
        return self._next if self._fixed is None else self._fixed

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._fixed = value

    def start(self) -> int:
        """Returns the epoch of an iteration that begins now."""
        epoch = self.epoch
        self._next += 1
        return epoch


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
    deal: Callable[[np.random.Generator | None], Iterator[Arrays]]
    if rows is not None and rows <= CACHE_ROWS:
        held = to_arrays(schema, tables.read_table(source), labels)

        def deal(rng: np.random.Generator | None) -> Iterator[Arrays]:
            order = np.arange(rows) if rng is None else rng.permutation(rows)
            for start in range(0, rows, batch_size):
                at = order[start : start + batch_size]
                yield {name: values[at] for name, values in held.items()}
    else:

        def deal(rng: np.random.Generator | None) -> Iterator[Arrays]:
            return _stream(schema, files, batch_size, labels, rng, shuffle_rows)

    def batches() -> Iterator[Any]:
        epoch = clock.start()
        rng = np.random.default_rng([seed, epoch]) if shuffle else None
        for i, arrays in enumerate(deal(rng)):
            short = len(next(iter(arrays.values()))) < batch_size
            if short and drop_remainder and i > 0:
                return
            yield _split(arrays, labels)

    dataset = tf.data.Dataset.from_generator(batches, output_signature=_signature(schema, labels))
    if rows is not None:
        full, rest = divmod(rows, batch_size)
        count = full + (1 if rest and not (drop_remainder and full) else 0)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _stream(
    schema: Schema,
    files: Sequence[str],
    batch_size: int,
    labels: bool,
    rng: np.random.Generator | None,
    shuffle_rows: int,
) -> Iterator[Arrays]:
    """Yields batches while holding at most `shuffle_rows` rows (or one chunk) in memory."""
    ordered = list(files)
    if rng is not None:
        rng.shuffle(ordered)
    chunks = (to_arrays(schema, table, labels) for table in tables.iterate_tables(ordered))
    held: list[Arrays] = []
    size = 0
    for arrays in itertools.chain(chunks, (None,)):
        if arrays is not None:
            held.append(arrays)
            size += len(arrays[schema.features[0].name])
            if size < (shuffle_rows if rng is not None else batch_size):
                continue
        if not held:
            return
        pool = {name: np.concatenate([a[name] for a in held]) for name in held[0]}
        order = np.arange(size) if rng is None else rng.permutation(size)
        # while more is to come, half a shuffled pool stays to mix with the next chunks
        keep = 0 if arrays is None else (size % batch_size if rng is None else size // 2)
        end = size - keep
        end -= 0 if arrays is None else end % batch_size
        for start in range(0, end, batch_size):
            at = order[start : min(start + batch_size, end)]
            yield {name: values[at] for name, values in pool.items()}
        rest = order[end:]
        held = [{name: values[rest] for name, values in pool.items()}] if len(rest) else []
        size = len(rest)


def _split(arrays: Arrays, labels: bool) -> Any:
    if not labels:
        return (dict(arrays),)
    features = dict(arrays)
    weight = features.pop("sample_weight")
    targets = {CLICK: features.pop(CLICK), CONVERSION: features.pop(CONVERSION)}
    return features, targets, weight


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


def _signature(schema: Schema, labels: bool) -> Any:
    features = feature_signature(schema)
    if not labels:
        return (features,)
    label = tf.TensorSpec([None], tf.float32)
    return features, {CLICK: label, CONVERSION: label}, label
