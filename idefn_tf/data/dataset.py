"""open_dataset: batches of (features, labels, sample_weight) from any source."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import tensorflow as tf

from idefn_tf._registry import register
from idefn_tf.data import files as tables
from idefn_tf.data import object_store
from idefn_tf.data.arrow_to_numpy import to_arrays
from idefn_tf.data.batch_sampler import Arrays, BatchSampler, Shard
from idefn_tf.data.batches import Batches, EpochClock
from idefn_tf.data.encoded_rows import EncodedRows
from idefn_tf.data.encoding import Encoder, encode_dataset
from idefn_tf.data.feedback_labels import FeedbackLabels
from idefn_tf.data.held_rows import Filling
from idefn_tf.schema import CLICK, CONVERSION, FEEDBACK_LABELS, Schema

#: Sources up to this many rows are converted once and kept in memory over epochs.
CACHE_ROWS = 2_000_000
_SLICE = 131_072  # rows of a table that are converted at a time

#: Reads some files piece by piece.
Reader = Callable[[Sequence[str]], Iterator[Arrays]]


@register("function")
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
    shard: tuple[int, int] = (0, 1),
    positives_per_batch: int | None = None,
    encode: Encoder | None = None,
    feedback_labels: bool = False,
    as_of: int | str | None = None,
) -> tf.data.Dataset:
    """Opens exposures as a ``tf.data.Dataset`` of (features, labels, sample_weight).

    With `encode` the data set is made for training: rows that fit in memory are encoded once, here,
    and epochs only pick them. Without it batches are raw, and `fit` encodes them at every epoch.

    Args:
        schema: what the columns are.
        source: a path, folder, glob or list of Parquet, CSV or TFRecord files, or a DataFrame.
            Addresses such as s3://bucket/folder are read through tensorflow-io, or pyarrow where
            that does not load (`idefn_tf.data.object_store`).
        batch_size: rows a batch, over all workers.
        shuffle: gives files and rows in an order drawn from `seed` and the epoch.
        seed: of the order.
        clock: tells the epoch; default one that counts the iterations.
        drop_remainder: leaves out a last batch that is not full (never the only one).
        labels: False gives (features,) of a table without labels.
        reader: "tensorflow-io" reads the numbers of Parquet through tensorflow-io (null-free, no
            lists) once a sample equals pyarrow's; text and booleans are pyarrow's all the same.
        shuffle_rows: rows held in memory to shuffle among, where the source is larger.
        shard: (index, count): gives worker `index`'s share of every batch. All workers have as
            many batches; a row of weight 0 stands in where a last batch does not come out even.
            Of Parquet files that do not fit in memory a worker reads its own rows alone.
        positives_per_batch: every batch holds at least so many converted rows, repeated as often
            as it takes, and `sample_weight` keeps its weighted mean an unbiased estimate.
        encode: what encodes the features: a `FeatureColumns`, or anything with its `encode` and
            `raw_names`. The schema's `user_key`, by which GAUC groups, stays beside what it gives.
        feedback_labels: adds the labels of delays: "elapsed" and "conversion_delay" in days from
            the click, and "conversion_final", 0 where there is none.
        as_of: of raw rows with `feedback_labels`: the moment (units since 1970, or ISO text) at
            which labels were known; later clicks and conversions are 0. Prepared rows have theirs.

    Returns:
        features: dict of int64, float32 or string tensors [B], lists [B, max_length] and their
        weights, or what `encode` makes of them; labels: {"click", "conversion"} float32 [B], the
        conversion 0 where unclicked, and those of delays; sample_weight: float32 [B].

    Raises:
        ValueError: if the source has no file, lacks a column, or holds a wrong value.

    Example:
        >>> from idefn_tf.data import open_dataset
        >>> features_, labels_, weight = next(iter(open_dataset(schema, table, batch_size=8)))
        >>> sorted(features_), labels_["click"].numpy().sum(), weight.shape.as_list()
        (['item', 'price', 'user'], 4.0, [8])
    """
    worker = _checked(batch_size, shard, positives_per_batch, labels)
    feedback = _feedback(schema, feedback_labels, as_of, labels)
    further = FEEDBACK_LABELS if feedback is not None else ()
    clock = clock or EpochClock()
    keep = () if encode is None or schema.user_key is None else (schema.user_key,)
    targets = (CLICK, CONVERSION, *further, "sample_weight") if labels else ()
    if reader not in ("pyarrow", "tensorflow-io"):
        raise ValueError(f"reader: must be 'pyarrow' or 'tensorflow-io', received {reader!r}")

    def hold(
        pieces: Iterator[Arrays], rows: int | None, most: int | None
    ) -> tuple[Arrays | None, EncodedRows | None]:
        if encode is None:
            return _hold(pieces, rows, most), None
        return None, EncodedRows.of(pieces, encode, keep, targets, rows, most)

    if isinstance(source, (pd.DataFrame, pa.Table)):
        files: list[str] = []
        rows: int | None = len(source)
        table = tables.read_table(source, schema)
        held, encoded = hold(_slices(schema, table, labels, feedback), rows, None)
        arrays = held if encoded is None else encoded.arrays
        read: Reader = None  # type: ignore[assignment]  # never called: all rows are held
    else:
        files = tables.find_files(source)
        read = _reader(schema, files, labels, reader, feedback)
        rows, held, encoded = tables.count_rows(files), None, None
        if rows is None or rows <= CACHE_ROWS:
            held, encoded = hold(_some(read(files)), rows, CACHE_ROWS)
            pa.default_memory_pool().release_unused()  # of what was read
        arrays = held if encoded is None else encoded.arrays
        if arrays is not None:
            rows = len(next(iter(arrays.values())))
        elif (native := _native(files, reader)) is not None:
            if positives_per_batch is not None:
                raise ValueError(
                    "positives_per_batch: must be None for records that do not fit in memory, "
                    f"received {positives_per_batch}; write the rows as Parquet."
                )
            streamed = native(
                schema,
                files,
                labels,
                batch_size=batch_size,
                shuffle=shuffle,
                seed=seed,
                clock=clock,
                drop_remainder=drop_remainder,
                shuffle_rows=shuffle_rows,
                shard=worker,
                further=further,
            )
            return streamed if encode is None else encode_dataset(streamed, encode, keep)

    def in_order(rng: np.random.Generator | None) -> list[str]:
        ordered = list(files)
        if rng is not None:
            rng.shuffle(ordered)
        return ordered

    def span(rng: np.random.Generator | None, start: int, end: int) -> Iterator[Arrays]:
        some = tables.iterate_span(in_order(rng), start, end)
        return (to_arrays(schema, table, labels, feedback=feedback) for table in some)

    return Batches(
        signature=feature_signature(schema),
        sampler=BatchSampler(batch_size, positives_per_batch),
        rows=rows,
        held=held,
        chunks=lambda rng: read(in_order(rng)),
        span=span if arrays is None and tables.format_of(files) == "parquet" else None,
        shuffle=shuffle,
        seed=seed,
        clock=clock,
        drop_remainder=drop_remainder,
        shuffle_rows=shuffle_rows,
        labels=labels,
        shard=worker,
        encode=encode,
        encoded=encoded,
        keep=keep,
        further=further,
    ).dataset()


def _checked(batch_size: int, shard: tuple[int, int], positives: int | None, labels: bool) -> Shard:
    if batch_size < 1:
        raise ValueError(f"batch_size: must be 1 or more, received {batch_size}")
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard: must be (index, count), 0 <= index < count, received {shard}")
    if batch_size % count:
        raise ValueError(
            f"batch_size: must be a multiple of the {count} workers that share it, received "
            f"{batch_size}"
        )
    if positives is not None and not 1 <= positives < batch_size:
        raise ValueError(
            f"positives_per_batch: must lie between 1 and {batch_size - 1}, received {positives}"
        )
    if not labels and (count > 1 or positives is not None):
        raise ValueError(
            "labels: must be True for shards and for positives in every batch, whose rows are "
            "weighted, received False"
        )
    return Shard(index, count)


def _feedback(
    schema: Schema, asked: bool, as_of: int | str | None, labels: bool
) -> FeedbackLabels | None:
    if not asked:
        if as_of is not None:
            raise ValueError(
                f"as_of: must be None without feedback_labels, received {as_of!r}; set "
                "feedback_labels=True"
            )
        return None
    if not labels:
        raise ValueError("feedback_labels: must be False where labels is False, received True")
    return FeedbackLabels.of(schema.labels, as_of)


def _reader(
    schema: Schema,
    files: Sequence[str],
    labels: bool,
    reader: str,
    feedback: FeedbackLabels | None,
) -> Reader:
    """Returns what reads files of this format piece by piece."""
    kind = tables.format_of(files)
    further = FEEDBACK_LABELS if feedback is not None else ()
    if (kind == "tfrecord" or reader != "pyarrow") and feedback and feedback.as_of is not None:
        raise ValueError(
            f"as_of: must be None for {kind} files read by {reader}, received {feedback.as_of}; "
            "prepare the log, whose rows have the labels of delays, or read raw rows of Parquet "
            "with pyarrow"
        )
    if reader == "tensorflow-io":
        from idefn_tf.data.readers import tensorflow_io

        if kind != "parquet":
            raise ValueError(f"reader: tensorflow-io reads Parquet here, received {kind} files")
        tensorflow_io.verify(schema, files, labels, further)
        return lambda some: tensorflow_io.read_parquet(schema, some, labels, further=further)
    if kind == "tfrecord":
        from idefn_tf.data.readers.tfrecord import read_tfrecord

        for file in files:
            if object_store.is_remote(file):
                object_store.prepare_for_tensorflow(file)
        return lambda some: read_tfrecord(schema, some, labels, further=further)
    return lambda some: _arrays(schema, some, labels, feedback)


def _arrays(
    schema: Schema, files: Sequence[str], labels: bool, feedback: FeedbackLabels | None
) -> Iterator[Arrays]:
    """Yields the files' rows; an error names the row of its file."""
    for file in files:
        row = 0
        for table in tables.iterate_tables([file], schema):
            try:
                yield to_arrays(schema, table, labels, row, feedback)
            except ValueError as error:
                raise ValueError(f"{error} ({file})") from None
            row += table.num_rows


def _native(files: Sequence[str], reader: str) -> Callable[..., tf.data.Dataset] | None:
    """Returns what streams files that only TensorFlow reads."""
    if reader == "tensorflow-io":
        from idefn_tf.data.readers.tensorflow_io import stream_parquet

        return stream_parquet
    if tables.format_of(files) == "tfrecord":
        from idefn_tf.data.readers.tfrecord import stream_tfrecord

        return stream_tfrecord
    return None


def _some(pieces: Iterator[Arrays]) -> Iterator[Arrays]:
    """Yields the rows of files, of which there must be any."""
    if (first := next(pieces, None)) is None:
        raise ValueError("source: the files hold no row; check the path.")
    yield from itertools.chain([first], pieces)


def _hold(pieces: Iterator[Arrays], rows: int | None, most: int | None) -> Arrays | None:
    """Returns all rows, or None where there are more than `most`."""
    held: dict[str, Filling] = {}
    size = 0
    for piece in pieces:
        size += len(next(iter(piece.values())))
        if most is not None and size > most:
            return None
        for name, values in piece.items():
            held.setdefault(name, Filling(rows)).add(values)
    return {name: filling.whole() for name, filling in held.items()}


def _slices(
    schema: Schema, table: pa.Table, labels: bool, feedback: FeedbackLabels | None
) -> Iterator[Arrays]:
    """Yields the rows of a table, some at a time; an error names the row of the table."""
    for start in range(0, max(table.num_rows, 1), _SLICE):
        yield to_arrays(schema, table.slice(start, _SLICE), labels, start, feedback)


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
