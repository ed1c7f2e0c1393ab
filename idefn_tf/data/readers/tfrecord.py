"""Exposures from TFRecord files of tf.train.Example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from idefn_tf.data import list_tensors
from idefn_tf.data.arrow_to_numpy import hide_labels
from idefn_tf.data.readers.tfdata_stream import stream
from idefn_tf.schema import CLICK, CONVERSION, Schema


def example_spec(schema: Schema, labels: bool = False) -> dict[str, Any]:
    """Returns what ``tf.io.parse_example`` reads: one entry a feature, its fill as default."""
    spec: dict[str, Any] = {}
    for feature in schema.features:
        dtype = tf.as_dtype(feature.dtype)
        if feature.multi_valued:
            spec[feature.name] = tf.io.RaggedFeature(dtype)
            if feature.weights is not None:
                spec[feature.weights_name] = tf.io.RaggedFeature(tf.float32)
            continue
        default = feature.serving_value if feature.train_only else feature.fill
        spec[feature.name] = tf.io.FixedLenFeature([], dtype, default)
    if labels:
        for name in (CLICK, CONVERSION):
            spec[name] = tf.io.FixedLenFeature([], tf.int64)
        spec["sample_weight"] = tf.io.FixedLenFeature([], tf.float32, 1.0)
    return spec


def parse_examples(schema: Schema, serialized: tf.Tensor, labels: bool = False) -> Any:
    """Parses serialized examples [B] to dense features, lists padded to their max_length."""
    parsed = tf.io.parse_example(serialized, example_spec(schema, labels))
    for feature in schema.features:
        if feature.multi_valued:
            weights = None if feature.weights is None else parsed[feature.weights_name]
            values, weights = list_tensors.densify(feature, parsed[feature.name], weights)
            parsed[feature.name] = values
            if feature.weights is not None:
                parsed[feature.weights_name] = weights
    return parsed


def read_tfrecord(
    schema: Schema, files: Sequence[str], labels: bool, rows: int = 65_536
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the files' rows in order, at most `rows` at a time, as `to_arrays` would give them.

    Raises:
        ValueError: if a file is no TFRecord, an example lacks a column or holds a wrong label.
    """
    dataset = tf.data.TFRecordDataset(list(files)).batch(rows)
    try:
        for serialized in dataset:
            parsed = parse_examples(schema, serialized, labels)
            arrays = {name: tensor.numpy() for name, tensor in parsed.items()}
            if labels:
                hide_labels(arrays)
            yield arrays
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
        raise ValueError(f"source: {list(files)[:5]} cannot be read; {error.message}") from None


def stream_tfrecord(
    schema: Schema, files: Sequence[str], labels: bool, **options: Any
) -> tf.data.Dataset:
    """Streams TFRecord files that do not fit in memory; the options are those of `stream`."""

    def rows(seed: tf.Tensor | None) -> tf.data.Dataset:
        names = tf.data.Dataset.from_tensor_slices(list(files))
        if seed is not None:
            names = names.shuffle(len(files), seed=seed, reshuffle_each_iteration=False)
        return tf.data.TFRecordDataset(names)

    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        return parse_examples(schema, serialized, labels)

    return stream(rows, parse, labels=labels, **options)
