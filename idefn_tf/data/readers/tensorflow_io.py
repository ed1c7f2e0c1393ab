"""Parquet through tensorflow-io: the numbers it reads rightly; text and booleans through pyarrow.

tensorflow-io 0.37.1 gives other rows' text where a column's pages are of several kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from idefn_tf.data import object_store, trusted_parquet
from idefn_tf.data.arrow_to_numpy import hide_labels
from idefn_tf.data.convert import convert
from idefn_tf.data.files import column_values, iterate_span
from idefn_tf.data.readers.tfdata_stream import stream
from idefn_tf.data.tensorflow_io_plugin import load_tensorflow_io
from idefn_tf.schema import CLICK, CONVERSION, Schema

# rows that pyarrow reads at a time
_PIECE = 16_384


def read_parquet(
    schema: Schema,
    files: Sequence[str],
    labels: bool,
    rows: int = 65_536,
    further: Sequence[str] = (),
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the rows of Parquet files in order, as `to_arrays` would give them.

    `further` are labels beside click and conversion.

    Raises:
        ValueError: for what `trusted.plan` refuses.
        ImportError: where tensorflow-io does not load.
    """
    plan = trusted_parquet.plan(schema, files, labels, further)
    parse = _parse(schema, labels, further)
    for file in files:
        for batch in _rows(plan, file, schema).batch(rows):
            arrays = {name: tensor.numpy() for name, tensor in parse(batch).items()}
            if labels:
                hide_labels(arrays)
            yield arrays


def stream_parquet(
    schema: Schema,
    files: Sequence[str],
    labels: bool,
    further: Sequence[str] = (),
    **options: Any,
) -> tf.data.Dataset:
    """Streams Parquet files that do not fit in memory; the options are those of `stream`."""
    plan = trusted_parquet.plan(schema, files, labels, further)
    joined = _rows(plan, files[0], schema)
    for file in files[1:]:
        joined = joined.concatenate(_rows(plan, file, schema))
    parse = _parse(schema, labels, further)
    return stream(lambda seed: joined, parse, labels=labels, further=further, **options)


def verify(schema: Schema, files: Sequence[str], labels: bool, further: Sequence[str] = ()) -> None:
    """Compares what tensorflow-io reads in some rows of each file with what pyarrow reads.

    Raises:
        ValueError: for what `trusted.plan` refuses, and naming the first value that differs.
        ImportError: where tensorflow-io does not load.
    """
    plan = trusted_parquet.plan(schema, files, labels, further)
    tfio = load_tensorflow_io()
    for file in files if plan.native else ():
        for start, end in trusted_parquet.spans(
            pq.read_metadata(object_store.opened(file)).num_rows
        ):
            right = pa.concat_tables(iterate_span([file], start, end))
            for name in plan.native:
                found = tfio.IOTensor.from_parquet(file)(name)[start:end].numpy()
                trusted_parquet.compare(
                    file, name, start, found, np.asarray(column_values(right, name))
                )


def _rows(plan: trusted_parquet.Plan, file: str, schema: Schema) -> tf.data.Dataset:
    """Returns the rows of one file as dicts: numbers by tensorflow-io, the rest by pyarrow."""
    parts = []
    if plan.native:
        tfio = load_tensorflow_io()
        parts.append(tfio.IODataset.from_parquet(file, columns=list(plan.native)))
    if plan.by_arrow:
        parts.append(_arrow_rows(plan.by_arrow, file, schema.missing_words))
    if len(parts) == 1:
        return parts[0]
    return tf.data.Dataset.zip(tuple(parts)).map(lambda one, other: {**one, **other})


def _arrow_rows(
    columns: Mapping[str, tuple[str, Any]], file: str, words: Sequence[str]
) -> tf.data.Dataset:
    """Returns columns as pyarrow reads them, through tensorflow-io's file system if remote."""

    def pieces() -> Iterator[dict[str, np.ndarray]]:
        with object_store.explained(file), pq.ParquetFile(object_store.opened(file)) as parquet:
            for batch in parquet.iter_batches(_PIECE, columns=list(columns)):
                table = pa.Table.from_batches([batch])
                yield {
                    name: convert(column_values(table, name), name, dtype, fill, words)
                    for name, (dtype, fill) in columns.items()
                }

    signature = {name: tf.TensorSpec([None], dtype) for name, (dtype, _) in columns.items()}
    return tf.data.Dataset.from_generator(pieces, output_signature=signature).unbatch()


def _parse(
    schema: Schema, labels: bool, further: Sequence[str] = ()
) -> Callable[[Any], dict[str, tf.Tensor]]:
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
            names = (CLICK, CONVERSION, *further)
            columns |= {name: tf.cast(found[name], tf.float32) for name in names}
            ones = tf.ones_like(columns[CLICK])
            columns["sample_weight"] = tf.cast(found.get("sample_weight", ones), tf.float32)
        return columns

    return parse


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else name
